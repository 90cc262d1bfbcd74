//! Lists the public items of `jetway` from the JSON of rustdoc.
//!
//! One line for each path of an item: `struct jetway::Client`. The shortest path of an item is its main path. The other
//! paths are lines with the keyword `use`, and members (methods, fields, variants, ...) are listed under the main path
//! only. The format of the JSON depends on the version of Rust, so only the few fields that are needed are read.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The keywords of members, and only of members.
const MEMBERS: [&str; 5] = ["method", "field", "variant", "associated-type", "associated-const"];

/// Whether a line lists a member of another item.
pub(crate) fn is_member(line: &str) -> bool {
    MEMBERS.contains(&keyword(line))
}

fn keyword(line: &str) -> &str {
    let line = line.strip_prefix("hidden ").unwrap_or(line);
    line.split(' ').next().unwrap_or(line)
}

/// The path of the item to which a line belongs.
fn owner(line: &str) -> &str {
    let path = line.rsplit(' ').next().unwrap_or(line);
    if is_member(line) { path.rsplit_once("::").map_or(path, |(owner, _)| owner) } else { path }
}

/// An item in the documentation of a crate.
#[derive(Debug, Clone, Copy)]
struct Item<'a> {
    krate: &'a str,
    json: &'a Value,
}

/// A public path of an item.
#[derive(Debug)]
struct Path<'a> {
    path: String,
    hidden: bool,
    item: Item<'a>,
}

impl<'a> Item<'a> {
    fn kind(self) -> &'a str {
        let inner = self.json["inner"].as_object();
        inner.and_then(|inner| inner.keys().next()).map_or("", String::as_str)
    }

    fn inner(self) -> &'a Value {
        &self.json["inner"][self.kind()]
    }

    fn name(self) -> &'a str {
        self.json["name"].as_str().unwrap_or_default()
    }

    fn is_public(self) -> bool {
        self.json["visibility"] == "public"
    }

    fn is_hidden(self) -> bool {
        let attributes = self.json["attrs"].as_array().into_iter().flatten();
        attributes.map(Value::to_string).any(|attribute| attribute.contains("doc(hidden)"))
    }

    fn id(self) -> (&'a str, u64) {
        (self.krate, self.json["id"].as_u64().unwrap_or_default())
    }

    fn keyword(self) -> String {
        match self.kind() {
            "module" => "mod".to_owned(),
            "function" => "fn".to_owned(),
            "constant" => "const".to_owned(),
            "type_alias" => "type".to_owned(),
            "proc_macro" => match self.inner()["kind"].as_str() {
                Some("bang") => "macro".to_owned(),
                kind => kind.unwrap_or("macro").to_owned(),
            },
            kind => kind.replace('_', "-"),
        }
    }
}

/// The documentation of all crates.
struct Documentation<'a> {
    crates: &'a BTreeMap<String, Value>,
    /// Where an item is defined: from its path to its id, for each crate.
    definitions: HashMap<(&'a str, &'a str, String), &'a str>,
}

impl<'a> Documentation<'a> {
    fn of(crates: &'a BTreeMap<String, Value>) -> Self {
        let mut definitions = HashMap::new();
        for (krate, json) in crates {
            for (id, summary) in json["paths"].as_object().into_iter().flatten() {
                if summary["crate_id"] == 0 {
                    let kind = summary["kind"].as_str().unwrap_or_default();
                    definitions.insert((krate.as_str(), kind, summary["path"].to_string()), id.as_str());
                }
            }
        }
        Self { crates, definitions }
    }

    fn get(&self, krate: &'a str, id: &str) -> Option<Item<'a>> {
        let (krate, json) = self.crates.get_key_value(krate)?;
        Some(Item { krate, json: json["index"].get(id)? })
    }

    /// The items with these ids in the same crate.
    fn items(&self, krate: &'a str, ids: &'a Value) -> impl Iterator<Item = Item<'a>> {
        ids.as_array().into_iter().flatten().filter_map(move |id| self.get(krate, &id.to_string()))
    }

