//! `skip`: records why a file was not read.

use super::{
    CorpusContext, CorpusRoot, FileToRead, analyse,
    report::{FileReport, SkipReason, SkippedFile},
};
use jetway::{Error, Transition, node};
use std::{io, path::Path};

node! {
    /// Examines a file that could not be analysed, and records the reason.
    pub(crate) struct Skip { root: CorpusRoot };
    context = CorpusContext;
    input = FileToRead;
    output = FileReport;
    |ctx, file| {
        let path = ctx.options.get().await.root.join(&file.path);
        let root = self.root.clone();
        let reason = tokio::task::spawn_blocking(move || reason(&root, &path)).await;
        let reason = reason
            .map_err(|error| Error::Generic(format!("examining {} did not finish: {error}", file.path)))?;
        Ok(Transition::Next(FileReport::Skipped(SkippedFile { path: file.path, reason })))
    }
}

/// Why the file cannot be analysed, as far as it can be determined now.
fn reason(root: &CorpusRoot, path: &Path) -> SkipReason {
    match analyse::read(root, path) {
        // The scan lists a directory only if it could not read it.
        Err(SkipReason::NotAFile) => match root.read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
            _ => SkipReason::NotAFile,
        },
        Err(reason) => reason,
        Ok(_) => SkipReason::Unreadable("reading failed at first and succeeded later".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_reason_is_determined_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let root = CorpusRoot::open(directory.path()).unwrap();
        let reason = |path: &Path| reason(&root, path);
        assert_eq!(reason(&path), SkipReason::Deleted);
        fs::write(&path, b"\0").unwrap();
        assert_eq!(reason(&path), SkipReason::Binary);
        fs::write(&path, b"text").unwrap();
        assert!(matches!(reason(&path), SkipReason::Unreadable(_)));
        assert_eq!(reason(directory.path()), SkipReason::NotAFile);
    }
}
