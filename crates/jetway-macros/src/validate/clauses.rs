//! The clauses: each at most once, `start` and `edges` present, a name fit for subjects.

use crate::{
    errors::Errors,
    parse::{
        edge::Edge,
        head::Head,
        workflow::{Clause, Value},
    },
    text::plain,
};
use proc_macro2::Ident;
use syn::{LitStr, Type, parse_quote};

const NAME_RULE: &str = "1 to 64 characters out of A-Z, a-z, 0-9, _ and -";

/// What the clauses say, defaults filled in.
pub(super) struct Clauses {
    pub(super) start: Ident,
    pub(super) context: Type,
    pub(super) output: Option<Type>,
    pub(super) name: String,
    pub(super) edges: Vec<Edge>,
}

impl Clauses {
    /// Sorts the clauses. What it returns is of use only where no mistake was found.
    pub(super) fn sort(head: &Head, clauses: Vec<Clause>, errors: &mut Errors) -> Self {
        let (mut start, mut context, mut output, mut name, mut edges) = (None, None, None, None, None);
        for Clause { keyword, value } in clauses {
            let again = match value {
                Value::Start(node) => start.replace(node).is_some(),
                Value::Context(ty) => context.replace(ty).is_some(),
                Value::Output(ty) => output.replace(ty).is_some(),
                Value::Name(text) => name.replace(text).is_some(),
                Value::Edges(list) => edges.replace(list).is_some(),
            };
            if again {
                errors.at(keyword.span(), format!("`{keyword}` is given twice"));
            }
        }
        let workflow = plain(&head.ident);
        for (missing, clause) in [(start.is_none(), "start = node;"), (edges.is_none(), "edges { .. }")] {
            if missing {
                errors.at(head.ident.span(), format!("workflow `{workflow}` has no `{clause}`"));
            }
        }
        Self {
            start: start.unwrap_or_else(|| head.ident.clone()),
            context: context.unwrap_or_else(|| parse_quote!(())),
            output,
            name: checked_name(&head.ident, workflow, name, errors),
            edges: edges.unwrap_or_default(),
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
                errors.at(given.span(), format!("bad workflow name {name:?}: use {NAME_RULE}"));
            }
            name
        }
        None => {
            if !is_valid(&workflow) {
                let message = format!(
                    "`{workflow}` cannot be the workflow's name: add `name = \"..\";` with {NAME_RULE}"
                );
                errors.at(ident.span(), message);
            }
            workflow
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::refused;
    use quote::quote;

    #[test]
    fn every_clause_stands_there_once() {
        refused(&quote! { struct W { a: A } edges { a => []; } }, &["workflow `W` has no `start = node;`"]);
        refused(&quote! { struct W { a: A } start = a; }, &["workflow `W` has no `edges { .. }`"]);
        refused(
            &quote! { struct W { a: A } start = a; start = a; edges { a => []; } edges {} },
            &["`start` is given twice", "`edges` is given twice"],
        );
    }

    #[test]
    fn names_are_fit_for_subjects() {
        refused(
            &quote! { struct W { a: A } start = a; name = "a b"; edges { a => []; } },
            &["bad workflow name \"a b\": use 1 to 64 characters out of A-Z, a-z, 0-9, _ and -"],
        );
        refused(
            &quote! { struct Wörk { a: A } start = a; edges { a => []; } },
            &["`Wörk` cannot be the workflow's name: add `name = \"..\";` with 1 to 64 characters"],
        );
    }
}
