//! Log lines name the same thing by the same field.

use crate::{
    violations::{Violation, expect_known},
    workspace::{Source, sources},
};
use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Item, Macro,
    visit::{self, Visit},
};

/// The fields of log lines and spans.
const FIELDS: &[&str] = &[
    // What the line is about.
    "run",
    "incarnation",
    "workflow",
    "item",
    "node",
    "attempt",
    "host",
    "worker",
    "actor",
    "application",
    // On the server.
    "namespace",
    "server",
    "stream",
    "consumer",
    "subscription",
    "subject",
    "key",
    "lease",
    // What happened, and why. `why` is the class of a dead letter, `reason` its sentence.
    "event",
    "error",
    "reason",
    "signal",
    "strategy",
    "why",
    // A difference between a setting and its value on the server.
    "field",
    "expected",
    "found",
    // Times and limits.
    "delay",
    "grace",
    "since",
    "limit",
    "batch_seconds",
    "single_seconds",
    // The address of an OpenTelemetry collector.
    "endpoint",
    // Counts are plural nouns. Those of a drain count steps by their end.
    "bytes",
    "chunks",
    "conflicts",
    "dead_letters",
    "items",
    "messages",
    "missing_tickets",
    "parts",
    "replicas",
    "runs",
    "spans",
    "starts",
    "steps",
    "tasks",
    "alarms",
    "tickets",
    "values",
    "writes",
    "abandoned",
    "finished",
    "nacked",
    "concurrency",
    "size",
];

/// How attributes of exported spans begin. They are no log fields.
const ATTRIBUTES: [&str; 3] = ["otel.", "jetway.", "error."];

/// The places that still have other fields.
const KNOWN: &[&str] = &[];

/// The macros of `tracing` for log lines. Their message is the last argument, or has format arguments after it.
const EVENTS: &[&str] = &["trace", "debug", "info", "warn", "error", "event"];

/// The macros of `tracing` for spans. Their name comes before the fields.
const SPANS: &[&str] = &["trace_span", "debug_span", "info_span", "warn_span", "error_span", "span"];

#[test]
fn log_fields_are_those_of_the_list() -> Result<()> {
    expect_known(&other_fields(&sources()?)?, KNOWN);
    Ok(())
}

fn other_fields(sources: &[Source]) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_product()) {
        let mut macros = LogMacros::default();
        macros.visit_file(&source.syntax()?);
        let is_other = |field: &String| {
            !FIELDS.contains(&field.as_str()) && !ATTRIBUTES.iter().any(|prefix| field.starts_with(prefix))
        };
        let mut others: Vec<String> = macros.fields.into_iter().filter(is_other).collect();
        others.sort_unstable();
        others.dedup();
        let what = |field| format!("the log field {field} is not in the list FIELDS");
        found.extend(others.into_iter().map(|field| Violation::new(&source.path, what(field))));
    }
    Ok(found)
}

#[derive(Default)]
struct LogMacros {
    fields: Vec<String>,
}

impl<'ast> Visit<'ast> for LogMacros {
    fn visit_item(&mut self, item: &'ast Item) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
        };
        if !matches!(item, Item::Mod(module) if module.attrs.iter().any(is_test)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let name = mac.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let has_level = name == "event" || name == "span";
        if EVENTS.contains(&name.as_str()) {
            self.fields.extend(fields(mac.tokens.clone(), false, has_level));
        } else if SPANS.contains(&name.as_str()) {
            self.fields.extend(fields(mac.tokens.clone(), true, has_level));
        }
        visit::visit_macro(self, mac);
    }
}

/// The names of the fields in the arguments of a macro of `tracing`.
fn fields(arguments: TokenStream, is_span: bool, has_level: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut level = has_level;
    for argument in split(arguments) {
        match argument.as_slice() {
            [] => {}
            // `target: "..."`, `parent: ...`, `name: "..."`
            [TokenTree::Ident(_), TokenTree::Punct(colon), next, ..]
                if colon.as_char() == ':' && next.to_string() != ":" => {}
            [TokenTree::Literal(_)] if is_span => {}
            // The message; format arguments follow it.
            [TokenTree::Literal(_)] => break,
            [TokenTree::Group(group)] => found.extend(fields(group.stream(), is_span, false)),
            _ if level => level = false,
            argument => found.push(name(argument)),
        }
    }
    found
}

/// The arguments between the commas.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',');
    tokens.split(is_comma).map(<[TokenTree]>::to_vec).collect()
}

/// The name in `name = value`, `name = %value`, `%name`, `?name` or `"name" = value`.
fn name(argument: &[TokenTree]) -> String {
    let words = argument.iter().map(ToString::to_string);
    let name: String =
        words.skip_while(|word| word == "%" || word == "?").take_while(|word| word != "=").collect();
    name.trim_matches('"').to_owned()
}

#[test]
fn fields_of_log_lines_and_spans_are_read() -> Result<()> {
    for (text, expected) in [
        ("tracing::info!(\"no field\")", vec![]),
        ("tracing::warn!(%run, ?error, \"sweep skipped run {}\", x.y)", vec!["run", "error"]),
        (
            "info!(target: \"jetway::commit\", run = %key, conflicts, \"commit conflict\")",
            vec!["run", "conflicts"],
        ),
        ("error!(run = f(a, b), error = %&e, \"x\")", vec!["run", "error"]),
        (
            "info_span!(parent: None, \"step\", otel.name = name, \"jetway.run\" = %run)",
            vec!["otel.name", "jetway.run"],
        ),
        ("event!(Level::INFO, %run, \"x\")", vec!["run"]),
        ("println!(\"{}\", run_id)", vec![]),
    ] {
        let mut macros = LogMacros::default();
        macros.visit_file(&syn::parse_file(&format!("fn f() {{ {text}; }}"))?);
        assert_eq!(macros.fields, expected, "{text}");
    }
    Ok(())
}

#[test]
fn a_field_with_another_name_is_found() -> Result<()> {
    let of = |text: &str| other_fields(&[Source::new("crates/a/src/x.rs", text)]);
    assert_eq!(of("fn f() { tracing::info!(%run, \"x\") }")?, []);
    let expected = Violation::new("crates/a/src/x.rs", "the log field run_id is not in the list FIELDS");
    assert_eq!(of("fn f() { tracing::info!(%run_id, \"x\") }")?, [expected]);
    assert_eq!(of("#[cfg(test)] mod tests { fn f() { tracing::info!(%run_id, \"x\") } }")?, []);
    Ok(())
}
