//! The edges of a workflow.

use super::arm::{Arm, pattern_and_guard};
use proc_macro2::Span;
use syn::{
    Ident, Token, braced, bracketed,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    token,
};

/// One entry of `edges { .. }`.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) from: Ident,
    pub(crate) kind: Kind,
}

/// The kinds of an [`Edge`].
#[derive(Debug)]
pub(crate) enum Kind {
    /// `a => [b, c];` or `a => {[b, c]};`; without successors `a => [];` or `a => {};`.
    Direct(Vec<Ident>),
    /// `a on_failure => [b];`
    Failure(Vec<Ident>),
    /// `a on_cancel => [b];`
    Cancel(Vec<Ident>),
    /// `a => { Kind::One(v) => [b]; };`
    Match(Vec<Arm<Ident>>),
}

impl Parse for Edge {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let from: Ident = input.parse()?;
        let event = if input.peek(Ident) { Some(event(input)?) } else { None };
        input.parse::<Token![=>]>()?;
        let kind = kind(input, event)?;
        // The older spellings with braces need no `;`.
        Ok(Self { from, kind })
    }
}

/// An edge that is taken when something happens: its kind, and why it has no arms.
struct Event {
    kind: fn(Vec<Ident>) -> Kind,
    no_arms: &'static str,
}

/// The `on_failure` or `on_cancel` of an edge.
fn event(input: ParseStream) -> syn::Result<Event> {
    let word: Ident = input.parse()?;
    match word.to_string().as_str() {
        "on_failure" => {
            Ok(Event { kind: Kind::Failure, no_arms: "expected `[fallback]`: a failure has no variants" })
        }
        "on_cancel" => {
            Ok(Event { kind: Kind::Cancel, no_arms: "expected `[clean_up]`: a cancel has no variants" })
        }
        _ => Err(syn::Error::new(word.span(), "expected `=>`, `on_failure =>` or `on_cancel =>`")),
    }
}

fn kind(input: ParseStream, event: Option<Event>) -> syn::Result<Kind> {
    let simple = event.as_ref().map_or(Kind::Direct as fn(Vec<Ident>) -> Kind, |event| event.kind);
    if input.peek(token::Bracket) {
        let to = names(input)?;
        input.parse::<Token![;]>()?;
        return Ok(simple(to));
    }
    if !input.peek(token::Brace) {
        return Err(input.error("expected `[successors]`, `{}` or `{ arms }`"));
    }
    let content;
    braced!(content in input);
    let kind = if content.is_empty() {
        simple(Vec::new())
    } else if content.peek(token::Bracket) {
        simple(names(&content)?)
    } else if let Some(event) = event {
        return Err(content.error(event.no_arms));
    } else {
        Kind::Match(arms(&content)?)
    };
    if !content.is_empty() {
        return Err(content.error("expected `}`"));
    }
    input.parse::<Option<Token![;]>>()?;
    Ok(kind)
}

fn arms(content: ParseStream) -> syn::Result<Vec<Arm<Ident>>> {
    let mut arms = Vec::new();
    while !content.is_empty() {
        let (pattern, guard) = pattern_and_guard(content)?;
        content.parse::<Token![=>]>()?;
        if !content.peek(token::Bracket) {
            return Err(content.error("expected `[successors]`, or `[]` for an output of the run"));
        }
        let (to, end) = names_and_end(content)?;
        arms.push(Arm { pattern, guard, to, end });
        if !content.is_empty() {
            content.parse::<Token![;]>()?;
        }
    }
    Ok(arms)
}

fn names(input: ParseStream) -> syn::Result<Vec<Ident>> {
    names_and_end(input).map(|(names, _)| names)
}

/// `[a, b]`, and the span of its `]`.
fn names_and_end(input: ParseStream) -> syn::Result<(Vec<Ident>, Span)> {
    let content;
    let brackets = bracketed!(content in input);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated(&content)?;
    Ok((names.into_iter().collect(), brackets.span.close()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use quote::quote;

    fn parse(tokens: TokenStream) -> Result<Edge, String> {
        syn::parse2(tokens).map_err(|error| error.to_string())
    }

    fn text(names: &[Ident]) -> String {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_spelling_of_direct_edges() {
        for (tokens, to) in [
            (quote!(a => [b];), "b"),
            (quote!(a => [b, c,];), "b c"),
            (quote!(a => [];), ""),
            (quote!(a => {};), ""),
            (quote!(a => {[]};), ""),
            (quote!(a => {[b, c]};), "b c"),
            (quote!(a => {[b]}), "b"),
        ] {
            let edge = parse(tokens).unwrap();
            assert_eq!(edge.from, "a");
            assert!(matches!(edge.kind, Kind::Direct(names) if text(&names) == to));
        }
    }

    #[test]
    fn failure_edges_with_and_without_braces() {
        for tokens in [quote!(a on_failure => {[b]};), quote!(a on_failure => [b];)] {
            assert!(matches!(parse(tokens).unwrap().kind, Kind::Failure(names) if text(&names) == "b"));
        }
    }

    #[test]
    fn cancel_edges_with_and_without_braces() {
        for tokens in [quote!(a on_cancel => {[b]};), quote!(a on_cancel => [b];)] {
            assert!(matches!(parse(tokens).unwrap().kind, Kind::Cancel(names) if text(&names) == "b"));
        }
    }

    #[test]
    fn arms_keep_their_order() {
        let edge =
            parse(quote!(a => { V::A(v) if v > 1 => [b, c]; V::A(_) => [b]; V::Done => [] };)).unwrap();
        let Kind::Match(arms) = edge.kind else { panic!("not a composite edge") };
        let written: Vec<_> = arms.iter().map(|arm| format!("{} => {}", arm.text(), text(&arm.to))).collect();
        assert_eq!(written, ["V::A(v) if v > 1 => b c", "V::A(_) => b", "V::Done => "]);
    }

    #[test]
    fn errors_name_the_mistake() {
        for (tokens, message) in [
            (quote!(a on_failur => [b];), "`on_failure =>`"),
            (quote!(a => b;), "expected `[successors]`"),
            (quote!(a => [b]), "expected `;`"),
            (quote!(a => {[b] c};), "expected `}`"),
            (quote!(a on_failure => { V::A => [b]; };), "a failure has no variants"),
            (quote!(a on_cancel => { V::A => [b]; };), "a cancel has no variants"),
            (quote!(a on_cancelled => [b];), "`on_cancel =>`"),
            (quote!(a => { V::A => b; };), "or `[]` for an output"),
        ] {
            let error = parse(tokens).err().unwrap_or_default();
            assert!(error.contains(message), "{error:?} does not say {message:?}");
        }
    }
}
