//! A checkpoint store in a directory of files.

use super::{
    Checkpoint, CheckpointError, CheckpointStore,
    encoded::{self, EncodedCheckpoint},
    store,
};
use crate::{Context, WorkItem};
use async_trait::async_trait;
use jetway_state::{Fingerprint, RunId, codec};
use std::{
    fmt, fs,
    io::{self, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

const WHAT: &str = "a checkpoint";
/// A checkpoint has no fingerprint: any build that can decode it may continue from it.
const NO_GRAPH: Fingerprint = Fingerprint(0);

/// Checkpoints in a directory, one file for each run. Clones share the directory.
///
/// [`save`](CheckpointStore::save) writes a temporary file, syncs it and renames it. After a crash the directory has
/// the old checkpoint or the new one, never a part of one. A saved checkpoint survives a power failure.
///
/// ```
/// use jetway_core::{FileCheckpointStore, Transition, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! { pub struct Doubling { double: Double } start = double; edges { double => []; } }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let store = FileCheckpointStore::new(directory);
/// let (doubling, ctx) = (Doubling { double: Double }, WorkflowCtx::new(()));
/// assert_eq!(doubling.run_with_checkpoint(&ctx, 21, &store, "answer").await?, 42);
/// // The run has ended, so nothing is executed again.
/// assert_eq!(doubling.run_with_checkpoint(&ctx, 21, &store, "answer").await?, 42);
/// # Ok(())
/// # }
/// # fn main() {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(example()).expect("it runs");
/// # }
/// ```
pub struct FileCheckpointStore<C, WI> {
    directory: PathBuf,
    types: PhantomData<fn() -> (C, WI)>,
}

impl<C, WI> FileCheckpointStore<C, WI> {
    /// A store in `directory`. The first save creates the directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), types: PhantomData }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Removes the checkpoint of a run. Does nothing where there is none.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] where the file cannot be removed.
    pub async fn remove(&self, workflow_id: &str) -> Result<(), CheckpointError> {
        let path = self.path(workflow_id);
        blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
        .await
    }

    async fn saved(&self, workflow_id: &str) -> Result<Option<EncodedCheckpoint>, CheckpointError> {
        let path = self.path(workflow_id);
        let shown = path.display().to_string();
        let bytes = blocking(move || match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        })
        .await?;
        let opened = bytes.map(|bytes| codec::open(&bytes, WHAT)).transpose();
        let opened = opened.map_err(|error| CheckpointError::Store(format!("{shown}: {error}")))?;
        Ok(opened.map(|(saved, _graph)| saved))
    }

    /// The file of a run. An id may be any text, so the file has a name that is derived from it.
    fn path(&self, workflow_id: &str) -> PathBuf {
        self.directory.join(format!("{}.checkpoint", RunId::fitted(workflow_id)))
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for FileCheckpointStore<C, WI> {
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        let bytes = encoded::write(checkpoint)
            .and_then(|saved| codec::seal(&saved, NO_GRAPH, WHAT))
            .map_err(|error| store(&error))?;
        let (directory, path) = (self.directory.clone(), self.path(workflow_id));
        blocking(move || replace(&directory, &path, &bytes)).await
    }

    /// Reads and then writes: two processes that run one id at the same time may still overwrite each other's checkpoints.
    async fn replace(
        &self,
        workflow_id: &str,
        checkpoint: &Checkpoint<C, WI>,
    ) -> Result<bool, CheckpointError> {
        match self.saved(workflow_id).await? {
            Some(known) if checkpoint.continues(known.snapshot()) => {
                self.save(workflow_id, checkpoint).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        let saved = self.saved(workflow_id).await?;
        saved.map(|saved| encoded::read(&saved)).transpose().map_err(|error| store(&error))
    }
}

fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut file = NamedTempFile::with_prefix_in(".saving-", directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename is durable when the directory is synced. Only Unix can open a directory.
    #[cfg(unix)]
    fs::File::open(directory)?.sync_all()?;
    Ok(())
}

/// Runs disk work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, CheckpointError> {
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(CheckpointError::Store(error.to_string())),
    }
}

impl<C, WI> Clone for FileCheckpointStore<C, WI> {
    fn clone(&self) -> Self {
        Self::new(self.directory.clone())
    }
}

impl<C, WI> fmt::Debug for FileCheckpointStore<C, WI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCheckpointStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macro_support::serde::{Deserialize, Serialize};
    use std::{collections::VecDeque, fmt::Display};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(crate = "crate::macro_support::serde")]
    struct Item(u32);

    impl Display for Item {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "item {}", self.0)
        }
    }

    impl WorkItem for Item {
        fn instance_id(&self) -> String {
            self.0.to_string()
        }

        fn is_terminal(&self) -> bool {
            false
        }
    }

    fn checkpoint(number: u32) -> Checkpoint<String, Item> {
        Checkpoint::new(number.to_string(), VecDeque::from([Item(number)]))
    }

    #[tokio::test]
    async fn a_checkpoint_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileCheckpointStore::new(directory.path().join("made/when/needed"));
        for id in ["run-1", "any text / at all", "x".repeat(65).as_str()] {
            assert!(CheckpointStore::<String, Item>::load(&store, id).await.unwrap().is_none());
            store.save(id, &checkpoint(1)).await.unwrap();
            store.save(id, &checkpoint(2)).await.unwrap();
            // As another process would: with its own store in the same directory.
            let loaded = FileCheckpointStore::new(store.directory()).load(id).await.unwrap().unwrap();
            let Checkpoint { context, queue, .. }: Checkpoint<String, Item> = loaded;
            assert_eq!((context.as_str(), queue), ("2", VecDeque::from([Item(2)])));
        }
        let names: Vec<_> =
            fs::read_dir(store.directory()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "other files in the directory: {names:?}");
        store.remove("run-1").await.unwrap();
        store.remove("run-1").await.unwrap();
        assert!(store.load("run-1").await.unwrap().is_none());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reader_sees_a_whole_checkpoint_while_it_is_replaced() {
        const SAVES: u32 = 60;
        let directory = tempfile::tempdir().unwrap();
        let store: FileCheckpointStore<String, Item> = FileCheckpointStore::new(directory.path());
        // Large enough to need several writes.
        let large =
            |number: u32| Checkpoint::new(number.to_string().repeat(1 << 21), VecDeque::from([Item(number)]));
        store.save("r", &large(1)).await.unwrap();
        let saving = tokio::spawn({
            let store = store.clone();
            async move {
                for number in 2..SAVES {
                    store.save("r", &large(number % 10)).await.unwrap();
                }
            }
        });
        let mut loads = 0;
        while !saving.is_finished() {
            let Checkpoint { context, queue, .. } = store.load("r").await.unwrap().expect("there is one");
            let number = context.as_bytes()[0];
            assert!(context.len() == 1 << 21 && context.bytes().all(|byte| byte == number));
            assert_eq!(queue, [Item(u32::from(number - b'0'))]);
            loads += 1;
        }
        saving.await.unwrap();
        assert!(loads > 1, "no load ran while saving");
        // A temporary file that a crashed process left is not a checkpoint.
        fs::write(directory.path().join(".saving-1234"), "half of").unwrap();
        assert!(store.load("r").await.unwrap().is_some());
        assert!(store.load(".saving-1234").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_broken_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store: FileCheckpointStore<String, Item> = FileCheckpointStore::new(directory.path());
        fs::write(directory.path().join("run-1.checkpoint"), "half of").unwrap();
        let error = store.load("run-1").await.unwrap_err().to_string();
        assert!(error.contains("run-1.checkpoint"), "{error}");
        let unwritable: FileCheckpointStore<String, Item> =
            FileCheckpointStore::new(directory.path().join("run-1.checkpoint"));
        assert!(matches!(unwritable.save("r", &checkpoint(1)).await, Err(CheckpointError::Io(_))));
    }
}
