//! The arms of a composite edge: `Verdict::Ok(v) if v > 9 => [store];`.

use crate::text::one_line;
use proc_macro2::Span;
use quote::{ToTokens, format_ident, quote_spanned};
use syn::{
    Expr, Ident, Pat, Token,
    parse::{ParseStream, Parser},
    parse_quote,
    spanned::Spanned,
};

/// One arm; `T` names a successor.
#[derive(Debug, Clone)]
pub(crate) struct Arm<T> {
    pub(crate) pattern: Pattern,
    pub(crate) guard: Option<Expr>,
    /// Where the payload goes; if empty, it is an output of the run.
    pub(crate) to: Vec<T>,
    /// The end of the arm in the source.
    pub(crate) end: Span,
}

impl<T> Arm<T> {
    /// The same arm with other successors.
    pub(crate) fn with<U>(self, to: Vec<U>) -> Arm<U> {
        Arm { pattern: self.pattern, guard: self.guard, to, end: self.end }
    }

    /// The pattern and the guard as text: `Verdict::Ok(v) if v > 9`.
    pub(crate) fn text(&self) -> String {
        match &self.guard {
            Some(guard) => format!("{} if {}", self.pattern.text, one_line(guard)),
            None => self.pattern.text.clone(),
        }
    }
}

/// The pattern of an arm.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// The pattern to generate, in which every value of the payload has a name.
    pub(crate) matches: Pat,
    /// These names: none for a unit, one for a single value, several for a tuple.
    pub(crate) payload: Vec<Ident>,
    /// Whether it has neither parentheses nor braces.
    pub(crate) bare: bool,
    /// The pattern as written.
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Parses the pattern and the guard of an arm, up to the `=>`.
pub(crate) fn pattern_and_guard(input: ParseStream) -> syn::Result<(Pattern, Option<Expr>)> {
    let pattern = Pattern::new(Pat::parse_single(input)?)?;
    let guard = if input.parse::<Option<Token![if]>>()?.is_some() { Some(input.parse()?) } else { None };
    Ok((pattern, guard))
}

impl Pattern {
    fn new(mut matches: Pat) -> syn::Result<Self> {
        let (span, text) = (matches.span(), one_line(&matches));
        let mut payload = Vec::new();
        let mut bare = false;
        let path = match &mut matches {
            Pat::Ident(name)
                if name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none() =>
            {
                bare = true;
                name.ident.clone().into()
            }
            Pat::Path(path) => {
                bare = true;
                path.path.clone()
            }
            Pat::TupleStruct(variant) => {
                for element in &mut variant.elems {
                    named(element, &mut payload)?;
                }
                variant.path.clone()
            }
            Pat::Struct(variant) => {
                for field in &mut variant.fields {
                    named(&mut field.pat, &mut payload)?;
                }
                variant.path.clone()
            }
            _ => return Err(unexpected(&matches)),
        };
        if bare {
            // Matches variants with and without fields, and never binds a name. Not every identifier can name a variant:
            // `self` cannot.
            let any = Pat::parse_single.parse2(quote_spanned!(span=> #path { .. }));
            matches = any.map_err(|_no_variant| unexpected(&matches))?;
        }
        Ok(Self { matches, payload, bare, text, span })
    }
}

/// Collects the name at one position of a pattern; `_` gets a name first.
fn named(position: &mut Pat, payload: &mut Vec<Ident>) -> syn::Result<()> {
    match position {
        Pat::Rest(_) => {}
        Pat::Wild(wild) => {
            let span = wild.underscore_token.span().resolved_at(Span::mixed_site());
            let name = Ident::new(&format!("payload_{}", payload.len()), span);
            *position = parse_quote!(#name);
            payload.push(name);
        }
        Pat::Ident(name) if name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none() => {
            payload.push(name.ident.clone());
        }
        _ => {
            return Err(syn::Error::new_spanned(position, "expected a name or `_`"));
        }
    }
    Ok(())
}

fn unexpected(pattern: impl ToTokens) -> syn::Error {
    let example = format_ident!("Kind");
    let message = format!(
        "expected a variant: `{example}::Unit`, `{example}::One(value)` or `{example}::Many {{ a, b }}`"
    );
    syn::Error::new_spanned(pattern, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn parse(tokens: proc_macro2::TokenStream) -> Result<Arm<Ident>, String> {
        let parser = |input: ParseStream| {
            let (pattern, guard) = pattern_and_guard(input)?;
            Ok(Arm { pattern, guard, to: Vec::new(), end: Span::call_site() })
        };
        parser.parse2(tokens).map_err(|error| error.to_string())
    }

    #[test]
    fn the_payload_is_what_the_pattern_names() {
        for (tokens, text, generated, payload) in [
            (quote!(V::Done), "V::Done", "V::Done { .. }", ""),
            (quote!(Done), "Done", "Done { .. }", ""),
            (quote!(V::A(v)), "V::A(v)", "V::A(v)", "v"),
            (quote!(V::A(_)), "V::A(_)", "V::A(payload_0)", "payload_0"),
            (quote!(V::P(a, _, ..)), "V::P(a, _, ..)", "V::P(a, payload_1, ..)", "a payload_1"),
            (quote!(V::Q { a, b: _ }), "V::Q { a, b: _ }", "V::Q { a, b: payload_1 }", "a payload_1"),
            (
                quote!(crate::kinds::V::<u8>::A(v)),
                "crate::kinds::V::<u8>::A(v)",
                "crate::kinds::V::<u8>::A(v)",
                "v",
            ),
            (quote!(Some(v)), "Some(v)", "Some(v)", "v"),
        ] {
            let arm = parse(tokens).unwrap();
            assert_eq!(arm.text(), text);
            assert_eq!(one_line(&arm.pattern.matches), generated);
            let names: Vec<_> = arm.pattern.payload.iter().map(ToString::to_string).collect();
            assert_eq!(names.join(" "), payload);
        }
    }

    #[test]
    fn guards_are_part_of_the_text() {
        let arm = parse(quote!(V::A(v) if v > 9 && self.on)).unwrap();
        assert_eq!(arm.text(), "V::A(v) if v > 9 && self.on");
    }

    #[test]
    fn other_patterns_are_rejected() {
        for tokens in
            [quote!(_), quote!(1), quote!((a, b)), quote!(V::A(Some(v))), quote!(V::A(ref v)), quote!(self)]
        {
            assert!(parse(tokens.clone()).is_err_and(|error| error.starts_with("expected a ")), "{tokens}");
        }
    }
}
