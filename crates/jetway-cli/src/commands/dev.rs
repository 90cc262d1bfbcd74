//! `jetway dev`: a server and a host for development.

use crate::{
    args::{CommonArgs, ConnectionArgs},
    exit::Exit,
    local::{DataDir, Local, LocalArgs, ServerPlan},
    output,
    workflows::corpus::CorpusArgs,
};
use clap::Args;
use jetway::{
    Namespace,
    nats::{ServerList, start_subject},
};
use serde_json::json;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Starts a nats-server and a host in this process. The host serves the workflows
`chain`, `nap` and `order`, and `corpus` with --corpus-root. Without --data, all data is deleted when the command
ends. Logs warnings and errors; RUST_LOG=info shows more. Installs nats-server into a cache
directory if it is not found.

Example:
  jetway dev
  jetway dev --data ./jetway-data        (its runs are still there the next time)
  jetway start chain --input 0 --wait    (in another terminal)";

/// Start a server and a host for development, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[]))]
pub(crate) struct DevArgs {
    /// Port of the server; if it is in use, or 0, the server listens on a free port
    #[arg(long, value_name = "PORT", default_value_t = 4222)]
    port: u16,

    /// Keep the data of the server in this directory, and continue with what is in it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["servers", "context"])]
    data: Option<PathBuf>,

    #[command(flatten)]
    corpus: CorpusArgs,

    #[command(flatten)]
    local: LocalArgs,

    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<Exit> {
    let root = args.corpus.root()?;
    let data = args.data.as_deref().map(DataDir::open).transpose()?;
    let server = ServerPlan { port: Some(args.port).filter(|port| *port != 0), data };
    let local = Local::start(&args.local, &args.common, server, root).await?;
    if args.common.json {
        output::print_json(&json!({
            "nats": local.url(),
            "namespace": args.common.namespace,
            "workflows": local.workflows(),
            "data": args.data,
        }))?;
    } else {
        let flags = flags(args.local.connection(), local.url()) + &args.common.namespace_flag();
        let hints =
            hints(local.url(), &flags, &args.common.namespace, &local.workflows(), args.data.as_deref());
        output::print_text(&hints)?;
    }
    local.until_stopped().await?;
    local.stop().await?;
    Ok(Exit::Success)
}

/// The flags with which a command reaches the server. A context or a variable may name another one.
fn flags(connection: &ConnectionArgs, url: &str) -> String {
    let servers = ServerList::from(url);
    if connection.names_a_server() {
        connection.server_flags()
    } else if ConnectionArgs::default_is(&servers) {
        String::new()
    } else {
        format!(" --nats {url}")
    }
}

fn hints(
    url: &str,
    options: &str,
    namespace: &Namespace,
    workflows: &[String],
    data: Option<&Path>,
) -> String {
    let kept = data.map_or_else(
        || "deleted at the end; --data DIR keeps it".to_owned(),
        |data| format!("kept in {}", data.display()),
    );
    let workflows = workflows.join(", ");
    let one_word = url.replace(", ", ",");
    // The subject of a start message is part of the public interface.
    let start = start_subject(namespace, "chain");
    format!(
        "\
NATS server   {url}
Namespace     {namespace}
Workflows     {workflows}
Data          {kept}

Try:
  jetway start chain --input 0 --id first --wait{options}
  jetway status chain first{options}
  jetway start nap --input '{{\"for\": \"10s\"}}' --wait{options}
  nats --server {one_word} pub {start} 0

Press Ctrl-C to stop the server and the host.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggested_commands_name_values_that_are_not_default() {
        let plain = hints("nats://127.0.0.1:4222", "", &Namespace::default(), &["chain".to_owned()], None);
        assert!(plain.contains("jetway status chain first\n"), "{plain}");
        assert!(plain.contains("pub jetway.default.start.chain 0\n"), "{plain}");
        let (url, options) = ("nats://127.0.0.1:5000", " --nats nats://127.0.0.1:5000 --namespace team");
        let other = hints(url, options, &Namespace::new("team").unwrap(), &[], Some(Path::new("data")));
        assert!(other.contains("kept in data\n"), "{other}");
        assert!(
            other.contains("status chain first --nats nats://127.0.0.1:5000 --namespace team\n"),
            "{other}"
        );
        assert!(other.contains("pub jetway.team.start.chain 0\n"), "{other}");
    }
}
