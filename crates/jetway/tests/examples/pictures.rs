//! The picture of each example in `docs/pictures` shows its current workflow.
//!
//! A picture contains the DOT text that it was drawn from. The tests compare it with the output of the example with
//! `--dot`, so they do not need Graphviz. Drawing needs the Graphviz program `dot`:
//!
//! ```sh
//! cargo build -p jetway --examples && JETWAY_DRAW=1 cargo test -p jetway --test examples drawn
//! ```

use super::{LISTED, program};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{io::AsyncWriteExt, process::Command};

const HOW: &str =
    "build the examples, and draw them with `JETWAY_DRAW=1 cargo test -p jetway --test examples drawn`";
/// The size limit of a picture; enough for twenty nodes.
const MAX_SIZE: usize = 16 << 10;

/// Compares the graph of an example with its picture.
pub(crate) async fn check(name: &str) -> Result<()> {
    let dot = printed(Command::new(program(name)?).arg("--dot"), "").await?;
    ensure!(dot.starts_with("digraph "), "`{name} --dot` prints {dot}");
    let path = folder().join(name).with_extension("svg");
    if std::env::var_os("JETWAY_DRAW").is_some() {
        let drawn = printed(Command::new("dot").arg("-Tsvg"), &dot).await?;
        fs::write(&path, picture(&drawn, &dot)?)?;
    }
    let svg = fs::read_to_string(&path).with_context(|| format!("`{name}` has no picture: {HOW}"))?;
    ensure!(drawn_from(&svg) == Some(dot), "the picture of `{name}` is outdated: {HOW}");
    ensure!(svg.len() <= MAX_SIZE, "the picture of `{name}` has {} bytes", svg.len());
    ensure!(!svg.lines().any(str::is_empty), "a blank line would end the picture in the guide");
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures")
}

async fn printed(command: &mut Command, input: &str) -> Result<String> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let mut process = spawned.with_context(|| format!("{command:?}"))?;
    // Both programs read all of their input before they write.
    let mut stdin = process.stdin.take().context("an input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let ended = process.wait_with_output().await?;
    ensure!(ended.status.success(), "{command:?}: {}", ended.status);
    Ok(String::from_utf8(ended.stdout)?)
}

/// Converts the output of Graphviz to a part of an HTML page: without prologue, comments and ids (which would repeat in the
/// next picture), and with the DOT text that it was drawn from.
fn picture(drawn: &str, dot: &str) -> Result<String> {
    let (_prologue, svg) = drawn.split_once("<svg").context("no picture")?;
    let (attributes, content) = svg.split_once('>').context("a tag")?;
    let mut picture = format!("<svg{attributes}>\n<desc>{}</desc>\n", escaped(dot));
    for line in content.lines().filter(|line| !line.is_empty() && !line.starts_with("<!--")) {
        let line =
            match line.split_once(" id=\"").and_then(|(tag, rest)| Some((tag, rest.split_once('"')?.1))) {
                Some((tag, rest)) => format!("{tag}{rest}"),
                None => line.to_owned(),
            };
        picture.push_str(&line);
        picture.push('\n');
    }
    Ok(picture)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn drawn_from(svg: &str) -> Option<String> {
    let (_, rest) = svg.split_once("<desc>")?;
    let (text, _) = rest.split_once("</desc>")?;
    Some(text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
}

#[test]
fn pictures_are_of_examples() -> Result<()> {
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        ensure!(LISTED.contains(&name.as_str()), "{} belongs to no example", path.display());
    }
    Ok(())
}

#[test]
fn the_guide_shows_every_picture() -> Result<()> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide.rs"))?;
    for name in LISTED {
        ensure!(page.contains(&format!("    \"{name}\": ")), "`{name}` is not in the guide");
    }
    Ok(())
}
