//! Somebody who types what a page shows.

use crate::support::{DEADLINE, go_tool};
use anyhow::{Context, Result, bail, ensure};
use jetway_testing::{GoTool, python_with};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The address that the page shows.
const SHOWN_ADDRESS: &str = "nats://127.0.0.1:4222";
/// The words with which a page says that a command goes on.
const GOES_ON: &str = "In a terminal of its own";
/// Commands of an unoptimised build, as the workspace is built, so that its dependencies are not built again.
const CARGO_CONFIG: &str =
    "[profile.dev]\ndebug = \"line-tables-only\"\n[profile.dev.package.\"*\"]\ndebug = false\n";

/// Types what a page shows, in an empty directory.
pub(super) struct Reader {
    home: TempDir,
    /// Where `cd` went.
    directory: PathBuf,
    repository: PathBuf,
    /// The address of the server that `jetway dev` started.
    address: String,
    /// The packages of Python that are installed.
    python: Vec<String>,
    terminals: Vec<Child>,
    /// The number of commands and programs.
    pub(super) followed: usize,
}

impl Reader {
    pub(super) async fn new() -> Result<Self> {
        let home = TempDir::new()?;
        fs::create_dir_all(home.path().join(".cargo"))?;
        fs::write(home.path().join(".cargo/config.toml"), CARGO_CONFIG)?;
        Ok(Self {
            directory: home.path().to_owned(),
            repository: Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?,
            home,
            address: SHOWN_ADDRESS.to_owned(),
            python: Vec::new(),
            terminals: Vec::new(),
            followed: 0,
        })
    }

    /// Follows one block.
    pub(super) async fn follow(&mut self, language: &str, text: &str) -> Result<()> {
        let text = text.replace(SHOWN_ADDRESS, &self.address);
        match language {
            "sh" => {
                for line in text.lines() {
                    self.type_line(line).await.with_context(|| line.to_owned())?;
                    self.followed += 1;
                }
            }
            "toml" => {
                let manifest = self.directory.join("Cargo.toml");
                let made = fs::read_to_string(&manifest)?;
                let dependencies = text.replace("../jetway/", &format!("{}/", self.repository.display()));
                fs::write(manifest, made.replace("[dependencies]\n", &dependencies))?;
                // The versions with which everything else is tested.
                fs::copy(self.repository.join("Cargo.lock"), self.directory.join("Cargo.lock"))?;
            }
            "rust,no_run" => fs::write(self.directory.join("src/main.rs"), text)?,
            "python" => self.program("start.py", &text).await?,
            "js" => self.program("start.mjs", &text).await?,
            "text" => {}
            _ => bail!("this test cannot follow {language}"),
        }
        Ok(())
    }

