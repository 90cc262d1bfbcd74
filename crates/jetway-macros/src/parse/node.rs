//! `node!`: a struct, its clauses, and a closure.

use super::{
    head::{Head, named_fields},
    unknown_clause,
};
use crate::text::plain;
use syn::{
    Block, Expr, Fields, FieldsUnnamed, Ident, Pat, Token, Type, braced, ext::IdentExt, parse::Parse,
    parse::ParseStream, punctuated::Punctuated, token,
};

const CLAUSES: [&str; 3] = ["context", "input", "output"];

/// The input of `node!`.
pub(crate) struct NodeDef {
    pub(crate) head: Head,
    pub(crate) fields: Fields,
    /// `()` by default.
    pub(crate) context: Type,
    pub(crate) input: Type,
    pub(crate) output: Type,
    pub(crate) context_pattern: Pat,
    pub(crate) input_pattern: Pat,
    pub(crate) body: Body,
}

/// The body of the closure.
pub(crate) enum Body {
    Block(Block),
    Expr(Box<Expr>),
}

impl Parse for NodeDef {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut head: Head = input.parse()?;
        let fields = fields(input, &mut head)?;
        let mut clauses = [None, None, None];
        while input.peek(Ident::peek_any) && input.peek2(Token![=]) {
            let keyword = input.call(Ident::parse_any)?;
            let slot = CLAUSES.iter().position(|known| keyword == known);
            let slot = slot.ok_or_else(|| unknown_clause(&keyword, &CLAUSES))?;
            input.parse::<Token![=]>()?;
            let ty: Type = input.parse()?;
            input.parse::<Token![;]>()?;
            if clauses[slot].replace(ty).is_some() {
                return Err(syn::Error::new(keyword.span(), format!("duplicate clause `{keyword}`")));
            }
        }
        let missing = |what: &str| {
            let name = plain(&head.ident);
            syn::Error::new(
                head.ident.span(),
                format!("node `{name}` has no `{what}` clause: add `{what} = Type;`"),
            )
        };
        let [context, input_type, output_type] = clauses;
        let input_type = input_type.ok_or_else(|| missing("input"))?;
        let output_type = output_type.ok_or_else(|| missing("output"))?;
        let (context_pattern, input_pattern) = parameters(input)?;
        let body = body(input)?;
        Ok(Self {
            head,
            fields,
            context: context.unwrap_or_else(|| syn::parse_quote!(())),
            input: input_type,
            output: output_type,
            context_pattern,
            input_pattern,
            body,
        })
    }
}

/// Parses `{ a: T, b: U }`, `(T, U);` or `;`, with the where clause at its usual place. A `;` after braces is optional.
fn fields(input: ParseStream, head: &mut Head) -> syn::Result<Fields> {
    if input.peek(token::Paren) {
        let fields: FieldsUnnamed = input.parse()?;
        head.generics.where_clause = input.parse()?;
        input.parse::<Token![;]>()?;
        return Ok(Fields::Unnamed(fields));
    }
    head.generics.where_clause = input.parse()?;
    if input.parse::<Option<Token![;]>>()?.is_some() {
        return Ok(Fields::Unit);
    }
    let content;
    let brace_token = braced!(content in input);
    let named = Punctuated::from_iter(named_fields(&content)?);
    input.parse::<Option<Token![;]>>()?;
    Ok(Fields::Named(syn::FieldsNamed { brace_token, named }))
}

/// Parses `|ctx, input|`. A leading `async` or `move` has no effect: the body is asynchronous and owns its input.
fn parameters(input: ParseStream) -> syn::Result<(Pat, Pat)> {
    input.parse::<Option<Token![async]>>()?;
    input.parse::<Option<Token![move]>>()?;
    if !input.peek(Token![|]) {
        return Err(input.error(
            "expected a clause (`context = Type;`, `input = ..`, `output = ..`) or `|ctx, input| { .. }`",
        ));
    }
    input.parse::<Token![|]>()?;
    let context = Pat::parse_single(input)?;
    input.parse::<Token![,]>()?;
    let value = Pat::parse_single(input)?;
    input.parse::<Option<Token![,]>>()?;
    input.parse::<Token![|]>()?;
    Ok((context, value))
}

fn body(input: ParseStream) -> syn::Result<Body> {
    let body = if input.peek(token::Brace) {
        Body::Block(input.parse()?)
    } else {
        Body::Expr(Box::new(input.parse()?))
    };
    input.parse::<Option<Token![;]>>()?;
    if input.is_empty() {
        Ok(body)
    } else {
        Err(input.error("unexpected tokens after the closure of the node"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn parse(tokens: proc_macro2::TokenStream) -> Result<NodeDef, String> {
        syn::parse2(tokens).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_struct_and_any_order_of_clauses() {
        let rest = quote!(output = u8; context = C; input = u16; |_, _| { Ok(Transition::Hold) });
        for head in [
            quote! { struct A; },
            quote! { /** Says A. */ #[derive(PartialEq)] pub struct A {} },
            quote! { pub(crate) struct A { pub b: u8, #[doc = "c"] c: u8 }; },
            quote! { struct A { b: u8 c: u8 } },
            quote! { struct A(pub u8, u16); },
            quote! { struct A<T: Clone>(T) where T: Send; },
            quote! { struct A<T> where T: Send { b: T } },
        ] {
            let def = parse(quote!(#head #rest)).unwrap();
            assert_eq!(def.head.ident, "A");
            assert_eq!(def.output, syn::parse_quote!(u8));
            assert_eq!(def.input, syn::parse_quote!(u16));
            assert_eq!(def.context, syn::parse_quote!(C));
        }
    }

    #[test]
    fn context_is_optional_and_body_may_be_an_expression() {
        let def = parse(
            quote! { struct A; input = u8; output = u8; async move |_c, (mut x)| Ok(Transition::Next(x)); },
        );
        let def = def.unwrap();
        assert_eq!(def.context, syn::parse_quote!(()));
        assert!(matches!(def.body, Body::Expr(_)));
    }

    #[test]
    fn errors_name_the_mistake() {
        let closure = quote!(|_, _| { Ok(Transition::Hold) });
        for (tokens, message) in [
            (
                quote! { struct A; output = u8; #closure },
                "node `A` has no `input` clause: add `input = Type;`",
            ),
            (quote! { struct A; input = u8; input = u8; #closure }, "duplicate clause `input`"),
            (quote! { struct A; inptu = u8; #closure }, "did you mean `input`?"),
            (
                quote! { struct A; input = u8; output = u8; #closure struct B; },
                "unexpected tokens after the closure",
            ),
            (quote! { struct A; input = u8; output = u8; { 1 } }, "expected a clause"),
        ] {
            let error = parse(tokens).err().unwrap_or_default();
            assert!(error.contains(message), "{error:?} does not say {message:?}");
        }
    }
}
