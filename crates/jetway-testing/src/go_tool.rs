//! Programs that users run next to Jetway, and that are built with Go: Jaeger and the `nats` command.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jetway_server::cache::{CacheError, cache_dir, staging_dir};
use jetway_server::command::{CommandError, run};

/// A program that is built with Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoTool {
    /// Jaeger, which collects and shows traces.
    Jaeger,
    /// The `nats` command.
    Nats,
}

/// Where the source of a program is, and what it has to be.
struct Source {
    name: &'static str,
    /// The variable that names the program.
    variable: &'static str,
    module: &'static str,
    version: &'static str,
    /// The package of the program, below the module.
    package: &'static str,
    /// The hash of the module, as `go.sum` has it.
    hash: &'static str,
}

const JAEGER: Source = Source {
    name: "jaeger",
    variable: "JETWAY_TEST_JAEGER",
    module: "github.com/jaegertracing/jaeger",
    version: "v1.76.0",
    package: "cmd/jaeger",
    hash: "h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=",
};

const NATS: Source = Source {
    name: "nats",
    variable: "JETWAY_TEST_NATS",
    module: "github.com/nats-io/natscli",
    version: "v0.5.0",
    package: "nats",
    hash: "h1:3DTd7Lt3GmaOxrB9V1upxE28JSu9bqa3QmsvadOsAkM=",
};

/// A program cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GoToolError {
    /// There is no Go, or it cannot build the program.
    #[error("cannot build {name} with Go: {source}")]
    Build {
        /// The program.
        name: &'static str,
        /// The step that failed.
        source: CommandError,
    },
    /// The source is not the one that is expected.
    #[error("the source of {name} {version} is not {hash}: it is not built")]
    Source {
        /// The program.
        name: &'static str,
        /// Its version.
        version: &'static str,
        /// The expected hash.
        hash: &'static str,
    },
    /// The cache cannot be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl GoTool {
    /// What the program is called.
    pub fn name(self) -> &'static str {
        self.source().name
    }

    /// What to do where [`find`](Self::find) finds nothing.
    pub fn hint(self) -> String {
        let Source { name, variable, .. } = self.source();
        format!(
            "install Go, run `cargo run -p jetway-testing --bin jetway-harness -- {name}`, which builds it into the cache \
             within some minutes; or set {variable} to its path"
        )
    }

    /// The program that the variable `JETWAY_TEST_JAEGER` or `JETWAY_TEST_NATS` names, or that is in the cache. `None` if there
    /// is none: building it takes minutes, so a test does not do so on its own.
    pub fn find(self) -> Option<PathBuf> {
        let named = env::var_os(self.source().variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        let kept = cache_dir().ok().map(|cache| self.source().path(&cache));
        named.into_iter().chain(kept).find(|path| path.is_file())
    }

    /// The same; if there is none, builds it into the [cache directory](jetway_server::cache::cache_dir). Any number of
    /// processes may do so at the same time.
    ///
    /// # Errors
    /// There is no Go, a module cannot be had, its hash is another one, or the cache cannot be written.
    pub fn find_or_build(self, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, GoToolError> {
        match self.find() {
            Some(path) => Ok(path),
            None => self.source().build(&cache_dir()?, progress),
        }
    }

    fn source(self) -> &'static Source {
        match self {
            Self::Jaeger => &JAEGER,
            Self::Nats => &NATS,
        }
    }
}

impl Source {
    /// Where the program is kept in `cache`, built or not.
    fn path(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.name, self.version.trim_start_matches('v'))).join(self.name)
    }

    fn build(&self, cache: &Path, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, GoToolError> {
        let Self { name, version, module, package, .. } = self;
        let failed = |source| GoToolError::Build { name: self.name, source };
        let staging = staging_dir(cache)?;
        let target = self.path(cache);
        progress(&format!("building {name} {version} into {} (once, within some minutes)", cache.display()));
        let go = |arguments: &[OsString]| run(go(staging.path()).args(arguments)).map_err(failed);
        let package = format!("{module}/{package}");
        go(&words(&["mod", "init", "tools"]))?;
        // `go install` refuses a module with replacements; as a tool of another module it is built with that one's.
        go(&words(&["get", "-tool", &format!("{package}@{version}")]))?;
        self.check(staging.path())?;
        let built = staging.path().join(name);
        let mut build = words(&["build", "-ldflags=-s -w", "-o"]);
        build.extend([built.clone().into_os_string(), package.into()]);
        go(&build)?;
        let write_error = |source| CacheError::Write { path: target.clone(), source };
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(write_error)?;
        }
        fs::rename(&built, &target).map_err(write_error)?;
        Ok(target)
    }

    /// Whether Go has taken the source that is pinned here. It checks those of the dependencies itself.
    fn check(&self, directory: &Path) -> Result<(), GoToolError> {
        let path = directory.join("go.sum");
        let sums = fs::read_to_string(&path).map_err(|source| CacheError::Write { path, source })?;
        let line = format!("{} {} {}", self.module, self.version, self.hash);
        if sums.lines().any(|found| found == line) {
            return Ok(());
        }
        Err(GoToolError::Source { name: self.name, version: self.version, hash: self.hash })
    }
}

/// Go, in a module of its own.
fn go(directory: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(directory).env("GOWORK", "off").env("GOFLAGS", "-buildvcs=false");
    go
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_kept_by_its_version() {
        let cache = Path::new("/c");
        assert_eq!(JAEGER.path(cache), Path::new("/c/jaeger-1.76.0/jaeger"));
        assert_eq!(NATS.path(cache), Path::new("/c/nats-0.5.0/nats"));
    }

    #[test]
    fn another_source_is_not_built() {
        let directory = tempfile::tempdir().unwrap();
        let sums = |hash: &str| format!("{} {} {hash}\nother v1 h1:x=\n", NATS.module, NATS.version);
        fs::write(directory.path().join("go.sum"), sums(NATS.hash)).unwrap();
        NATS.check(directory.path()).unwrap();
        fs::write(directory.path().join("go.sum"), sums("h1:another=")).unwrap();
        let error = NATS.check(directory.path()).unwrap_err().to_string();
        assert!(error.contains("nats v0.5.0") && error.contains("not built"), "{error}");
    }

    #[test]
    fn a_hint_says_how_to_get_it() {
        for tool in [GoTool::Jaeger, GoTool::Nats] {
            assert!(tool.hint().contains(&format!("jetway-harness -- {}", tool.name())), "{}", tool.hint());
        }
    }
}
