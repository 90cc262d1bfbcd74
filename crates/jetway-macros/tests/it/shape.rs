//! The name, graph and drawing of a workflow, and the places where one can be defined.

#![expect(unreachable_pub, reason = "workflows and their nodes are usually public")]

use jetway_core::{EdgeKind, Transition, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};

#[derive(Debug)]
pub enum Kind {
    Good(u8),
    Bad,
}

node! {
    #[derive(PartialEq)]
    pub struct Rate;
    input = u8;
    output = Kind;
    |_, x| Ok(Transition::Next(if x > 9 { Kind::Bad } else { Kind::Good(x) }))
}
node! { #[derive(PartialEq)] pub struct Keep; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }
node! { #[derive(PartialEq)] pub struct Drop; input = (); output = u8; |_, ()| Ok(Transition::Hold) }

workflow! {
    /// Rates numbers.
    #[derive(PartialEq, Debug)]
    #[allow(clippy::exhaustive_structs, reason = "shows that attributes are kept")]
    pub struct Rating {
        /// Rates one.
        pub rate: Rate,
        keep: Keep,
        drop: Drop,
    };
    start = rate;
    name = "rating";
    edges {
        rate => { Kind::Good(x) if x > 5 => [keep, rate]; Kind::Good(_) => []; Kind::Bad => [drop]; };
        rate on_failure => [keep];
        keep => [];
        drop => [keep];
    };
}

#[test]
fn the_graph_has_the_order_of_the_declaration() {
    let rating = Rating { rate: Rate, keep: Keep, drop: Drop };
    assert_eq!(rating, rating.clone());
    let graph = rating.graph();
    assert_eq!((graph.name.as_str(), graph.start.as_str()), ("rating", "rate"));
    let nodes: Vec<_> = graph
        .nodes
        .iter()
        .map(|n| (n.name.as_str(), n.variant.as_str(), n.terminal, n.input.as_str()))
        .collect();
    assert_eq!(
        nodes,
        [("rate", "Rate", false, "u8"), ("keep", "Keep", true, "u8"), ("drop", "Drop", false, "()")]
    );
    let edges: Vec<_> =
        graph.edges.iter().map(|e| (e.from.as_str(), e.to.as_deref(), e.kind.clone())).collect();
    let arm = |text: &str| EdgeKind::Match(text.to_owned());
    assert_eq!(
        edges,
        [
            ("rate", Some("keep"), arm("Kind::Good(x) if x > 5")),
            ("rate", Some("rate"), arm("Kind::Good(x) if x > 5")),
            ("rate", None, arm("Kind::Good(_)")),
            ("rate", Some("drop"), arm("Kind::Bad")),
            ("rate", Some("keep"), EdgeKind::Failure),
            ("drop", Some("keep"), EdgeKind::Direct),
        ]
    );
}

#[test]
fn the_drawing_shows_the_graph() {
    let dot = Rating { rate: Rate, keep: Keep, drop: Drop }.to_dot();
    for line in [
        "digraph rating {",
        "  Rate [penwidth=2 style=\"filled,bold\" color=black fillcolor=lightgray];",
        "  Keep [peripheries=2];",
        "  Rate -> \"Rate output\" [label=\"Good\"];",
        "  Rate -> Keep [label=\"Good if x > 5\"];",
        "  Rate -> Keep [style=\"dotted\" color=\"red\" label=\"fallback\"];",
        "  Drop -> Keep;",
    ] {
        assert!(dot.lines().any(|drawn| drawn == line), "{line} is not in {dot}");
    }
    assert!(dot.ends_with("}\n"));
}

#[tokio::test]
async fn several_workflows_in_one_function() {
    workflow! {
        struct One { rate: Rate, keep: Keep, drop: Drop }
        start = keep;
        edges { keep => [rate]; rate => { Kind::Good(_) => []; Kind::Bad => [drop]; }; drop => []; }
    }
    workflow! {
        struct Two { rate: Keep, keep: Keep }
        start = keep;
        edges { keep => [rate]; rate => []; }
    }
    let ctx = WorkflowCtx::new(());
    assert_eq!(One { rate: Rate, keep: Keep, drop: Drop }.run(&ctx, 3).await, Ok(3));
    assert_eq!(Two { rate: Keep, keep: Keep }.run(&ctx, 4).await, Ok(4));
    assert_eq!(One { rate: Rate, keep: Keep, drop: Drop }.name(), "One");
}

/// No imports, and every name that generated code could use has another meaning.
mod shadowed_names {
    #![expect(dead_code, reason = "only the names matter")]

    type Result<T> = ::std::result::Result<T, ()>;
    struct Option;
    struct Vec;
    struct String;
    struct VecDeque;
    struct Outcome;
    struct Transition;
    struct Error;
    trait Clone {}
    trait Debug {}
    trait Node {}
    trait Workflow {}
    trait WorkItem {}
    mod core {}
    mod std {}
    mod serde {}
    mod async_trait {}
    mod jetway_core {}
    #[expect(unused_macros, reason = "as above")]
    macro_rules! vec {
        () => {};
    }
    #[expect(unused_macros, reason = "as above")]
    macro_rules! write {
        () => {};
    }
    const SOME: Result<()> = Ok(());

    jetway_macros::workflow! {
        pub(super) struct Alone { rate: super::Rate, keep: super::Keep, drop: super::Drop, #[gather] all: All }
        start = rate;
        edges {
            rate => { super::Kind::Good(_) => [keep, all]; super::Kind::Bad => [drop]; };
            rate on_failure => [all];
            keep => [];
            drop => [keep];
            all => [keep];
        }
    }

    jetway_macros::node! {
        pub(super) struct All;
        input = ::std::vec::Vec<u8>;
        output = u8;
        |_, all| ::core::result::Result::Ok(::jetway_core::Transition::Next(all[0]))
    }
}

#[tokio::test]
async fn generated_code_uses_no_name_of_the_user() {
    let alone = shadowed_names::Alone { rate: Rate, keep: Keep, drop: Drop, all: shadowed_names::All };
    assert_eq!(alone.run(&WorkflowCtx::new(()), 3).await, Ok(3));
}
