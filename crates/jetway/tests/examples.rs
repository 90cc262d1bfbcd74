//! Every example prints what its documentation says, in its own process and on a server.
//!
//! The tests run the example programs. Cargo builds the examples of a package together with its tests, but gives tests no
//! path to them (there is no `CARGO_BIN_EXE_..` for an example), so the tests look for them in the target directory. With
//! `--test examples` Cargo does not build the examples. A missing or outdated program is then an error.

#[path = "examples/pictures.rs"]
mod pictures;

use anyhow::{Context, Result, ensure};
use jetway_testing::{shared_server, unique_namespace};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(120);
const BUILD: &str = "run `cargo build -p jetway --examples`, or this test without `--test`";

/// Three tests for each example, and the list of all examples.
macro_rules! examples {
    ($($name:ident),+ $(,)?) => {
        const LISTED: &[&str] = &[$(stringify!($name)),+];

        mod in_memory {
            $(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    super::check(stringify!($name), &[]).await
                }
            )+
        }

        mod drawn {
            $(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    super::pictures::check(stringify!($name)).await
                }
            )+
        }

        mod on_a_server {
            $(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    super::check_on_a_server(stringify!($name)).await
                }
            )+
        }
    };
}

examples! {
    hello,
    branching,
    fan_out_gather,
    loop_with_exit,
    fallback,
    retry,
    checkpoint_resume,
    nested,
    child_runs,
    order_saga,
    batch,
    timer_source,
    context_merge,
}

async fn check_on_a_server(name: &str) -> Result<()> {
    let (url, namespace) = (shared_server().await.url(), unique_namespace(name));
    check(name, &["--nats", &url, "--namespace", &namespace]).await
}

/// Runs an example and compares its output with its documentation.
async fn check(name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program(name)?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let ended =
        tokio::time::timeout(DEADLINE, command.output()).await.context("the example does not end")??;
    let (stdout, stderr) = (String::from_utf8(ended.stdout)?, String::from_utf8(ended.stderr)?);
    ensure!(ended.status.success(), "{}\n{stdout}\n{stderr}", ended.status);
    assert_eq!(stdout, documented(&fs::read_to_string(source(name))?)?);
    assert_eq!(stderr, "");
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn source(name: &str) -> PathBuf {
    folder().join(name).with_extension("rs")
}

/// The program of an example. It has to be newer than its sources.
fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("the directory of the test programs")?;
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let built = modified(&program).with_context(|| format!("`{name}` is not built: {BUILD}"))?;
    // Cargo writes a file `program: source source ..` next to a program, with all sources in the workspace.
    let sources = fs::read_to_string(profile.join("examples").join(format!("{name}.d")))?;
    let (_program, sources) = sources.split_once(": ").context("the list of the program's sources")?;
    let sources: Vec<_> = sources.replace("\\ ", "\0").split_whitespace().map(unescaped).collect();
    ensure!(sources.contains(&source(name)), "{sources:?} are not the sources of `{name}`");
    for source in sources {
        let changed = modified(&source)?;
        ensure!(changed <= built, "`{name}` is older than {}: {BUILD}", source.display());
    }
    Ok(program)
}

fn unescaped(path: &str) -> PathBuf {
    PathBuf::from(path.replace('\0', " "))
}

fn modified(path: &Path) -> Result<SystemTime> {
    let changed = fs::metadata(path).and_then(|file| file.modified());
    changed.with_context(|| path.display().to_string())
}

/// The documented output of an example: the block after `It prints:`.
fn documented(source: &str) -> Result<String> {
    let lines = source.lines().skip_while(|line| *line != "//! It prints:");
    let mut lines = lines.skip_while(|line| *line != "//! ```text").skip(1).peekable();
    lines.peek().context("the documentation has no output: add `//! It prints:` and a text block")?;
    let lines = lines.take_while(|line| *line != "//! ```");
    Ok(lines.map(|line| format!("{}\n", line.trim_start_matches("//!").trim_start_matches(' '))).collect())
}

/// The sources of the examples, by name.
fn sources() -> Result<Vec<(String, String)>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
            sources.push((name, fs::read_to_string(path)?));
        }
    }
    Ok(sources)
}

#[test]
fn every_example_is_tested() -> Result<()> {
    let found: BTreeSet<_> = sources()?.into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, LISTED.iter().map(ToString::to_string).collect(), "add it to the list in this file");
    Ok(())
}

#[test]
fn examples_are_short_and_use_few_crates() -> Result<()> {
    // An example can use every dependency of this package. A user's program may not have them.
    let crates = ["jetway", "serde", "tokio", "anyhow", "std"];
    let mut broken = Vec::new();
    for (name, source) in sources()? {
        let lines = source.lines().count();
        if lines > 160 {
            broken.push(format!("{name} has {lines} lines; 160 are allowed"));
        }
        for option in ["", " -- --nats nats://127.0.0.1:4222"] {
            let command = format!("//! cargo run -p jetway --example {name}{option}\n");
            if !source.contains(&command) {
                broken.push(format!("the documentation of {name} lacks: {command}"));
            }
        }
        let named = source.lines().filter_map(|line| line.strip_prefix("use ")?.split([':', ';']).next());
        broken.extend(named.filter(|name| !crates.contains(name)).map(|used| format!("{name} uses {used}")));
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
    Ok(())
}