    async fn type_line(&mut self, line: &str) -> Result<()> {
        let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["git", "clone", _] => Ok(()),
            ["cd", directory] => {
                self.directory.push(directory);
                Ok(())
            }
            ["cargo", "install", "--locked", "--path", path] => {
                let path = path.replace("jetway/", &format!("{}/", self.repository.display()));
                let root = self.home.path().display();
                self.run(&format!("cargo install --quiet --debug --locked --path {path} --root {root}"))
                    .await
                    .map(drop)
            }
            ["pip", "install", ref packages @ ..] => {
                self.python = packages.iter().map(|package| (*package).to_owned()).collect();
                Ok(())
            }
            ["npm", ..] => match found("npm")? {
                true => self.run(command).await.map(drop),
                false => Ok(()),
            },
            ["nats", ..] => match go_tool(GoTool::Nats)? {
                Some(_nats) => self.run(command).await.map(drop),
                None => Ok(()),
            },
            _ if comment.contains(GOES_ON) => self.open_terminal(command).await,
            // As shown, but not for minutes.
            ["jetway", "verify", ..] => self.run(&format!("{command} --runs 5")).await.map(drop),
            ["jetway", "demo", path] => {
                let path = path.replace("jetway/", &format!("{}/", self.repository.display()));
                self.run(&format!("jetway demo {path}/jetway-cli")).await.map(drop)
            }
            ["jetway" | "cargo", ..] => self.run(command).await.map(drop),
            _ => bail!("this test does not know the command"),
        }
    }

    async fn program(&mut self, name: &str, text: &str) -> Result<()> {
        let interpreter = match name {
            "start.py" => {
                let packages: Vec<&str> = self.python.iter().map(String::as_str).collect();
                ensure!(!packages.is_empty(), "no package is installed");
                python_with(&packages).await?.display().to_string()
            }
            _ if found("node")? => "node".to_owned(),
            _ => return Ok(()),
        };
        fs::write(self.directory.join(name), text)?;
        let said = self.run(&format!("{interpreter} {name}")).await?;
        ensure!(said.contains("completed") && said.contains("10"), "{name}: {said}");
        self.followed += 1;
        Ok(())
    }

    /// Runs a command to its end.
    async fn run(&self, command: &str) -> Result<String> {
        let ended =
            timeout(DEADLINE * 3, self.shell(command)?.output()).await.context("it did not end")??;
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        ensure!(ended.status.success(), "{}: {said}", ended.status);
        Ok(said)
    }

    /// Starts a command that goes on, and waits until it is ready.
    async fn open_terminal(&mut self, command: &str) -> Result<()> {
        // The shell becomes the command, so that killing it ends the command.
        let mut shell = self.shell(&format!("exec {command}"))?;
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (out, err) = (child.stdout.take().context("piped")?, child.stderr.take().context("piped")?);
        let is_dev = command.starts_with("jetway dev");
        let said = match is_dev {
            true => ready(out, err, "Press Ctrl-C").await?,
            false => ready(err, out, " serving ").await?,
        };
        let address = said.lines().find_map(|line| line.strip_prefix("NATS server")).map(str::trim);
        if let Some(address) = address.filter(|_| is_dev) {
            self.address = address.to_owned();
        }
        self.terminals.push(child);
        Ok(())
    }

    fn shell(&self, command: &str) -> Result<Command> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.directory).stdin(Stdio::null()).kill_on_drop(true);
        // Cargo tells a test about its package, and the machine may have settings of NATS.
        let foreign = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "NATS_", "JETWAY_", "OTEL_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(foreign)) {
            shell.env_remove(name);
        }
        let mut path = vec![self.home.path().join("bin")];
        path.extend(GoTool::Nats.find().and_then(|nats| Some(nats.parent()?.to_owned())));
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        shell.env("PATH", env::join_paths(path)?);
        if let Some(server) = env::var_os("NATS_SERVER_BIN") {
            shell.env("NATS_SERVER_BIN", server);
        }
        shell.env("NATS_URL", &self.address).env("XDG_CONFIG_HOME", self.home.path());
        shell.env("CARGO_TARGET_DIR", target().context("the directory of builds")?).env_remove("RUST_LOG");
        Ok(shell)
    }
}

/// Reads until a line has these words, and goes on reading in the background: otherwise the program would stop at a full pipe.
async fn ready(
    stream: impl AsyncRead + Unpin + Send + 'static,
    other: impl AsyncRead + Unpin + Send + 'static,
    words: &str,
) -> Result<String> {
    let mut other = BufReader::new(other).lines();
    let other = tokio::spawn(async move {
        let mut said = String::new();
        while let Ok(Some(line)) = other.next_line().await {
            said.push_str(&line);
            said.push('\n');
        }
        said
    });
    let mut lines = BufReader::new(stream).lines();
    let mut said = String::new();
    loop {
        let Some(line) = timeout(DEADLINE * 3, lines.next_line()).await.context("it is not ready")?? else {
            bail!("it ended: {said}{}", other.await?);
        };
        said.push_str(&line);
        said.push('\n');
        if line.contains(words) {
            tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
            return Ok(said);
        }
    }
}

/// The directory in which the workspace is built: `target/PROFILE/deps/it-HASH` is this test.
fn target() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.parent()?.parent()?.to_owned())
}

/// Whether a program is installed. CI has all of them.
#[expect(clippy::print_stderr, reason = "a test that skips something says so")]
fn found(program: &str) -> Result<bool> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(program).exists());
    if !found {
        ensure!(env::var_os("CI").is_none(), "no {program}");
        eprintln!("SKIPPED: no {program}: install Node.js");
    }
    Ok(found)
}
