//! The macros of Jetway: [`node!`] defines a node, [`workflow!`] connects nodes to a graph, and
//! [`derive(Merge)`](derive@Merge) implements `Merge` for a context.
//!
//! Depend on the `jetway` crate, which re-exports them. The generated code uses absolute paths: it needs no imports, and
//! no dependencies besides `jetway`.

mod errors;
mod expand;
mod model;
mod parse;
mod text;
mod validate;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Defines a node: a struct, its input and output, and its code.
///
/// ```
/// # extern crate jetway_core as jetway;
/// use jetway::{Error, Transition};
/// # use jetway_macros::node;
///
/// node! {
///     /// Scales a number.
///     pub struct Scale {
///         /// The factor.
///         by: i64,
///     }
///     input = i64;
///     output = i64;
///     |_ctx, x| {
///         let scaled = x.checked_mul(self.by).ok_or(Error::Limit(format!("{x} * {}", self.by)))?;
///         Ok(Transition::Next(scaled))
///     }
/// }
/// ```
///
/// # Grammar
///
/// ```text
/// [attributes] [pub] struct Name [<generics>] { fields } | (fields); | ;
/// input = Type;
/// output = Type;
/// [context = Type;]                 default: ()
/// |context, input| { body }         or an expression
/// ```
///
/// The clauses may have any order. The struct derives `Debug` and `Clone`, and its fields are public by default.
///
/// The body is that of an asynchronous function: it may use `self`, `.await`, `?` and `return`, and returns a
/// `Result<Transition<Output>, Error>`. The first parameter is `&Context`, the second is the input; both may be patterns.
#[proc_macro]
pub fn node(input: TokenStream) -> TokenStream {
    let node = parse_macro_input!(input as parse::node::NodeDef);
    expand::node::node(&node).into()
}

