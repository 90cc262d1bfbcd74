//! `scan`: finds the files below the directory.

use super::{CorpusContext, CorpusInput, CorpusOptions, CorpusRoot, FileToRead};
use cap_std::fs::{Dir, FileType};
use jetway::{Error, Fixed, Transition, node};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

node! {
    /// Walks the directory and emits one item for each file, in the order of their paths.
    pub(crate) struct Scan { root: CorpusRoot };
    context = CorpusContext;
    input = CorpusInput;
    output = FileToRead;
    |ctx, input| {
        let CorpusInput { path, top } = input;
        ctx.options.set(Fixed::new(CorpusOptions { root: path.clone(), top })).await;
        let root = self.root.clone();
        let files = tokio::task::spawn_blocking(move || files_below(&root, &path)).await;
        let files = files.map_err(|error| Error::Generic(format!("the scan did not finish: {error}")))??;
        Ok(Transition::NextAll(files))
    }
}

/// The regular files below `path`, sorted by path, directory by directory. Symbolic links are neither followed nor counted.
/// A directory that cannot be read is listed like a file, so that the report lists it as skipped.
fn files_below(root: &CorpusRoot, path: &Path) -> Result<Vec<FileToRead>, Error> {
    let cannot = |error: io::Error| Error::Generic(format!("cannot scan {}: {error}", path.display()));
    let directory = root.open_dir(path).map_err(cannot)?;
    let mut found = entries(&directory, Path::new("")).map_err(cannot)?;
    let mut files = Vec::new();
    while let Some(Found { path, kind, bytes }) = found.pop() {
        let listed = |bytes| FileToRead { path: path.to_string_lossy().into_owned(), bytes };
        if kind.is_file() {
            files.push(listed(bytes));
        } else if kind.is_dir() {
            match entries(&directory, &path) {
                Ok(below) => found.extend(below),
                Err(_unreadable) => files.push(listed(0)),
            }
        }
    }
    Ok(files)
}

/// An entry of a directory.
struct Found {
    /// Relative to the directory that is scanned.
    path: PathBuf,
    kind: FileType,
    bytes: u64,
}

/// The entries of a directory, the last one first.
fn entries(directory: &Dir, path: &Path) -> io::Result<Vec<Found>> {
    let read = if path.as_os_str().is_empty() { directory.entries()? } else { directory.read_dir(path)? };
    let mut found: Vec<(OsString, Found)> = Vec::new();
    for entry in read {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let bytes = entry.metadata().map_or(0, |about| about.len());
        let path = path.join(&name);
        found.push((name, Found { path, kind, bytes }));
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn corpus_root(path: &Path) -> CorpusRoot {
        CorpusRoot::open(path).unwrap()
    }

    #[test]
    fn files_come_in_the_order_of_their_paths() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("b/deep/empty")).unwrap();
        for (name, text) in [("c.txt", "c"), ("b/2", "22"), ("b/deep/1", "1"), ("a", ""), (".hidden", "h")] {
            fs::write(root.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();

        let found = files_below(&corpus_root(root), root).unwrap();
        let found: Vec<_> = found.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        assert_eq!(found, [(".hidden", 1), ("a", 0), ("b/2", 2), ("b/deep/1", 1), ("c.txt", 1)]);
    }

    #[test]
    fn an_empty_directory_has_no_files() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(files_below(&corpus_root(directory.path()), directory.path()).unwrap(), []);
    }

    #[test]
    fn a_root_that_is_no_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        let root = corpus_root(directory.path());
        let error = files_below(&root, &file).unwrap_err().to_string();
        assert!(error.contains("file: Not a directory"), "{error}");
        let missing = files_below(&root, &directory.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("missing: No such file"), "{missing}");
    }
}
