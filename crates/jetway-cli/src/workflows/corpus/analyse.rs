//! `analyse`: reads one file and counts what is in it.

use super::{
    CorpusContext, FileToRead,
    count::{Binary, Counter, Counts},
    report::{FileCounts, FileReport, SkipReason},
};
use jetway::{Error, Transition, node};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A larger file is skipped: it would keep a worker busy for long.
pub(super) const LARGEST_FILE: u64 = 256 << 20;
/// A file with more different terms is skipped: what a step hands on has to fit into the stores.
pub(super) const MOST_TERMS: usize = 500_000;

const BUFFER: usize = 64 << 10;

node! {
    /// Reads one file and counts what is in it. Fails where the file is not a text that can be read; `skip` then finds
    /// out why.
    pub(crate) struct Analyse {};
    context = CorpusContext;
    input = FileToRead;
    output = FileReport;
    |ctx, file| {
        let path = ctx.asked.get().await.root.join(&file.path);
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        match read.map_err(|stopped| Error::Generic(format!("reading {} was broken off: {stopped}", file.path)))? {
            Ok(Counts { bytes, lines, words, terms }) => {
                Ok(Transition::Next(FileReport::Read(FileCounts { path: file.path, bytes, lines, words, terms })))
            }
            Err(reason) => Err(Error::Generic(format!("{}: {reason}", file.path))),
        }
    }
}

/// Reads a file as text, or says why it cannot be.
pub(super) fn read(path: &Path) -> Result<Counts, SkipReason> {
    let mut file = File::open(path).map_err(|error| refused(path, &error))?;
    let about = file.metadata().map_err(|error| refused(path, &error))?;
    if !about.is_file() {
        return Err(SkipReason::NotAFile);
    }
    if about.len() > LARGEST_FILE {
        return Err(SkipReason::TooLarge);
    }
    let mut counter = Counter::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => return Ok(counter.finish()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refused(path, &error)),
        };
        counter.take(&buffer[..length]).map_err(|Binary| SkipReason::Binary)?;
        if counter.distinct_terms() > MOST_TERMS {
            return Err(SkipReason::TooManyTerms);
        }
    }
}

fn refused(path: &Path, error: &io::Error) -> SkipReason {
    match error.kind() {
        // The scan hands on names as text: one that is none cannot be found again.
        io::ErrorKind::NotFound if path.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) => {
            SkipReason::NameNotText
        }
        io::ErrorKind::NotFound => SkipReason::Vanished,
        io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
        io::ErrorKind::IsADirectory => SkipReason::NotAFile,
        _ => SkipReason::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_text_is_read_and_anything_else_says_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("text"), "two words\n").unwrap();
        fs::write(at("binary"), b"a\0b").unwrap();
        File::create(at("huge")).unwrap().set_len(LARGEST_FILE + 1).unwrap();

        assert_eq!(read(&at("text")).unwrap().words, 2);
        assert_eq!(read(&at("binary")), Err(SkipReason::Binary));
        assert_eq!(read(&at("huge")), Err(SkipReason::TooLarge));
        assert_eq!(read(&at("gone")), Err(SkipReason::Vanished));
        assert_eq!(read(&at("no \u{fffd} text")), Err(SkipReason::NameNotText));
        assert_eq!(read(directory.path()), Err(SkipReason::NotAFile));
    }

    #[test]
    fn a_nul_byte_is_found_far_into_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("late");
        let mut bytes = vec![b'a'; BUFFER * 2];
        bytes.push(0);
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path), Err(SkipReason::Binary));
    }
}
