//! libfaketime: processes whose clock is wrong.

use std::env;
use std::path::{Path, PathBuf};

/// The variable that names the library.
const LIBRARY_PATH: &str = "JETWAY_TEST_FAKETIME";

/// For programs with threads.
const LIBRARY: &str = "libfaketimeMT.so.1";

/// Where Debian's package `faketime`, and those of other distributions, have it.
const DIRECTORIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
];

/// The library libfaketime, which changes the clock of a process that is linked dynamically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeTime {
    library: PathBuf,
}

impl FakeTime {
    /// What to do where [`find`](Self::find) finds nothing.
    pub const HINT: &str =
        "install Debian's package `faketime`, or set JETWAY_TEST_FAKETIME to the path of libfaketimeMT.so.1";

    /// The library that `JETWAY_TEST_FAKETIME` names, or that a package has installed. `None` if there is none.
    pub fn find() -> Option<Self> {
        let named = env::var_os(LIBRARY_PATH).filter(|path| !path.is_empty()).map(PathBuf::from);
        let known = DIRECTORIES.iter().map(|directory| Path::new(directory).join(LIBRARY));
        named.into_iter().chain(known).find(|path| path.exists()).map(|library| Self { library })
    }

    /// The path of the library.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The environment of a process whose clock is ahead by this many seconds, or behind if the number is negative. Its
    /// monotonic clock is right.
    pub fn environment(&self, seconds: f64) -> [(&'static str, String); 4] {
        self.with("FAKETIME", format!("{seconds:+}"))
    }

    /// The environment of a process whose clock is wrong by what a file says, each time that the process looks at the clock: `+7200`
    /// is two hours ahead. The file has to be there before the process.
    pub fn environment_from(&self, file: &Path) -> [(&'static str, String); 4] {
        self.with("FAKETIME_TIMESTAMP_FILE", file.display().to_string())
    }

    fn with(&self, name: &'static str, value: String) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            (name, value),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_says_that_the_time_is_relative() {
        let library = FakeTime { library: "x".into() };
        for (seconds, expected) in [(90.0, "+90"), (-3600.0, "-3600"), (0.05, "+0.05"), (0.0, "+0")] {
            assert_eq!(library.environment(seconds)[1], ("FAKETIME", expected.to_owned()));
        }
    }
}
