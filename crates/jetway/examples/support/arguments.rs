//! What an example is told on the command line: nothing, or `--nats URL [--namespace NAME]`.

use anyhow::{Result, bail};
use jetway::{Namespace, NatsConfig};

/// The server that was asked for; `None` where the example is to run within its own process.
pub(crate) fn nats() -> Result<Option<NatsConfig>> {
    let (mut url, mut namespace) = (None, Namespace::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--nats", Some(value)) => url = Some(value),
            ("--namespace", Some(value)) => namespace = Namespace::new(&value)?,
            _ => bail!("`{argument}`? The arguments are: [--nats URL [--namespace NAME]]"),
        }
    }
    Ok(url.map(|url| {
        let mut config = NatsConfig::new(url);
        config.namespace = namespace;
        config
    }))
}
