//! The files that a host may read: those below a directory that its operator names.
//!
//! Whoever may start the workflow names a directory, so every path is opened relative to the root, and no path leads out of
//! it: neither an absolute one, nor `..`, nor a symbolic link.

use crate::exit::BadInput;
use cap_std::{
    ambient_authority,
    fs::{Dir, File, Metadata, ReadDir},
};
use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser as _},
};
use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// The argument that names the root.
#[derive(Debug, Clone, Args)]
pub(crate) struct CorpusArgs {
    /// Also serve the workflow `corpus`, which reads the files below this directory for its clients
    // An empty variable counts as unset.
    #[arg(long, value_name = "DIR", env = "JETWAY_CORPUS_ROOT", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    corpus_root: Option<PathBuf>,
}

impl CorpusArgs {
    /// The root, if the operator names one.
    ///
    /// # Errors
    /// It is no directory, or cannot be read.
    pub(crate) fn root(&self) -> anyhow::Result<Option<CorpusRoot>> {
        let set = self.corpus_root.as_deref().filter(|path| !path.as_os_str().is_empty());
        let bad = |error: anyhow::Error| BadInput(error.to_string()).into();
        set.map(CorpusRoot::open).transpose().map_err(bad)
    }
}

/// A directory below which files may be read.
#[derive(Debug, Clone)]
pub(crate) struct CorpusRoot {
    /// Its path as it was named and without symbolic links: paths of clients may begin with either.
    paths: [PathBuf; 2],
    directory: Arc<Dir>,
}

impl CorpusRoot {
    /// Opens a root.
    ///
    /// # Errors
    /// It is no directory, or cannot be read.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = || -> io::Result<Self> {
            let paths = [std::path::absolute(path)?, path.canonicalize()?];
            let directory = Arc::new(Dir::open_ambient_dir(&paths[1], ambient_authority())?);
            Ok(Self { paths, directory })
        };
        opened().map_err(|error| anyhow::anyhow!("cannot read the directory {}: {error}", path.display()))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.paths[0]
    }

    /// Opens a directory in it, as the root of what is read there.
    pub(super) fn open_dir(&self, path: &Path) -> io::Result<Dir> {
        self.directory.open_dir(self.inside(path)?)
    }

    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        self.directory.open(self.inside(path)?)
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<ReadDir> {
        self.directory.read_dir(self.inside(path)?)
    }

    pub(super) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.directory.metadata(self.inside(path)?)
    }

    /// The path relative to the root.
    fn inside<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        let below = match path.is_absolute() {
            true => self.paths.iter().find_map(|root| path.strip_prefix(root).ok()),
            false => Some(path),
        };
        let below = below.filter(|below| {
            below.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        });
        let outside = || {
            let root = self.path().display();
            let sentence = format!("it is not below {root}, the directory that --corpus-root names");
            io::Error::new(io::ErrorKind::PermissionDenied, sentence)
        };
        let below = below.ok_or_else(outside)?;
        Ok(if below.as_os_str().is_empty() { Path::new(".") } else { below })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn h9_no_path_leaves_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::write(inside.join("sub/text"), "inside").unwrap();
        fs::write(outside.join("secret"), "outside").unwrap();
        symlink(outside.join("secret"), inside.join("link")).unwrap();
        symlink(&outside, inside.join("links")).unwrap();
        symlink("../out/secret", inside.join("relative")).unwrap();
        symlink("text", inside.join("sub/own")).unwrap();
        let root = CorpusRoot::open(&inside).unwrap();
        for path in ["sub/text", "./sub/text", "sub/own"] {
            root.open_file(Path::new(path)).unwrap();
            root.open_file(&inside.join(path)).unwrap();
        }
        for path in ["", ".", "sub"] {
            root.open_dir(Path::new(path)).unwrap();
            root.open_dir(&inside.join(path)).unwrap();
        }
        for path in ["link", "links/secret", "relative", "../out/secret", "sub/../../out/secret"] {
            for path in [PathBuf::from(path), inside.join(path)] {
                assert!(root.open_file(&path).is_err(), "{}", path.display());
                assert!(root.metadata(&path).is_err(), "{}", path.display());
            }
        }
        for path in [outside.clone(), inside.join("links"), PathBuf::from("/"), PathBuf::from("..")] {
            assert!(root.open_dir(&path).is_err() && root.read_dir(&path).is_err(), "{}", path.display());
        }
        let refusal = root.open_dir(&outside).unwrap_err().to_string();
        assert!(refusal.contains("--corpus-root"), "{refusal}");
    }
}
