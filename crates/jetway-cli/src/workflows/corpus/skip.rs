//! `skip`: records why a file was not read.

use super::{
    CorpusContext, FileToRead, analyse,
    report::{FileReport, SkipReason, SkippedFile},
};
use jetway::{Error, Transition, node};
use std::{fs, io, path::Path};

node! {
    /// Looks at a file that could not be analysed once more, and records why.
    pub(crate) struct Skip {};
    context = CorpusContext;
    input = FileToRead;
    output = FileReport;
    |ctx, file| {
        let path = ctx.asked.get().await.root.join(&file.path);
        let reason = tokio::task::spawn_blocking(move || why(&path)).await;
        let reason = reason
            .map_err(|stopped| Error::Generic(format!("examining {} was broken off: {stopped}", file.path)))?;
        Ok(Transition::Next(FileReport::Skipped(SkippedFile { path: file.path, reason })))
    }
}

/// Why the file cannot be analysed, as far as it still shows.
fn why(path: &Path) -> SkipReason {
    match analyse::read(path) {
        // The scan hands on directories only where it could not look into them.
        Err(SkipReason::NotAFile) => match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
            _ => SkipReason::NotAFile,
        },
        Err(reason) => reason,
        Ok(_) => SkipReason::Unreadable("it could not be read at first, and can be now".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_shows_now() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(why(&path), SkipReason::Vanished);
        fs::write(&path, b"\0").unwrap();
        assert_eq!(why(&path), SkipReason::Binary);
        fs::write(&path, b"text").unwrap();
        assert!(matches!(why(&path), SkipReason::Unreadable(_)));
        assert_eq!(why(directory.path()), SkipReason::NotAFile);
    }
}
