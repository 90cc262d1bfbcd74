//! Streams and buckets that had disappeared while hosts were up, and were made again: their metadata say so.

use crate::{
    names::{MADE_AGAIN, Names, Stream},
    session::{Connection, Failure, api},
};
use async_nats::jetstream::stream::Config;
use jetway_state::Timestamp;

/// The configuration of a stream that is made again at this time.
pub(super) fn marked(mut config: Config, at: Timestamp) -> Config {
    config.metadata.insert(MADE_AGAIN.to_owned(), at.to_string());
    config
}

/// One sentence for each stream that was made again: when, and what was lost with it.
pub(crate) async fn streams_made_again(
    connection: &Connection,
    names: &Names,
) -> Result<Vec<String>, Failure> {
    let mut sentences = Vec::new();
    for stream in Stream::OF_HOSTS {
        let name = names.stream(stream);
        match api::stream_info(connection, &name).await {
            Ok(info) => {
                let at = info.config.metadata.get(MADE_AGAIN);
                sentences.extend(at.map(|at| sentence(&name, at, stream)));
            }
            // A user without the permission gets nothing here. Another check reports what is missing.
            Err(failure) if failure.is_absent() || matches!(failure, Failure::NotPermitted(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(sentences)
}

fn sentence(name: &str, at: &str, stream: Stream) -> String {
    format!("{name} had disappeared, and a host made it again at {at}: {}", lost_with(stream))
}

/// What is lost with a stream, and who mends it.
pub(crate) fn lost_with(stream: Stream) -> &'static str {
    match stream {
        Stream::Starts => "start messages that waited are lost, and their senders have to send them again",
        Stream::Tickets => "the sweep publishes the tickets again",
        Stream::Timers => "the sweep arms the alarms again",
        Stream::Signals => "signals that waited are lost, and their senders have to send them again",
        Stream::Runs => "all runs are lost, with their contexts and outputs",
        Stream::Done => "the results of runs are lost",
        Stream::Dead => "the dead letters are lost",
        Stream::Hosts => "hosts announce themselves again",
        Stream::Beats => "the details of heartbeats are lost, and steps do without them",
        Stream::StoreState => "the contexts, checkpoints and records of stores are lost",
        Stream::StoreItems => "the work items of stores are lost",
    }
}
