//! Checks a parsed definition: the result is a valid workflow, or all errors in it.

mod clauses;
mod edges;
mod names;
mod reachability;

use crate::{errors::Errors, model::Workflow, parse::workflow::Definition};
use clauses::Clauses;

/// Checks a definition.
///
/// # Errors
/// All errors, each with its span. Errors that may be a consequence of another one are left out.
pub(crate) fn workflow(definition: Definition) -> syn::Result<Workflow> {
    let Definition { head, fields, clauses } = definition;
    let mut errors = Errors::default();
    let clauses = Clauses::sort(&head, clauses, &mut errors);
    let policy = clauses.retry.clone().map(|retry| names::policy_of_workflow(retry, &fields));
    let nodes = names::declared(&head, &fields, policy.as_ref(), &mut errors);
    errors.finish()?;
    let Clauses { start, context, output, name, edges, deadline, retry: _ } = clauses;

    let mut errors = Errors::default();
    let start = names::start(&start, &nodes, &mut errors);
    let nodes = edges::resolve(nodes, edges, &mut errors);
    errors.finish()?;

    let mut workflow = Workflow { head, fields, context, output, name, start, nodes, policy, deadline };
    reachability::find_clean_up(&mut workflow);
    reachability::check(&workflow)?;
    Ok(workflow)
}

#[cfg(test)]
mod tests {
    use crate::model::{Success, Workflow};
    use proc_macro2::TokenStream;
    use quote::quote;

    fn check(tokens: TokenStream) -> Result<Workflow, Vec<String>> {
        syn::parse2(tokens)
            .and_then(super::workflow)
            .map_err(|errors| errors.into_iter().map(|error| error.to_string()).collect())
    }

    #[test]
    fn a_valid_workflow_is_resolved() {
        let workflow = check(quote! {
            struct Pages { fetch: Fetch, judge: Judge, #[gather] store: Store, give_up: GiveUp }
            start = fetch;
            edges {
                fetch => [judge];
                fetch on_failure => [give_up];
                judge => { V::Good(v) if v > 1 => [store, fetch]; V::Good(_) => []; V::Bad => [give_up] };
                judge on_failure => {[give_up]};
                store => {};
                give_up => [];
            }
        })
        .unwrap();
        assert_eq!(workflow.name, "Pages");
        assert_eq!(workflow.start, 0);
        let variants: Vec<_> = workflow.nodes.iter().map(|node| node.variant.to_string()).collect();
        assert_eq!(variants, ["Fetch", "Judge", "Store", "GiveUp"]);
        assert!(matches!(&workflow.nodes[1].success, Success::Match { arms, .. } if arms.len() == 3));
        assert_eq!(workflow.nodes[1].fallbacks[0].node, 3);
        assert!(workflow.nodes[2].gathers && workflow.nodes[2].is_terminal());
    }

    #[test]
    fn a_node_with_only_a_failure_edge_is_terminal() {
        let workflow = check(quote! {
            struct W { a: A, b: B } start = a; edges { a on_failure => [b]; b => []; }
        });
        assert!(workflow.unwrap().nodes[0].is_terminal());
    }

    #[test]
    fn what_cancel_edges_alone_lead_to_has_no_output() {
        let workflow = check(quote! {
            struct W { a: A, b: B, undo: U, tell: T } start = a;
            edges { a => [b]; b => []; a on_cancel => [undo]; b on_cancel => [undo, b]; undo => [tell]; tell => []; }
        });
        let nodes = workflow.unwrap().nodes;
        let only: Vec<_> = nodes.iter().map(|node| (node.only_cleans_up, node.is_terminal())).collect();
        assert_eq!(only, [(false, false), (false, true), (true, false), (true, false)]);
    }

    #[test]
    fn arms_beside_a_direct_edge_are_only_drawn() {
        let workflow = check(quote! {
            struct W { a: A, b: B, c: C } start = a;
            edges { a => { Nothing::Real(x) => [c]; }; a => [b]; b => []; c => []; }
        })
        .unwrap();
        assert!(matches!(&workflow.nodes[0].success, Success::Direct(to) if to[0].node == 1));
        assert_eq!(workflow.nodes[0].shadowed.as_ref().map(|shadowed| shadowed.arms.len()), Some(1));
    }

    /// Asserts that a definition is rejected for exactly these reasons, in this order.
    pub(super) fn rejected(tokens: &TokenStream, reasons: &[&str]) {
        let errors = check(tokens.clone()).err().unwrap_or_default();
        assert_eq!(errors.len(), reasons.len(), "{tokens}: {errors:#?}");
        for (error, reason) in errors.iter().zip(reasons) {
            assert!(error.contains(reason), "{tokens}: {error:?} does not contain {reason:?}");
        }
    }
}
