//! Text from the user's code: names of variants, labels of edges, parts of messages.

use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;

/// The name without a raw prefix: `type` for `r#type`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// Converts `fetch_page` to `FetchPage`. Only the first letter of each part changes.
pub(crate) fn camel_case(name: &str) -> String {
    name.split('_')
        .filter_map(|part| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
        })
        .collect()
}

/// The maximum number of names in a list.
const MAX_LISTED: usize = 5;

/// A list of names: `a`, `b` and `c`. A long list is cut.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    series(names, "and", |more| format!("{more} more"))
}

/// A list of alternatives: `a`, `b` or `c`. A long list is cut.
pub(crate) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    series(names, "or", |_| "another one".to_owned())
}

fn series<'a>(
    names: impl IntoIterator<Item = &'a str>,
    word: &str,
    rest: impl FnOnce(usize) -> String,
) -> String {
    let mut names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.len() > MAX_LISTED {
        let more = names.split_off(MAX_LISTED - 1).len();
        names.push(rest(more));
    }
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} {word} {last}", before.join(", ")),
    }
}

/// Returns `; did you mean `x`?` if a candidate is close to what was written, otherwise an empty string.
pub(crate) fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let limit = (written.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

/// Whether the identifier occurs anywhere in the tokens.
pub(crate) fn mentions(tokens: TokenStream, ident: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(found) => found == ident,
        TokenTree::Group(group) => mentions(group.stream(), ident),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Code on one line. The spacing does not depend on that of the source, because fingerprints contain this text.
pub(crate) fn one_line(code: impl ToTokens) -> String {
    let mut words = Vec::new();
    split(code.into_token_stream(), &mut words);
    let mut line = String::new();
    // An operator at the place of a value is unary: `!x`, `-1`, `&y`.
    let mut value_expected = true;
    let mut unary = false;
    let mut turbofish = 0_usize;
    for (position, word) in words.iter().enumerate() {
        let last = position.checked_sub(1).map(|last| words[last].as_str());
        let opens_generics = word == "<" && last == Some("::");
        let closes_generics = word == ">" && turbofish > 0;
        let in_generics = turbofish > 0 && last == Some("<");
        if !(unary || opens_generics || closes_generics || in_generics || is_tight(last, word)) {
            line.push(' ');
        }
        line.push_str(word);
        turbofish = (turbofish + usize::from(opens_generics)) - usize::from(closes_generics);
        let operator =
            word.starts_with(|first: char| first.is_ascii_punctuation() && !"_\"')]}".contains(first));
        unary = operator && value_expected && matches!(word.as_str(), "!" | "-" | "*" | "&");
        value_expected = operator && !closes_generics;
    }
    line
}

/// Whether no space separates two neighbours.
fn is_tight(last: Option<&str>, word: &str) -> bool {
    let Some(last) = last else { return true };
    let called = last.ends_with(|end: char| end.is_alphanumeric() || "_)]!".contains(end));
    matches!(last, "(" | "[" | "." | "::" | "!")
        || matches!(word, ")" | "]" | "." | "::" | "," | ";" | ":" | "?")
        || (called && matches!(word, "(" | "[" | "!"))
}

/// Splits code into words, operators and delimiters.
fn split(tokens: TokenStream, words: &mut Vec<String>) {
    let mut joined = false;
    for token in tokens {
        let continues = joined;
        joined = false;
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => {
                        split(group.stream(), words);
                        continue;
                    }
                };
                words.push(open.to_owned());
                split(group.stream(), words);
                words.push(close.to_owned());
            }
            TokenTree::Punct(punct) => {
                joined = punct.spacing() == Spacing::Joint;
                match words.last_mut().filter(|_| continues) {
                    Some(operator) => operator.push(punct.as_char()),
                    None => words.push(punct.to_string()),
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => match words.last_mut().filter(|last| *last == "'")
            {
                Some(lifetime) => lifetime.push_str(&token.to_string()),
                None => words.push(token.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn variants_are_named_after_fields() {
        assert_eq!(camel_case("fetch"), "Fetch");
        assert_eq!(camel_case("fetch_page_2nd"), "FetchPage2nd");
        assert_eq!(camel_case("parseURL"), "ParseURL");
        assert_eq!(camel_case("loop_"), "Loop");
        assert_eq!(camel_case("_"), "");
    }

    #[test]
    fn suggestions_are_close_or_absent() {
        assert_eq!(did_you_mean("indx", ["audit", "index"]), "; did you mean `index`?");
        assert_eq!(did_you_mean("store", ["audit", "index"]), "");
    }

    #[test]
    fn lists_have_commas_and_a_limit() {
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(either(["a", "b"]), "`a` or `b`");
        assert_eq!(listed(["a", "b", "c", "d", "e"]), "`a`, `b`, `c`, `d` and `e`");
        assert_eq!(listed(["a", "b", "c", "d", "e", "f"]), "`a`, `b`, `c`, `d` and 2 more");
        assert_eq!(either(["a", "b", "c", "d", "e", "f"]), "`a`, `b`, `c`, `d` or another one");
    }

    #[test]
    fn code_has_the_usual_spacing() {
        for (tokens, text) in [
            (quote!(crate::kinds::Verdict::Ok(v)), "crate::kinds::Verdict::Ok(v)"),
            (quote!(crate::kinds::Verdict::<u8>::Ok(v)), "crate::kinds::Verdict::<u8>::Ok(v)"),
            (quote!(v > 9), "v > 9"),
            (quote!(v.len() >= 3 && !v.is_empty()), "v.len() >= 3 && !v.is_empty()"),
            (quote!(*v == -1 || limits[0] < v), "*v == -1 || limits[0] < v"),
            (quote!(Shape::Box { a, b }), "Shape::Box { a, b }"),
            (quote!(name == "x y"), "name == \"x y\""),
            (quote!(Some(_)), "Some(_)"),
            (quote!(Pair(a, ..)), "Pair(a, ..)"),
            (quote!(matches!(v, Some(1))), "matches!(v, Some(1))"),
            (quote!((v + 1) * 2 > -3), "(v + 1) * 2 > -3"),
        ] {
            // Parsed first, because syn spaces operators in one way.
            let code: syn::Expr = syn::parse2(tokens).unwrap();
            assert_eq!(one_line(code), text);
        }
    }

    #[test]
    fn identifiers_are_found_in_groups() {
        assert!(mentions(quote!(f(&[input.len()])), "input"));
        assert!(!mentions(quote!(f(inputs)), "input"));
    }
}
