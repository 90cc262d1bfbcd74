//! libfaketime: processes whose clock is wrong.

use anyhow::{Context, Result, ensure};
use std::{
    env,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// A variable that names the library.
const VARIABLE: &str = "JETWAY_TEST_FAKETIME";
/// Where Debian's package `faketime` has it.
const DIRECTORIES: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib64/faketime"];
/// For programs with threads.
const LIBRARY: &str = "libfaketimeMT.so.1";

/// Changes the clock of processes.
pub(crate) struct FakeTime {
    library: PathBuf,
}

impl FakeTime {
    /// Finds the library. `None`, and a word about it, where it is not installed. CI has it.
    ///
    /// # Errors
    /// It is not there in CI, or it does not change the clock of a process.
    pub(crate) async fn find() -> Result<Option<Self>> {
        let named = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let known = DIRECTORIES.iter().map(|directory| Path::new(directory).join(LIBRARY));
        let Some(library) = named.into_iter().chain(known).find(|path| path.exists()) else {
            ensure!(
                env::var_os("CI").is_none(),
                "no {LIBRARY}: install Debian's package faketime, or set {VARIABLE}"
            );
            eprintln!(
                "SKIPPED: no {LIBRARY}: install Debian's package faketime, or set {VARIABLE} to the path of the library"
            );
            return Ok(None);
        };
        let found = Self { library };
        found.check().await?;
        Ok(Some(found))
    }

    /// The environment of a process whose clock is wrong by this many seconds. Its monotonic clock is right.
    pub(crate) fn environment(&self, seconds: f64) -> Result<Vec<(&'static str, String)>> {
        let library = self.library.to_str().context("the path of libfaketime is no text")?;
        Ok(vec![
            ("LD_PRELOAD", library.to_owned()),
            ("FAKETIME", format!("{seconds:+}")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // Every read of the clock changes it, without a cache.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ])
    }

    /// A library that the dynamic linker ignores would make every test pass.
    async fn check(&self) -> Result<()> {
        let seconds = async |environment: Vec<(&str, String)>| {
            let date = Command::new("date").arg("+%s").envs(environment).output().await?;
            let text = String::from_utf8(date.stdout)?;
            text.trim().parse::<i64>().with_context(|| format!("date said {text:?}"))
        };
        let (right, wrong) = (seconds(Vec::new()).await?, seconds(self.environment(-3600.0)?).await?);
        ensure!(
            (3500..=3601).contains(&(right - wrong)),
            "{} does not set a clock back by an hour: {right} and {wrong}",
            self.library.display()
        );
        Ok(())
    }
}
