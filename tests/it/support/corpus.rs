//! A directory of files, and what is true of it by other tools.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// What `find`, `cat` and `wc` say of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

impl Counts {
    /// Of the files of `directory` that are text.
    pub(crate) fn by_wc(directory: &Path) -> Result<Self> {
        let script = r#"cd "$1" && find . -type f ! -name '*.bin' -print0 | tee /dev/stderr | xargs -0 cat | LC_ALL=C wc -l -w -c"#;
        let said = Command::new("sh").args(["-c", script, "sh"]).arg(directory).output()?;
        let text = String::from_utf8(said.stdout)?;
        let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [lines, words, bytes] = numbers[..] else { anyhow::bail!("wc said {text:?}") };
        let files = said.stderr.iter().filter(|byte| **byte == 0).count() as u64;
        Ok(Self { files, bytes, lines, words })
    }

    /// Of a report of the `corpus` workflow.
    pub(crate) fn of_report(report: &Value) -> Result<Self> {
        let number = |name: &str| report[name].as_u64().with_context(|| format!("no {name} in {report:#}"));
        Ok(Self {
            files: number("files_analysed")?,
            bytes: number("bytes")?,
            lines: number("lines")?,
            words: number("words")?,
        })
    }
}

/// A directory of `files` text files and one that is binary.
pub(crate) fn directory(files: usize) -> Result<(TempDir, PathBuf)> {
    let directory = TempDir::new()?;
    let root = directory.path().to_owned();
    for number in 0..files {
        let folder = root.join(format!("d{}", number % 17)).join(format!("e{}", number % 5));
        fs::create_dir_all(&folder)?;
        let words: Vec<String> =
            (0..number % 41).map(|word| format!("word{} common", (number * 31 + word) % 701)).collect();
        fs::write(
            folder.join(format!("f{number}.txt")),
            words.join(if number % 3 == 0 { "\n" } else { " \t" }) + "\n",
        )?;
    }
    fs::write(root.join("image.bin"), [0x89, b'P', 0, 1, 2, 0xff])?;
    ensure!(Counts::by_wc(&root)?.files == files as u64, "the directory is not what it should be");
    Ok((directory, root))
}
