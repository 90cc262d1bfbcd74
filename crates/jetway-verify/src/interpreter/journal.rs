//! The executions of nodes, written to a file that survives the host process.

use crate::program::micros;
use jetway::step;
use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// The journal of this process. It is global, because nodes are plain values that know no host.
static JOURNAL: OnceLock<File> = OnceLock::new();

/// The journal of a host process: one line for each execution of a node.
#[derive(Debug)]
pub struct Journal;

/// One execution of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its start in milliseconds since the Unix epoch.
    pub at: u64,
    /// The run.
    pub run: String,
    /// The work item.
    pub item: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The idempotency key that the node saw.
    pub key: String,
    /// The mark of the frame that the node got, see [`Input::mark`](crate::program::Input::mark). 0 without a frame.
    pub mark: u64,
    /// The time of the server as the node saw it, in microseconds since 1970.
    pub now: u64,
    /// The time before which the node may not run, see [`Frame::not_before`](crate::program::Frame::not_before).
    pub not_before: u64,
    /// The name of the step in the program.
    pub step: String,
}

impl Journal {
    /// Opens the journal of this process at `path`, for appending.
    ///
    /// # Errors
    /// The file cannot be opened, or the process has a journal already.
    pub fn open(path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        JOURNAL.set(file).map_err(|_second| io::Error::other("this process has a journal already"))
    }

    /// Records an execution of the step in the current task. Does nothing without a journal.
    pub(super) fn record(name: &str, mark: u64, not_before: u64) -> io::Result<()> {
        let (Some(mut journal), Some(step)) = (JOURNAL.get(), step()) else {
            return Ok(());
        };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        // One write, since many threads append.
        let (run, item, attempt, key) = (step.run(), step.item_id(), step.attempt(), step.idempotency_key());
        let now = micros(step.now());
        let line = format!("{at}\t{run}\t{item}\t{attempt}\t{key}\t{mark}\t{now}\t{not_before}\t{name}\n");
        journal.write_all(line.as_bytes())
    }

    /// The executions in the journal at `path`. A line that a crash cut off is skipped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> io::Result<Vec<Execution>> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        Ok(text.lines().filter_map(parse).collect())
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, item, attempt, key, mark, now, not_before, step, .. } = self;
        write!(f, "{at} item {item} attempt {attempt} mark {mark:x} key {key}: {step} at {now}")?;
        if *not_before > 0 { write!(f, ", due at {not_before}") } else { Ok(()) }
    }
}

fn parse(line: &str) -> Option<Execution> {
    let mut fields = line.split('\t').map(str::to_owned);
    Some(Execution {
        at: fields.next()?.parse().ok()?,
        run: fields.next()?,
        item: fields.next()?,
        attempt: fields.next()?.parse().ok()?,
        key: fields.next()?,
        mark: fields.next()?.parse().ok()?,
        now: fields.next()?.parse().ok()?,
        not_before: fields.next()?.parse().ok()?,
        step: fields.next()?,
    })
}