    /// The target of a `use` item. `None` if it belongs to a crate outside the workspace.
    fn target(&self, used: Item<'a>) -> Result<Option<Item<'a>>> {
        let id = used.inner()["id"].to_string();
        if let Some(item) = self.get(used.krate, &id) {
            return Ok(Some(item));
        }
        let summary = &self.crates[used.krate]["paths"][&id];
        let krate =
            summary["path"][0].as_str().with_context(|| format!("an unknown target: {}", used.inner()))?;
        let Some((krate, json)) = self.crates.get_key_value(krate) else {
            if krate.starts_with("jetway") {
                bail!("jetway re-exports {krate}, which is not documented: add it to the list of crates");
            }
            return Ok(None);
        };
        let kind = summary["kind"].as_str().unwrap_or_default();
        let definition = self.definitions.get(&(krate.as_str(), kind, summary["path"].to_string()));
        let name = summary["path"].as_array().and_then(|path| path.last()).unwrap_or(&Value::Null);
        let found = definition.and_then(|id| self.get(krate, id)).or_else(|| {
            // Derive macros have two ids.
            let root = self.get(krate, &json["root"].to_string())?;
            self.items(krate, &root.inner()["items"]).find(|item| item.json["name"] == *name)
        });
        Ok(Some(found.with_context(|| format!("{} is not documented", summary["path"]))?))
    }

    /// The public items within an item, with their keywords.
    fn members(&self, item: Item<'a>) -> Vec<(&'static str, Item<'a>)> {
        let inner = item.inner();
        let mut members = Vec::new();
        let fields = self.items(item.krate, &inner["kind"]["plain"]["fields"]);
        members.extend(fields.filter(|field| field.is_public()).map(|field| ("field", field)));
        members.extend(self.items(item.krate, &inner["variants"]).map(|variant| ("variant", variant)));
        if item.kind() == "trait" {
            members.extend(
                self.items(item.krate, &inner["items"]).map(|member| (member_keyword(member), member)),
            );
        }
        for block in self.items(item.krate, &inner["impls"]).filter(|block| block.inner()["trait"].is_null())
        {
            let public = self.items(item.krate, &block.inner()["items"]).filter(|member| member.is_public());
            members.extend(public.map(|member| (member_keyword(member), member)));
        }
        members
    }

    fn walk(&self, path: Path<'a>, paths: &mut Vec<Path<'a>>) -> Result<()> {
        let Path { item, hidden, .. } = path;
        let module = path.path.clone();
        paths.push(path);
        if item.kind() != "module" {
            return Ok(());
        }
        for child in self.items(item.krate, &item.inner()["items"]).filter(|child| child.is_public()) {
            let hidden = hidden || child.is_hidden();
            let next = |name: &str, item: Item<'a>| Path {
                path: format!("{module}::{name}"),
                hidden: hidden || item.is_hidden(),
                item,
            };
            if child.kind() != "use" {
                self.walk(next(child.name(), child), paths)?;
                continue;
            }
            let name = child.inner()["name"].as_str().unwrap_or_default();
            match (self.target(child)?, child.inner()["is_glob"] == true) {
                (None, _) => paths.push(next(name, child)),
                (Some(target), false) => self.walk(next(name, target), paths)?,
                (Some(target), true) => {
                    for item in
                        self.items(target.krate, &target.inner()["items"]).filter(|item| item.is_public())
                    {
                        self.walk(next(item.name(), item), paths)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn member_keyword(member: Item<'_>) -> &'static str {
    match member.kind() {
        "assoc_type" => "associated-type",
        "assoc_const" => "associated-const",
        _ => "method",
    }
}

/// The lines, sorted.
#[derive(Debug)]
pub(crate) struct Listing(BTreeSet<String>);

impl Listing {
    /// Lists what `jetway` makes public.
    pub(crate) fn of(crates: &BTreeMap<String, Value>) -> Result<Self> {
        let documentation = Documentation::of(crates);
        let root = crates.get("jetway").context("jetway is not documented")?;
        let item = documentation.get("jetway", &root["root"].to_string()).context("jetway has no root")?;
        let mut paths = Vec::new();
        documentation.walk(Path { path: "jetway".to_owned(), hidden: false, item }, &mut paths)?;
        // Visible before hidden, short before long: the first path of an item is its main path.
        paths.sort_by_key(|path| (path.hidden, path.path.matches("::").count(), path.path.clone()));
        let mut listed = BTreeSet::new();
        let mut lines = BTreeSet::new();
        let mut add = |hidden: bool, keyword: &str, path: &str| {
            lines.insert(format!("{}{keyword} {path}", if hidden { "hidden " } else { "" }));
        };
        for Path { path, hidden, item } in &paths {
            // Modules are listed at each of their paths, since items differ.
            if item.kind() != "module" && !listed.insert(item.id()) {
                add(*hidden, "use", path);
                continue;
            }
            add(*hidden, &item.keyword(), path);
            for (keyword, member) in documentation.members(*item) {
                add(*hidden || member.is_hidden(), keyword, &format!("{path}::{}", member.name()));
            }
        }
        Ok(Self(lines))
    }

    pub(crate) fn contains(&self, line: &str) -> bool {
        self.0.contains(line)
    }

    /// The lines that belong to the items of `named`, and the other lines.
    pub(crate) fn split(&self, named: &BTreeSet<&str>) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let owners: BTreeSet<_> = named.iter().map(|line| owner(line)).collect();
        self.0.iter().map(String::as_str).partition(|line| {
            if is_member(line) { owners.contains(owner(line)) } else { named.contains(line) }
        })
    }
}
