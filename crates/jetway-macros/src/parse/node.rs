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

/// What `node!` was given.
pub(crate) struct NodeDef {
    pub(crate) head: Head,
    pub(crate) fields: Fields,
    /// `()` where it is not given.
    pub(crate) context: Type,
    pub(crate) input: Type,
    pub(crate) output: Type,
    pub(crate) context_pattern: Pat,
    pub(crate) input_pattern: Pat,
    pub(crate) body: Body,
}

/// What runs.
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
                return Err(syn::Error::new(keyword.span(), format!("`{keyword}` is given twice")));
            }
        }
        let missing = |what: &str| {
            let name = plain(&head.ident);
            syn::Error::new(head.ident.span(), format!("node `{name}` has no `{what} = Type;`"))
        };
        let [context, taken, given] = clauses;
        let taken = taken.ok_or_else(|| missing("input"))?;
        let given = given.ok_or_else(|| missing("output"))?;
        let (context_pattern, input_pattern) = parameters(input)?;
        let body = body(input)?;
        Ok(Self {
            head,
            fields,
            context: context.unwrap_or_else(|| syn::parse_quote!(())),
            input: taken,
            output: given,
            context_pattern,
            input_pattern,
            body,
        })
    }
}

/// `{ a: T, b: U }`, `(T, U);` or `;`, with the where clause at its usual place, and an optional `;` after braces.
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

/// `|ctx, input|`. A leading `async` or `move` changes nothing: the body is asynchronous and owns its input.
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
    if input.is_empty() { Ok(body) } else { Err(input.error("nothing may follow the node's closure")) }
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
    fn the_context_may_be_left_out_and_the_body_be_an_expression() {
        let def = parse(
            quote! { struct A; input = u8; output = u8; async move |_c, (mut x)| Ok(Transition::Next(x)); },
        );
        let def = def.unwrap();
        assert_eq!(def.context, syn::parse_quote!(()));
        assert!(matches!(def.body, Body::Expr(_)));
    }

    #[test]
    fn mistakes_are_named() {
        let closure = quote!(|_, _| { Ok(Transition::Hold) });
        for (tokens, message) in [
            (quote! { struct A; output = u8; #closure }, "node `A` has no `input = Type;`"),
            (quote! { struct A; input = u8; input = u8; #closure }, "`input` is given twice"),
            (quote! { struct A; inptu = u8; #closure }, "did you mean `input`?"),
            (quote! { struct A; input = u8; output = u8; #closure struct B; }, "nothing may follow"),
            (quote! { struct A; input = u8; output = u8; { 1 } }, "expected a clause"),
        ] {
            let error = parse(tokens).err().unwrap_or_default();
            assert!(error.contains(message), "{error:?} does not say {message:?}");
        }
    }
}
