//! Checks the clauses: none twice, `start` and `edges` present, a valid name.

use crate::{
    errors::Errors,
    parse::{
        edge::Edge,
        head::Head,
        limit::Limit,
        workflow::{Clause, Value},
    },
    text::plain,
};
use proc_macro2::Ident;
use syn::{Expr, LitStr, Type, parse_quote};

const NAME_RULE: &str = "1 to 64 characters from A-Z, a-z, 0-9, _ and -";

/// The values of the clauses, with defaults.
pub(super) struct Clauses {
    pub(super) start: Ident,
    pub(super) context: Type,
    pub(super) output: Option<Type>,
    pub(super) name: String,
    pub(super) edges: Vec<Edge>,
    /// The policy of the workflow.
    pub(super) retry: Option<Expr>,
    /// How long a run may take.
    pub(super) deadline: Option<Limit>,
}

impl Clauses {
    /// Sorts the clauses. The result is only valid if no error was added.
    pub(super) fn sort(head: &Head, clauses: Vec<Clause>, errors: &mut Errors) -> Self {
        let (mut start, mut context, mut output, mut name, mut edges) = (None, None, None, None, None);
        let (mut retry, mut deadline) = (None, None);
        for Clause { keyword, value } in clauses {
            let duplicate = match value {
                Value::Start(node) => start.replace(node).is_some(),
                Value::Context(ty) => context.replace(ty).is_some(),
                Value::Output(ty) => output.replace(ty).is_some(),
                Value::Name(text) => name.replace(text).is_some(),
                Value::Retry(policy) => retry.replace(*policy).is_some(),
                Value::Deadline(limit) => deadline.replace(limit).is_some(),
                Value::Edges(list) => edges.replace(list).is_some(),
            };
            if duplicate {
                errors.at(keyword.span(), format!("duplicate clause `{keyword}`"));
            }
        }
        let workflow = plain(&head.ident);
        for (missing, name, clause) in
            [(start.is_none(), "start", "start = node;"), (edges.is_none(), "edges", "edges { .. }")]
        {
            if missing {
                let message = format!("workflow `{workflow}` has no `{name}` clause: add `{clause}`");
                errors.at(head.ident.span(), message);
            }
        }
        Self {
            start: start.unwrap_or_else(|| head.ident.clone()),
            context: context.unwrap_or_else(|| parse_quote!(())),
            output,
            name: checked_name(&head.ident, workflow, name, errors),
            edges: edges.unwrap_or_default(),
            retry,
            deadline,
        }
    }
}

fn checked_name(ident: &Ident, workflow: String, given: Option<LitStr>, errors: &mut Errors) -> String {
    let is_valid = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    match given {
        Some(given) => {
            let name = given.value();
            if !is_valid(&name) {
                errors.at(given.span(), format!("invalid workflow name {name:?}: use {NAME_RULE}"));
            }
            name
        }
        None => {
            if !is_valid(&workflow) {
                let message = format!(
                    "`{workflow}` is not a valid workflow name: add `name = \"..\";` with {NAME_RULE}"
                );
                errors.at(ident.span(), message);
            }
            workflow
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::rejected;
    use quote::quote;

    #[test]
    fn required_clauses_occur_once() {
        rejected(
            &quote! { struct W { a: A } edges { a => []; } },
            &["workflow `W` has no `start` clause: add `start = node;`"],
        );
        rejected(
            &quote! { struct W { a: A } start = a; },
            &["workflow `W` has no `edges` clause: add `edges { .. }`"],
        );
        rejected(
            &quote! { struct W { a: A } start = a; start = a; edges { a => []; } edges {} },
            &["duplicate clause `start`", "duplicate clause `edges`"],
        );
    }

    #[test]
    fn names_follow_the_rule_for_names() {
        rejected(
            &quote! { struct W { a: A } start = a; name = "a b"; edges { a => []; } },
            &["invalid workflow name \"a b\": use 1 to 64 characters from A-Z, a-z, 0-9, _ and -"],
        );
        rejected(
            &quote! { struct Wörk { a: A } start = a; edges { a => []; } },
            &["`Wörk` is not a valid workflow name: add `name = \"..\";` with 1 to 64 characters"],
        );
    }
}
