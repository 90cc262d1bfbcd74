//! What an example is told on the command line: nothing, `--nats URL [--namespace NAME]`, or `--dot`.

use anyhow::{Result, bail};
use jetway::{Namespace, NatsConfig};
use std::io::Write as _;

/// The server that was asked for; `None` where the example is to run within its own process. Where its picture was
/// asked for, `dot` is printed and the program ends.
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
            _ => bail!("`{argument}`? The arguments are: [--nats URL [--namespace NAME]], or --dot"),
        }
    }
    Ok(url.map(|url| {
        let mut config = NatsConfig::new(url);
        config.namespace = namespace;
        config
    }))
}