/// Defines a workflow: a struct of nodes, and the edges between them.
///
/// ```
/// # extern crate jetway_core as jetway;
/// use jetway::{Error, Transition, Workflow, WorkflowCtx};
/// # use jetway_macros::{node, workflow};
///
/// #[derive(Debug)]
/// pub enum Verdict {
///     Even(u32),
///     Odd { number: u32 },
///     Zero,
/// }
///
/// node! {
///     pub struct Parse;
///     input = String;
///     output = Vec<u32>;
///     |_, text| {
///         let numbers: Result<_, _> = text.split(' ').map(str::parse).collect();
///         Ok(Transition::Next(numbers.map_err(|error| Error::Generic(format!("{text:?}: {error}")))?))
///     }
/// }
/// node! { pub struct Spread; input = Vec<u32>; output = u32; |_, all| Ok(Transition::NextAll(all)) }
/// node! {
///     pub struct Judge;
///     input = u32;
///     output = Verdict;
///     |_, number| Ok(Transition::Next(match number {
///         0 => Verdict::Zero,
///         number if number % 2 == 0 => Verdict::Even(number),
///         number => Verdict::Odd { number },
///     }))
/// }
/// node! { pub struct Halve; input = u32; output = u32; |_, x| Ok(Transition::Next(x / 2)) }
/// node! { pub struct Sum; input = Vec<u32>; output = u32; |_, all| Ok(Transition::Next(all.iter().sum())) }
/// node! { pub struct Nothing; input = (); output = u32; |_, ()| Ok(Transition::Next(0)) }
/// node! { pub struct Report; input = String; output = u32; |_, _text| Ok(Transition::Next(u32::MAX)) }
///
/// workflow! {
///     /// Adds numbers, after it halves the even ones.
///     pub struct Adding {
///         parse: Parse,
///         spread: Spread,
///         judge: Judge,
///         halve: Halve,
///         nothing: Nothing,
///         #[gather]
///         sum: Sum,
///         report: Report,
///     }
///     start = parse;
///     name = "adding";
///     edges {
///         parse => [spread];
///         parse on_failure => [report];
///         spread => [judge];
///         judge => {
///             Verdict::Even(number) if number > 99 => [sum];
///             Verdict::Even(_) => [halve];
///             Verdict::Odd { number } => [sum];
///             Verdict::Zero => [nothing];
///         };
///         halve => [sum];
///         nothing => [sum];
///         sum => [];
///         report => [];
///     }
/// }
/// # fn main() {
/// let adding = Adding {
///     parse: Parse, spread: Spread, judge: Judge, halve: Halve, nothing: Nothing, sum: Sum, report: Report,
/// };
/// assert_eq!(adding.name(), "adding");
/// assert!(adding.to_dot().contains(r#"Parse -> Report [style="dotted" color="red" label="fallback"];"#));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
/// # let ctx = WorkflowCtx::new(());
/// # let caught = runtime.expect("a runtime").block_on(adding.run(&ctx, "one".to_owned()));
/// # assert_eq!(caught, Ok(u32::MAX));
/// # }
/// ```
///
/// # Grammar
///
/// ```text
/// [attributes] [pub] struct Name [<generics>] [where ..] {
///     [attributes] [#[gather]] [#[retry = policy]] [#[at_most = 8]] [limits] [pub] node: Type,
/// }
/// start = node;
/// edges { edge .. }
/// [context = Type;]                 default: ()
/// [name = "text";]                  [A-Za-z0-9_-]{1,64}; default: the name of the struct
/// [output = Type;]                  default: the output of the first terminal node
/// [retry = policy;]                 a field or an expression; for nodes without #[retry]
/// [deadline = "1 h";]               how long a run may take; also an expression of type `Duration`
///
/// limits: [#[timeout = "30 s"]] [#[within = "1 h"]] [#[heartbeat = "10 s"]]
/// ```
///
/// The clauses may have any order. Every node needs an edge:
///
/// | edge | where an output of `a` goes |
/// |---|---|
/// | `a => [b];` | to `b`, whose input is the output of `a` |
/// | `a => [b, c];` | to both |
/// | `a => [];` | to the output of the run: `a` is terminal |
/// | `a => { arm; arm; };` | where the matching arm leads |
/// | `a on_failure => [f];` | when `a` fails, the *input* of `a` goes to `f`; if `f` takes a `Failure`, it gets the input together with the error. Used in addition to one of the edges above |
/// | `a on_cancel => [c];` | when the run is cancelled before `a` has run, the *input* of `a` goes to `c`. Used in addition to the edges above |
///
/// What follows a node that `on_cancel` edges alone lead to is clean-up: such a node may output values of any type, and `c => [];` ends
/// its branch without an output of the run.
///
/// `#[retry = policy]` names a field of type `RetryPolicy`, which is not a node. When the policy allows no more attempts, the
/// node fails. The clause `retry = policy;` is for the nodes without this attribute: it names such a field, or is an expression
/// of that type.
///
/// `#[timeout = ..]` limits one attempt, `#[within = ..]` the time from when the step is ready to when it is done, over all
/// attempts, and `#[heartbeat = ..]` the time between two heartbeats (`step().heartbeat(detail)`). Each is a text such as
/// `"500 ms"` or `"1 h 30 min"`, or an expression of type `Duration`. A node that exceeds a limit fails: its token is cancelled,
/// and it is dropped soon after.
///
/// `#[at_most = 8]` limits the items of a node that are in flight in one run, over all hosts. The other items wait, and
/// use no resources meanwhile.
///
/// `{}` and `{[b]}` are other spellings of `[]` and `[b]`. A node fails by an error, `Abort`, a panic or a time-out; a
/// cancelled node does not fail. If the only edge of `a` is an `on_failure` edge, `a` is terminal.
///
/// Arms match variants, by any path, in order. Every variant needs an arm:
///
/// | arm | carries |
/// |---|---|
/// | `Kind::Unit => [b];` | `()` |
/// | `Kind::One(x) => [b];`, `Kind::One(_) => [b];` | the value |
/// | `Kind::Two(x, _) => [b];`, `Kind::Two { x, y } => [b];` | the tuple of the named values; `..` leaves out the others |
/// | `Kind::One(x) if x > 9 => [b, c];` | the value, if the condition holds, to both |
/// | `Kind::One(x) => [];` | the value, as an output of the run |
///
/// A condition can use the bindings of the pattern, `self`, `ctx: &WorkflowCtx<Context>`, and `input`, the input of the
/// node.
///
/// The input of a node with `#[gather]` is a `Vec<T>`, where each edge to it carries a `T`. It runs once for a fan-out,
/// when all branches have arrived or ended.
///
/// # Generated code
///
/// - The struct, which derives `Debug` and `Clone`. Its fields are public by default.
/// - The enum `NameWorkItem` with one variant for each node: the node `fetch_page` has `FetchPage(String, Input)`, with
///   the id of the item and the input of the node. Inputs must be `Clone`, `Debug`, `PartialEq`, `Serialize` and
///   `Deserialize`.
/// - `Workflow<Context>` for the struct.
///
/// An output that goes to several successors must be `Clone`. The bounds of type parameters must imply the traits of
/// inputs that depend on them.
#[proc_macro]
pub fn workflow(input: TokenStream) -> TokenStream {
    let definition = parse_macro_input!(input as parse::workflow::Definition);
    match validate::workflow(definition) {
        Ok(workflow) => expand::workflow::workflow(&workflow).into(),
        Err(errors) => errors.into_compile_error().into(),
    }
}

/// Merges and rebases a struct field by field.
///
/// Every field must implement `Merge`, and the struct `Default`. Type parameters that the fields use get the bound
/// `Merge`.
///
/// ```
/// # extern crate jetway_core as jetway;
/// use jetway::{EventLog, Fixed};
/// # use jetway_macros::Merge;
///
/// #[derive(Debug, Clone, Default, Merge)]
/// struct Seen {
///     limit: Fixed<u32>,
///     pages: EventLog<String>,
/// }
/// ```
#[proc_macro_derive(Merge)]
pub fn derive_merge(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    expand::merge::merge(input).unwrap_or_else(syn::Error::into_compile_error).into()
}
