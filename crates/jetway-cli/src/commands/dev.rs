//! `jetway dev`: a server and a host to try things with.

use crate::{
    args::CommonArgs,
    exit::Exit,
    local::{Local, LocalArgs},
    output,
};
use clap::Args;
use jetway::{Namespace, nats::start_subject};
use serde_json::json;

const AFTER_HELP: &str = "\
It starts a nats-server (installing one where there is none) and a host in this process with the workflows `chain` and \
`corpus`. What they keep is gone when it ends.

Example:
  jetway dev
  jetway start chain --input 0 --wait      (in another terminal)";

/// Start a server and a host, and keep them until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DevArgs {
    /// Port of the server; a free one where it is taken
    #[arg(long, value_name = "PORT", default_value_t = 4222)]
    port: u16,

    #[command(flatten)]
    local: LocalArgs,

    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<Exit> {
    let local = Local::start(&args.local, &args.common, Some(args.port)).await?;
    if args.common.json {
        output::json(&json!({
            "nats": local.url(),
            "namespace": args.common.namespace,
            "workflows": ["chain", "corpus"],
        }))?;
    } else {
        output::data(&hints(local.url(), &args.common.namespace))?;
    }
    local.until_told_to_stop().await?;
    local.stop().await?;
    Ok(Exit::Done)
}

fn hints(url: &str, namespace: &Namespace) -> String {
    let mut options = String::new();
    if url != "nats://127.0.0.1:4222" {
        options.push_str(&format!(" --nats {url}"));
    }
    if *namespace != Namespace::default() {
        options.push_str(&format!(" --namespace {namespace}"));
    }
    // Shown to people: what any NATS client can publish is part of what is promised.
    let start = start_subject(namespace, "chain");
    format!(
        "\
NATS server   {url}
Namespace     {namespace}
Workflows     chain, corpus

Try:
  jetway start chain --input 0 --id first --wait{options}
  jetway status chain first{options}
  nats --server {url} pub {start} 0

Ctrl-C stops the server and the host.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_try_name_what_is_not_the_default() {
        let plain = hints("nats://127.0.0.1:4222", &Namespace::default());
        assert!(plain.contains("jetway status chain first\n"), "{plain}");
        assert!(plain.contains("pub jetway.default.start.chain 0\n"), "{plain}");
        let other = hints("nats://127.0.0.1:5000", &Namespace::new("team").unwrap());
        assert!(
            other.contains("status chain first --nats nats://127.0.0.1:5000 --namespace team\n"),
            "{other}"
        );
        assert!(other.contains("pub jetway.team.start.chain 0\n"), "{other}");
    }
}
