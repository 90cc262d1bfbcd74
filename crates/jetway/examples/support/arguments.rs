//! The arguments of an example: none, `--nats URL [--namespace NAME]`, or `--dot`.

use anyhow::{Result, bail};
use jetway::{Namespace, NatsConfig};
use std::io::Write as _;

/// The server to use; `None` to run in this process. With `--dot`, prints `dot` and ends the program.
pub(crate) fn nats(dot: &str) -> Result<Option<NatsConfig>> {
    let (mut url, mut namespace) = (None, Namespace::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--dot" {
            std::io::stdout().write_all(dot.as_bytes())?;
            std::process::exit(0);
        }
        match (argument.as_str(), arguments.next()) {
            ("--nats", Some(value)) => url = Some(value),
            ("--namespace", Some(value)) => namespace = Namespace::new(&value)?,
            _ => bail!("unknown argument `{argument}`: use [--nats URL [--namespace NAME]], or --dot"),
        }
    }
    Ok(url.map(|url| {
        let mut config = NatsConfig::new(url);
        config.namespace = namespace;
        config
    }))
}
