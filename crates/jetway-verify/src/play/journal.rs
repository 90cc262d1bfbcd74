//! What a host notes of every execution of a node, so that it can be told after the host was killed.

use jetway::step;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// The journal of this process. Nodes are plain values that any host could build, so they find it here.
static JOURNAL: OnceLock<File> = OnceLock::new();

/// The journal of a host process: one line for each execution of a node, with what outlives the process.
#[derive(Debug)]
pub struct Journal;

/// One execution of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// When it began, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The run.
    pub run: String,
    /// The work item.
    pub item: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The name of the step in the program.
    pub step: String,
}

impl Journal {
    /// Appends to `path` from now on.
    ///
    /// # Errors
    /// The file cannot be opened, or there is a journal already.
    pub fn open(path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        JOURNAL.set(file).map_err(|_second| io::Error::other("this process has a journal already"))
    }

    /// Takes note of an execution of the step in the current task. Without a journal nothing is noted.
    pub(super) fn note(name: &str) -> io::Result<()> {
        let (Some(mut journal), Some(step)) = (JOURNAL.get(), step()) else {
            return Ok(());
        };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        // One write, since many threads append.
        let line = format!("{at}\t{}\t{}\t{}\t{name}\n", step.run(), step.item_id(), step.attempt());
        journal.write_all(line.as_bytes())
    }

    /// Every execution that the journal at `path` holds. A line that was cut off by a crash is left out.
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

fn parse(line: &str) -> Option<Execution> {
    let mut fields = line.split('\t').map(str::to_owned);
    Some(Execution {
        at: fields.next()?.parse().ok()?,
        run: fields.next()?,
        item: fields.next()?,
        attempt: fields.next()?.parse().ok()?,
        step: fields.next()?,
    })
}
