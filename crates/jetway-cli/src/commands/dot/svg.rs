//! From DOT to SVG, by Graphviz.

use crate::exit::MissingProgram;
use anyhow::{Context, bail};
use std::{io, process::Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

const NO_GRAPHVIZ: &str = "--svg needs Graphviz, and there is no program `dot` on the PATH: install the package graphviz, \
    or leave out --svg and draw the DOT text elsewhere";

/// The drawing as SVG.
pub(super) async fn render(dot: &str) -> anyhow::Result<String> {
    let started = Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut graphviz = match started {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MissingProgram(NO_GRAPHVIZ).into());
        }
        started => started.context("cannot start Graphviz's program `dot`")?,
    };
    let mut input = graphviz.stdin.take().context("Graphviz's program `dot` takes no input")?;
    // It may begin to answer, or give up, before it has read everything.
    let write = async move {
        match input.write_all(dot.as_bytes()).await {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    };
    let ((), ended) =
        tokio::try_join!(write, graphviz.wait_with_output()).context("Graphviz's program `dot`")?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("Graphviz's program `dot` ended with {}: {}", ended.status, said.trim());
    }
    String::from_utf8(ended.stdout).context("Graphviz's program `dot` printed no text")
}
