//! `scan`: finds the files below the directory.

use super::{CorpusContext, CorpusInput, CorpusOptions, FileToRead};
use jetway::{Error, Fixed, Transition, node};
use std::path::Path;
use walkdir::WalkDir;

node! {
    /// Walks the directory and emits one item for each file, in the order of their paths.
    pub(crate) struct Scan {};
    context = CorpusContext;
    input = CorpusInput;
    output = FileToRead;
    |ctx, input| {
        let CorpusInput { path: root, top } = input;
        ctx.options.set(Fixed::new(CorpusOptions { root: root.clone(), top })).await;
        let files = tokio::task::spawn_blocking(move || files_below(&root)).await;
        let files = files.map_err(|error| Error::Generic(format!("the scan did not finish: {error}")))??;
        Ok(Transition::NextAll(files))
    }
}

/// The regular files below `root`, sorted by path, directory by directory. Symbolic links are neither followed nor
/// counted. A directory that cannot be read is listed like a file, so that the report lists it as skipped.
fn files_below(root: &Path) -> Result<Vec<FileToRead>, Error> {
    let about = root
        .metadata()
        .map_err(|error| Error::Generic(format!("cannot scan {}: {error}", root.display())))?;
    if !about.is_dir() {
        return Err(Error::Generic(format!("cannot scan {}: it is not a directory", root.display())));
    }
    let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let mut files = Vec::new();
    for entry in WalkDir::new(root).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let bytes = entry.metadata().map_or(0, |about| about.len());
                files.push(FileToRead { path: below(entry.path()), bytes });
            }
            Ok(_) => {}
            Err(error) if error.depth() == 0 => {
                return Err(Error::Generic(format!("cannot scan {}: {error}", root.display())));
            }
            Err(error) => {
                if let Some(path) = error.path() {
                    files.push(FileToRead { path: below(path), bytes: 0 });
                }
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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

        let found = files_below(root).unwrap();
        let found: Vec<_> = found.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        assert_eq!(found, [(".hidden", 1), ("a", 0), ("b/2", 2), ("b/deep/1", 1), ("c.txt", 1)]);
    }

    #[test]
    fn an_empty_directory_has_no_files() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(files_below(directory.path()).unwrap(), []);
    }

    #[test]
    fn a_root_that_is_no_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = files_below(&file).unwrap_err().to_string();
        assert!(error.contains("file: it is not a directory"), "{error}");
        let missing = files_below(&directory.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("missing: No such file"), "{missing}");
    }
}
