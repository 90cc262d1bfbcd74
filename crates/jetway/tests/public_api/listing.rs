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

    /// Collects the paths of an item and of everything in it.
    fn walk(&self, path: Path<'a>, paths: &mut Vec<Path<'a>>) -> Result<()> {
        let (module, hidden, item) = (path.path.clone(), path.hidden, path.item);
        paths.push(path);
        if item.kind() == "module" { self.walk_module(&module, hidden, item, paths) } else { Ok(()) }
    }

    /// Collects the paths of everything in `module`, which is public as `parent`.
    fn walk_module(
        &self,
        parent: &str,
        hidden: bool,
        module: Item<'a>,
        paths: &mut Vec<Path<'a>>,
    ) -> Result<()> {
        for child in self.items(module.krate, &module.inner()["items"]).filter(|child| child.is_public()) {
            let hidden = hidden || child.is_hidden();
            let (name, target) = if child.kind() == "use" {
                (child.inner()["name"].as_str().unwrap_or_default(), self.target(child)?)
            } else {
                (child.name(), Some(child))
            };
            let path = |item: Item<'a>| Path {
                path: format!("{parent}::{name}"),
                hidden: hidden || item.is_hidden(),
                item,
            };
            match target {
                Some(target) if child.inner()["is_glob"] == true => {
                    self.walk_module(parent, hidden, target, paths)?;
                }
                Some(target) => self.walk(path(target), paths)?,
                None => paths.push(path(child)),
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

/// The lines, sorted, each with the id of the item to which it belongs.
#[derive(Debug)]
pub(crate) struct Listing(BTreeMap<String, (String, u64)>);

impl Listing {
    /// Lists what `jetway` makes public.
    pub(crate) fn of(crates: &BTreeMap<String, Value>) -> Result<Self> {
        let documentation = Documentation::of(crates);
        let root = crates.get("jetway").context("jetway is not documented")?;
        let item = documentation.get("jetway", &root["root"].to_string()).context("jetway has no root")?;
        let mut paths = Vec::new();
        documentation.walk(Path { path: "jetway".to_owned(), hidden: false, item }, &mut paths)?;
        // Visible before hidden, short before long: the first path of an item is its main path.
        paths.sort_by_key(|path| {
            (path.hidden, path.path.matches("::").count(), path.path.clone(), path.item.id())
        });
        // Two re-exports may give one path.
        paths.dedup_by(|later, earlier| later.path == earlier.path && later.item.id() == earlier.item.id());
        let mut listed = BTreeSet::new();
        let mut lines = BTreeMap::new();
        for Path { path, hidden, item } in &paths {
            let mut add = |hidden: bool, keyword: &str, path: &str| {
                let (krate, id) = item.id();
                let line = format!("{}{keyword} {path}", if hidden { "hidden " } else { "" });
                lines.insert(line, (krate.to_owned(), id));
            };
            // Modules are listed at each of their paths, because their items are.
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
        self.0.contains_key(line)
    }

    /// The lines of `named` with the members of their items, and the other lines.
    pub(crate) fn split(&self, named: &BTreeSet<&str>) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let items: BTreeSet<_> = named.iter().filter_map(|line| self.0.get(*line)).collect();
        let lines = self.0.iter().map(|(line, item)| {
            (line.as_str(), named.contains(line.as_str()) || (is_member(line) && items.contains(item)))
        });
        let (inside, outside): (Vec<_>, Vec<_>) = lines.partition(|(_, is_named)| *is_named);
        let without_flag = |(line, _)| line;
        (inside.into_iter().map(without_flag).collect(), outside.into_iter().map(without_flag).collect())
    }
}
