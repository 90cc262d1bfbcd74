//! The imports between the top-level modules of a crate, from its sources.

use super::graph::Imports;
use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::{
    Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, Path, UseTree, VisRestricted, Visibility,
    ext::IdentExt,
    visit::{self, Visit},
};

/// The files of a crate, by their path from its root file.
pub(super) type Files = BTreeMap<String, String>;

/// A part of a module: its path from the crate root, its file and its items.
struct Part {
    module: Vec<String>,
    file: String,
    items: Vec<Item>,
}

/// What the paths of a crate refer to.
#[derive(Default)]
struct Names {
    /// The top-level modules.
    modules: BTreeSet<String>,
    /// The names that the root re-exports, and the module of each.
    re_exports: BTreeMap<String, String>,
}

pub(super) fn imports(files: &Files, root: &str) -> Result<Imports> {
    let mut parts = Vec::new();
    let items = parse(files, root)?;
    collect(files, Part { module: Vec::new(), file: root.to_owned(), items }, "", &mut parts)?;
    let names = names(&parts);
    let mut imports: Imports = names.modules.iter().map(|module| (module.clone(), BTreeMap::new())).collect();
    for part in parts.iter().filter(|part| !part.module.is_empty()) {
        let mut visitor = Visitor { part, names: &names, imports: &mut imports };
        for item in &part.items {
            visitor.visit_item(item);
        }
    }
    Ok(imports)
}

fn parse(files: &Files, file: &str) -> Result<Vec<Item>> {
    let text = files.get(file).with_context(|| format!("there is no file {file}"))?;
    Ok(syn::parse_file(text).with_context(|| file.to_owned())?.items)
}

/// Adds a part and the modules in it. `folder` is where the files of its modules are.
fn collect(files: &Files, part: Part, folder: &str, parts: &mut Vec<Part>) -> Result<()> {
    for item in &part.items {
        let Item::Mod(ItemMod { ident, attrs, content, .. }) = item else { continue };
        if is_for_tests(attrs) {
            continue;
        }
        let name = ident.unraw().to_string();
        let module: Vec<String> = part.module.iter().cloned().chain([name.clone()]).collect();
        let inner = format!("{folder}{name}/");
        let (file, items) = match content {
            Some((_, items)) => (part.file.clone(), items.clone()),
            None => {
                let file = [format!("{folder}{name}.rs"), format!("{inner}mod.rs")];
                let file = file.into_iter().find(|file| files.contains_key(file));
                let file = file.with_context(|| format!("the module {} has no file", module.join("::")))?;
                let items = parse(files, &file)?;
                (file, items)
            }
        };
        collect(files, Part { module, file, items }, &inner, parts)?;
    }
    parts.push(part);
    Ok(())
}

fn names(parts: &[Part]) -> Names {
    let mut names = Names::default();
    let root = || parts.iter().filter(|part| part.module.is_empty()).flat_map(|part| &part.items);
    names.modules.extend(parts.iter().filter_map(|part| part.module.first().cloned()));
    for item in root() {
        let Item::Use(ItemUse { tree, .. }) = item else { continue };
        for (mut path, name) in uses(tree) {
            if matches!(path.first().map(String::as_str), Some("crate" | "self")) {
                path.remove(0);
            }
            let Some(module) = path.first().filter(|first| names.modules.contains(*first)).cloned() else {
                continue;
            };
            match name {
                Some(name) => drop(names.re_exports.insert(name, module)),
                // All names of a module.
                None => {
                    let items = parts.iter().filter(|part| part.module == path).flat_map(|part| &part.items);
                    let all = items.filter_map(public_name).map(|name| (name, module.clone()));
                    names.re_exports.extend(all);
                }
            }
        }
    }
    names
}

