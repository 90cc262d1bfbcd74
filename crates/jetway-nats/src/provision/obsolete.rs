//! Streams and buckets that earlier versions used under other names.

use crate::{
    names::Names,
    session::{Connection, Failure, api},
};

/// One sentence for each stream with an old name: which one it is, what replaces it, and what to do.
pub(crate) async fn obsolete_streams(connection: &Connection, names: &Names) -> Result<Vec<String>, Failure> {
    let mut sentences = Vec::new();
    for (name, replacement) in names.obsolete_streams() {
        match api::stream_info(connection, &name).await {
            Ok(_) => sentences.push(sentence(&name, &names.stream(replacement))),
            Err(failure) if failure.is_absent() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(sentences)
}

fn sentence(name: &str, replacement: &str) -> String {
    format!(
        "stream {name} has an old name and is not used any more, its replacement is {replacement}: stop all hosts of \
         earlier versions, then remove it with `nats stream rm {name}`"
    )
}
