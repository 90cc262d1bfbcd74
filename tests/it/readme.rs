//! Everything that the README shows, typed as it stands there in an empty directory: its commands, its crate and its clients.
//!
//! What differs is named in [`Reader`]: the checkout is this repository, the command is built without optimisation, and the
//! server listens on a free port if 4222 is in use.

mod blocks;
mod reader;

use anyhow::{Result, ensure};
use blocks::{Block, blocks};
use reader::Reader;
use std::path::Path;

fn readme() -> Result<String> {
    Ok(std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn u13_the_readme_works_in_an_empty_directory() -> Result<()> {
    let shown = blocks(&readme()?);
    for language in ["sh", "toml", "rust,no_run", "python", "js"] {
        ensure!(shown.iter().any(|block| block.language == language), "the README shows no {language}");
    }
    for round in 1..=2 {
        let mut reader = Reader::new().await?;
        for Block { language, text } in &shown {
            reader.follow(language, text).await?;
        }
        ensure!(reader.followed > 12, "round {round} followed {} lines only", reader.followed);
        // Whoever tries the clients again gets answers again.
        for Block { language, text } in shown.iter().filter(|block| block.is_client()) {
            reader.follow(language, text).await?;
        }
    }
    Ok(())
}

#[test]
fn u13_the_readme_names_versions() -> Result<()> {
    let (readme, manifest) = (readme()?, std::fs::read_to_string("../Cargo.toml")?);
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap_or_default();
    for version in [format!("Rust {} or later", rust.trim_matches('"')), "`nats-server` 2.12".to_owned()] {
        assert!(readme.contains(&version), "the README does not name {version}");
    }
    Ok(())
}