/// The paths in a `use`, and the name that each has then; `None` for all names.
fn uses(tree: &UseTree) -> Vec<(Vec<String>, Option<String>)> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.unraw().to_string();
            let rest = uses(&path.tree).into_iter();
            rest.map(|(path, name)| {
                // `use a::{self}` names `a`.
                let name = if name.as_deref() == Some("self") { Some(first.clone()) } else { name };
                ([first.clone()].into_iter().chain(path).collect(), name)
            })
            .collect()
        }
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), Some("self".to_owned()))],
        UseTree::Name(name) => {
            let name = name.ident.unraw().to_string();
            vec![(vec![name.clone()], Some(name))]
        }
        UseTree::Rename(rename) if rename.ident == "self" => {
            vec![(Vec::new(), Some(rename.rename.unraw().to_string()))]
        }
        UseTree::Rename(rename) => {
            vec![(vec![rename.ident.unraw().to_string()], Some(rename.rename.unraw().to_string()))]
        }
        UseTree::Glob(_) => vec![(Vec::new(), None)],
        UseTree::Group(group) => group.items.iter().flat_map(uses).collect(),
    }
}

/// The name of an item that is visible outside of its module.
fn public_name(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    (!matches!(visibility, Visibility::Inherited)).then(|| name.unraw().to_string())
}

/// Whether an item exists in tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let mut tokens = list.tokens.clone().into_iter();
        match (tokens.next(), tokens.next()) {
            (Some(TokenTree::Ident(word)), None) => word == "test",
            (Some(TokenTree::Ident(word)), Some(TokenTree::Group(group))) => {
                let is_test = |token| matches!(token, TokenTree::Ident(word) if word == "test");
                word == "all" && group.stream().into_iter().any(is_test)
            }
            _ => false,
        }
    })
}

/// Records the imports of a part.
struct Visitor<'a> {
    part: &'a Part,
    names: &'a Names,
    imports: &'a mut Imports,
}

impl Visitor<'_> {
    fn record(&mut self, path: &[String]) {
        let Some(own) = self.part.module.first() else { return };
        let (base, rest): (&[String], &[String]) = match path.first().map(String::as_str) {
            Some("crate") => (&[], &path[1..]),
            Some("self") => (&self.part.module, &path[1..]),
            Some("super") => {
                let up = path.iter().take_while(|segment| *segment == "super").count();
                (&self.part.module[..self.part.module.len().saturating_sub(up)], &path[up..])
            }
            _ => return,
        };
        let Some(first) = base.iter().chain(rest).next() else { return };
        let module = match self.names.modules.get(first) {
            Some(module) => module,
            None => match self.names.re_exports.get(first) {
                Some(module) => module,
                None => return,
            },
        };
        if module != own {
            let example = format!("{}: {}", self.part.file, path.join("::"));
            self.imports.entry(own.clone()).or_default().entry(module.clone()).or_insert(example);
        }
    }

    /// Paths in the arguments of a macro.
    fn record_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.record_tokens(group.stream()),
                TokenTree::Ident(word) if word == "crate" || word == "super" => {
                    let before = index.checked_sub(1).map(|before| tokens[before].to_string());
                    if before.is_none_or(|before| before != "$" && before != ":") {
                        self.record(&path_at(&tokens[index..]));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The path at the beginning of some tokens.
fn path_at(tokens: &[TokenTree]) -> Vec<String> {
    let mut path = Vec::new();
    let mut rest = tokens.iter();
    while let Some(TokenTree::Ident(word)) = rest.next() {
        path.push(word.unraw().to_string());
        let colons = rest.by_ref().take(2).filter(|token| token.to_string() == ":").count();
        if colons < 2 {
            break;
        }
    }
    path
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // A module in this one is a part of its own.
        if !is_for_tests(attributes(item)) && !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !matches!(item.vis, Visibility::Public(_)) {
            for (path, _) in uses(&item.tree) {
                self.record(&path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
        self.record(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.record_tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_attribute(&mut self, _attribute: &'ast Attribute) {}

    fn visit_vis_restricted(&mut self, _visibility: &'ast VisRestricted) {}
}
