//! `analyse`: reads one file and counts its lines, words and terms.

use super::{
    CorpusContext, CorpusRoot, FileToRead,
    count::{Binary, Counter, Counts},
    report::{FileCounts, FileReport, SkipReason},
};
use jetway::{Error, Transition, node};
use std::{
    io::{self, Read as _},
    path::Path,
};

/// A larger file is skipped, because it would occupy a worker for too long.
pub(super) const LARGEST_FILE: u64 = 256 << 20;
/// A file with more distinct terms is skipped, because the output of a step has to fit into the stores.
pub(super) const MOST_TERMS: usize = 500_000;

const BUFFER: usize = 64 << 10;

node! {
    /// Reads one file and counts its lines, words and terms. Fails if the file cannot be read as text; `skip` then
    /// determines the reason.
    pub(crate) struct Analyse { root: CorpusRoot };
    context = CorpusContext;
    input = FileToRead;
    output = FileReport;
    |ctx, file| {
        let path = ctx.options.get().await.root.join(&file.path);
        let root = self.root.clone();
        let read = tokio::task::spawn_blocking(move || read(&root, &path)).await;
        match read.map_err(|error| Error::Generic(format!("reading {} did not finish: {error}", file.path)))? {
            Ok(Counts { bytes, lines, words, terms }) => {
                Ok(Transition::Next(FileReport::Read(FileCounts { path: file.path, bytes, lines, words, terms })))
            }
            Err(reason) => Err(Error::Generic(format!("{}: {reason}", file.path))),
        }
    }
}

/// Reads a file as text, or returns the reason why that is not possible.
pub(super) fn read(root: &CorpusRoot, path: &Path) -> Result<Counts, SkipReason> {
    // Opening something else, such as a pipe, could wait for ever.
    let about = root.metadata(path).map_err(|error| skip_reason(path, &error))?;
    if !about.is_file() {
        return Err(SkipReason::NotAFile);
    }
    let mut file = root.open_file(path).map_err(|error| skip_reason(path, &error))?;
    let about = file.metadata().map_err(|error| skip_reason(path, &error))?;
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
            Err(error) => return Err(skip_reason(path, &error)),
        };
        counter.add(&buffer[..length]).map_err(|Binary| SkipReason::Binary)?;
        if counter.distinct_terms() > MOST_TERMS {
            return Err(SkipReason::TooManyTerms);
        }
    }
}

fn skip_reason(path: &Path, error: &io::Error) -> SkipReason {
    match error.kind() {
        // The scan stores names as text, so a name that is not UTF-8 does not lead back to its file.
        io::ErrorKind::NotFound if path.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) => {
            SkipReason::NameNotText
        }
        io::ErrorKind::NotFound => SkipReason::Deleted,
        io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
        io::ErrorKind::IsADirectory => SkipReason::NotAFile,
        _ => SkipReason::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_text_is_read_and_other_files_are_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let root = CorpusRoot::open(directory.path()).unwrap();
        let read = |path: &Path| read(&root, path);
        fs::write(at("text"), "two words\n").unwrap();
        fs::write(at("binary"), b"a\0b").unwrap();
        File::create(at("huge")).unwrap().set_len(LARGEST_FILE + 1).unwrap();

        assert_eq!(read(&at("text")).unwrap().words, 2);
        assert_eq!(read(&at("binary")), Err(SkipReason::Binary));
        assert_eq!(read(&at("huge")), Err(SkipReason::TooLarge));
        assert_eq!(read(&at("gone")), Err(SkipReason::Deleted));
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
        let root = CorpusRoot::open(directory.path()).unwrap();
        assert_eq!(read(&root, &path), Err(SkipReason::Binary));
    }
}
