//! Converts DOT to SVG with Graphviz.

use crate::exit::MissingProgram;
use anyhow::{Context, bail};
use std::{io, process::Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

const NO_GRAPHVIZ: &str = "--svg needs Graphviz, but the program `dot` is not on the PATH: install the package graphviz, \
    or omit --svg and render the DOT text elsewhere";

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
        started => started.context("cannot start the Graphviz program `dot`")?,
    };
    let mut input = graphviz.stdin.take().context("cannot write to the Graphviz program `dot`")?;
    // `dot` may exit before it has read all of its input, so input and output are handled at the same time.
    let write = async move {
        match input.write_all(dot.as_bytes()).await {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    };
    let ((), ended) = tokio::try_join!(write, graphviz.wait_with_output())
        .context("cannot exchange data with the Graphviz program `dot`")?;
    if !ended.status.success() {
        let stderr = String::from_utf8_lossy(&ended.stderr);
        bail!("the Graphviz program `dot` failed with {}: {}", ended.status, stderr.trim());
    }
    String::from_utf8(ended.stdout).context("the output of the Graphviz program `dot` is not UTF-8")
}
