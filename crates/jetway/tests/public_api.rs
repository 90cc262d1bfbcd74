//! The public items of `jetway` are those that the files in `api/` list.
//!
//! `api/floxide.txt` has the items that the interface of floxide names, `api/public.txt` all others, with items that are
//! `#[doc(hidden)]`. A change to the public API has to change these files:
//!
//! ```sh
//! JETWAY_UPDATE_API=1 cargo test -p jetway --test public_api
//! ```
//!
//! This updates `public.txt`, and the members of the items in `floxide.txt`. To add or remove an item of the floxide
//! interface, edit `floxide.txt`.

#![cfg(unix)]

#[path = "public_api/listing.rs"]
mod listing;
#[path = "public_api/rustdoc.rs"]
mod rustdoc;

use anyhow::{Context, Result, ensure};
use listing::Listing;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const UPDATE: &str =
    "run `JETWAY_UPDATE_API=1 cargo test -p jetway --test public_api`, and review the difference";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("api").join(name)
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(file(name)).with_context(|| format!("cannot read {}", file(name).display()))
}

/// The lines of a file, without its comment.
fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

/// The comment at the beginning of a file, then these lines.
fn with_comment(text: &str, lines: &BTreeSet<&str>) -> String {
    let comment = text.lines().take_while(|line| line.starts_with('#'));
    comment.chain(lines.iter().copied()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_public_items_are_the_listed_ones() -> Result<()> {
    let listing = Listing::of(&rustdoc::document()?)?;
    let (floxide_file, public_file) = (read("floxide.txt")?, read("public.txt")?);
    let named: BTreeSet<_> =
        lines(&floxide_file).into_iter().filter(|line| !listing::is_member(line)).collect();
    let missing: Vec<_> = named.iter().filter(|line| !listing.contains(line)).collect();
    ensure!(missing.is_empty(), "items of the floxide interface are not public: {missing:#?}");
    let (floxide, public) = listing.split(&named);
    for (name, text, found) in [("floxide.txt", &floxide_file, floxide), ("public.txt", &public_file, public)]
    {
        if std::env::var_os("JETWAY_UPDATE_API").is_some() {
            fs::write(file(name), with_comment(text, &found))?;
            continue;
        }
        let listed = lines(text);
        let added: Vec<_> = found.difference(&listed).collect();
        let removed: Vec<_> = listed.difference(&found).collect();
        ensure!(
            added.is_empty() && removed.is_empty(),
            "api/{name} is out of date: public but not listed {added:#?}, listed but not public {removed:#?}; {UPDATE}"
        );
    }
    Ok(())
}
