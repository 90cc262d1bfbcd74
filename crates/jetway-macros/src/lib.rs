//! The macros of Jetway: [`node!`] defines a step, [`workflow!`] connects steps to a graph, and
//! [`derive(Merge)`](derive@Merge) makes a context mergeable.
//!
//! Depend on the `jetway` crate, which re-exports them. The code that they generate names everything by absolute path:
//! it needs no imports, and no dependencies besides `jetway`.

mod errors;
mod expand;
mod model;
mod parse;
mod text;
mod validate;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Defines a node: a struct, what it takes and gives, and what it does.
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
/// [context = Type;]                 () where it is left out
/// |context, input| { body }         or an expression
/// ```
///
/// The clauses may stand in any order. The struct derives `Debug` and `Clone`, and its fields are public unless their
/// visibility is given.
///
/// The body is that of an asynchronous function: it may use `self`, `.await`, `?` and `return`, and gives a
/// `Result<Transition<Output>, Error>`. The first parameter is `&Context`, the second the input; both may be patterns.
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
///     /// Adds up numbers, the even ones by half.
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
///     [attributes] [#[gather]] [#[retry = policy]] [#[at_most = 8]] [pub] node: Type,
/// }
/// start = node;
/// edges { edge .. }
/// [context = Type;]                 () where it is left out
/// [name = "text";]                  [A-Za-z0-9_-]{1,64}; the struct's name where it is left out
/// [output = Type;]                  the output of the first terminal node where it is left out
/// ```
///
/// The clauses may stand in any order. Every node needs an edge:
///
/// | edge | where a value of `a` goes |
/// |---|---|
/// | `a => [b];` | to `b`, whose input is the output of `a` |
/// | `a => [b, c];` | to both |
/// | `a => [];` | out of the run: `a` is terminal and its values are outputs |
/// | `a => { arm; arm; };` | where the arm says that matches |
/// | `a on_failure => [f];` | when `a` fails, the *input* of `a` goes to `f`, or a `Failure` of it, which tells the error, where that is what `f` takes; stands beside one of the edges above |
///
/// `#[retry = policy]` names a field of type `RetryPolicy`, which is no node: it says when the node is tried again within
/// its step before it counts as failed.
///
/// `#[at_most = 8]` bounds how many of a node's items are in flight in one run at any time, whichever hosts they are on:
/// the others wait, and cost nothing while they do.
///
/// `{}` and `{[b]}` are other spellings of `[]` and `[b]`. A node fails by an error, `Abort`, a panic, or when it takes
/// too long; one that is cancelled does not fail. Where there is nothing but an `on_failure` edge, `a` is terminal.
///
/// Arms match variants, by any path, in order, and all variants need one:
///
/// | arm | carries |
/// |---|---|
/// | `Kind::Unit => [b];` | `()` |
/// | `Kind::One(x) => [b];`, `Kind::One(_) => [b];` | the value |
/// | `Kind::Two(x, _) => [b];`, `Kind::Two { x, y } => [b];` | the tuple of the values; what `..` stands for is left out |
/// | `Kind::One(x) if x > 9 => [b, c];` | the value, under a condition, to both |
/// | `Kind::One(x) => [];` | the value, out of the run: it is an output |
///
/// A condition sees what the pattern binds, `self`, `ctx: &WorkflowCtx<Context>`, and `input`, the node's input.
///
/// A node with `#[gather]` takes a `Vec<T>` where each edge to it carries a `T`. It runs once for a fan-out, when all of
/// its branches have arrived or ended.
///
/// # What is generated
///
/// - The struct, which derives `Debug` and `Clone`. Its fields are public unless their visibility is given.
/// - The enum `NameWorkItem` with one variant for each node, `fetch_page` as `FetchPage(String, Input)`: the item's id
///   and the node's input. Types that are inputs must be `Clone`, `Debug`, `PartialEq` and (de)serialisable.
/// - `Workflow<Context>` for the struct.
///
/// An output must be `Clone` where it goes to several successors. With type parameters, their bounds must imply what is
/// asked of inputs that depend on them.
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
/// Every field must be `Merge`, and the struct `Default`. Type parameters that the fields use are bound by `Merge`.
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
