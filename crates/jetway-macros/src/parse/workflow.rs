//! `workflow!`: a struct of nodes, and clauses with their edges.

use super::{
    edge::Edge,
    head::{Head, named_fields},
    limit::{LIMITS, Limit, Limits},
    unknown_clause,
};
use crate::{errors::Errors, text::did_you_mean};
use proc_macro2::Span;
use syn::{
    Attribute, Expr, Ident, Lit, LitInt, LitStr, Meta, Token, Type, Visibility, braced,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

const CLAUSES: [&str; 7] = ["start", "context", "edges", "name", "output", "retry", "deadline"];

/// The input of `workflow!`.
pub(crate) struct Definition {
    pub(crate) head: Head,
    pub(crate) fields: Vec<NodeField>,
    pub(crate) clauses: Vec<Clause>,
}

/// A field: a node, or a retry policy that the `#[retry]` of a node names.
pub(crate) struct NodeField {
    /// Without those of Jetway.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// The field that `#[retry = field]` names.
    pub(crate) retry: Option<Ident>,
    /// The span of `#[gather]`.
    pub(crate) gather: Option<Span>,
    /// The number of `#[at_most = 8]`.
    pub(crate) at_most: Option<LitInt>,
    /// `#[timeout = ..]`, `#[within = ..]` and `#[heartbeat = ..]`.
    pub(crate) limits: Limits,
}

/// One clause after the struct.
pub(crate) struct Clause {
    pub(crate) keyword: Ident,
    pub(crate) value: Value,
}

/// The value of a clause.
pub(crate) enum Value {
    Start(Ident),
    Context(Type),
    Output(Type),
    Name(LitStr),
    Retry(Box<Expr>),
    Deadline(Limit),
    Edges(Vec<Edge>),
}

impl Parse for Definition {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut head: Head = input.parse()?;
        head.generics.where_clause = input.parse()?;
        let content;
        braced!(content in input);
        let fields = fields(&content)?;
        input.parse::<Option<Token![;]>>()?;
        let mut clauses = Vec::new();
        while !input.is_empty() {
            clauses.push(input.parse()?);
        }
        Ok(Self { head, fields, clauses })
    }
}

fn fields(content: ParseStream) -> syn::Result<Vec<NodeField>> {
    let mut errors = Errors::default();
    let mut fields = Vec::new();
    for field in named_fields(content)? {
        match NodeField::new(field) {
            Ok(field) => fields.push(field),
            Err(error) => errors.add(error),
        }
    }
    errors.finish().map(|()| fields)
}

impl NodeField {
    fn new(field: syn::Field) -> syn::Result<Self> {
        let Some(ident) = field.ident else {
            return Err(syn::Error::new(field.ty.span(), "a node needs a name"));
        };
        let mut node = Self {
            attrs: Vec::new(),
            vis: field.vis,
            ident,
            ty: field.ty,
            retry: None,
            gather: None,
            at_most: None,
            limits: Limits::default(),
        };
        for attribute in field.attrs {
            node.attribute(attribute)?;
        }
        Ok(node)
    }

    fn attribute(&mut self, attribute: Attribute) -> syn::Result<()> {
        let path = attribute.path();
        let duplicate =
            |name: &str| syn::Error::new_spanned(&attribute, format!("duplicate attribute `#[{name}]`"));
        if path.is_ident("retry") {
            let policy = policy(&attribute.meta)?;
            if self.retry.replace(policy).is_some() {
                return Err(duplicate("retry"));
            }
        } else if path.is_ident("gather") {
            attribute.meta.require_path_only()?;
            if self.gather.replace(attribute.span()).is_some() {
                return Err(duplicate("gather"));
            }
        } else if path.is_ident("at_most") {
            if self.at_most.replace(bound(&attribute.meta)?).is_some() {
                return Err(duplicate("at_most"));
            }
        } else if let Some(name) = LIMITS.into_iter().find(|name| path.is_ident(name)) {
            let limit = Limit::parse(name, &attribute.meta)?;
            if self.limits.slot(name).is_some_and(|slot| slot.replace(limit).is_some()) {
                return Err(duplicate(name));
            }
        } else if path.is_ident("cfg") || path.is_ident("cfg_attr") {
            return Err(syn::Error::new_spanned(
                &attribute,
                "`cfg` is not supported on a node: put it before the whole `workflow!`",
            ));
        } else {
            let known = ["retry", "gather", "at_most"].into_iter().chain(LIMITS);
            let hint = path.get_ident().map(|name| did_you_mean(&name.to_string(), known));
            if let (Some(name), Some(hint)) = (path.get_ident(), hint.filter(|hint| !hint.is_empty())) {
                return Err(syn::Error::new_spanned(&attribute, format!("unknown attribute `{name}`{hint}")));
            }
            self.attrs.push(attribute);
        }
        Ok(())
    }
}

/// The `8` of `at_most = 8`.
fn bound(meta: &Meta) -> syn::Result<LitInt> {
    if let Meta::NameValue(pair) = meta
        && let Expr::Lit(literal) = &pair.value
        && let Lit::Int(number) = &literal.lit
        && number.base10_parse::<u32>().is_ok_and(|number| number > 0)
    {
        return Ok(number.clone());
    }
    Err(syn::Error::new_spanned(meta, "invalid bound: write `#[at_most = 8]`, with an integer of 1 or more"))
}

/// The `backoff` of `retry = backoff`.
fn policy(meta: &Meta) -> syn::Result<Ident> {
    if let Meta::NameValue(pair) = meta
        && let Expr::Path(path) = &pair.value
        && let Some(ident) = path.path.get_ident()
    {
        return Ok(ident.clone());
    }
    Err(syn::Error::new_spanned(
        meta,
        "invalid retry policy: write `#[retry = policy]`, where `policy` is a field of this workflow",
    ))
}

impl Parse for Clause {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let keyword = input.call(Ident::parse_any)?;
        if keyword == "edges" {
            let content;
            braced!(content in input);
            let mut edges = Vec::new();
            while !content.is_empty() {
                edges.push(content.parse()?);
            }
            input.parse::<Option<Token![;]>>()?;
            return Ok(Self { keyword, value: Value::Edges(edges) });
        }
        if !CLAUSES.iter().any(|known| keyword == known) {
            return Err(unknown_clause(&keyword, &CLAUSES));
        }
        input.parse::<Token![=]>()?;
        let value = match keyword.to_string().as_str() {
            "start" => Value::Start(input.parse()?),
            "context" => Value::Context(input.parse()?),
            "output" => Value::Output(input.parse()?),
            "retry" => Value::Retry(input.parse()?),
            "deadline" => Value::Deadline(Limit::of(&input.parse()?, "deadline = \"30 min\";")?),
            _ => Value::Name(input.parse()?),
        };
        input.parse::<Token![;]>()?;
        Ok(Self { keyword, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use quote::quote;

    fn parse(tokens: TokenStream) -> Result<Definition, String> {
        syn::parse2(tokens).map_err(|error| error.to_string())
    }

    #[test]
    fn docs_attributes_and_all_clauses() {
        let definition = parse(quote! {
            /// Indexes pages.
            #[derive(PartialEq)]
            pub(crate) struct Corpus<T: Clone = u8> where T: Send {
                /// Fetches.
                #[retry = backoff] pub fetch: Fetch<T>
                backoff: RetryPolicy,
                #[gather] #[expect(dead_code)] merge: Merge<T>,
            };
            edges { fetch => [merge]; merge => {}; };
            context = C;
            start = fetch;
            name = "corpus-2";
            output = Vec<u8>;
        })
        .unwrap();
        assert_eq!(definition.head.attrs.len(), 2);
        assert!(definition.head.generics.where_clause.is_some());
        let fields: Vec<_> = definition.fields.iter().map(|field| field.ident.to_string()).collect();
        assert_eq!(fields, ["fetch", "backoff", "merge"]);
        assert_eq!(definition.fields[0].retry.as_ref().unwrap(), "backoff");
        assert_eq!(definition.fields[0].attrs.len(), 1);
        assert!(definition.fields[2].gather.is_some());
        let keywords: Vec<_> = definition.clauses.iter().map(|clause| clause.keyword.to_string()).collect();
        assert_eq!(keywords, ["edges", "context", "start", "name", "output"]);
    }

    #[test]
    fn errors_name_the_mistake() {
        let cases: [(TokenStream, &str); 12] = [
            (quote! { struct A { a: B } strat = a; }, "did you mean `start`?"),
            (quote! { struct A { #[retry(x)] a: B } }, "write `#[retry = policy]`"),
            (quote! { struct A { #[at_most = 0] a: B } }, "write `#[at_most = 8]`"),
            (quote! { struct A { #[at_most(3)] a: B } }, "write `#[at_most = 8]`"),
            (quote! { struct A { #[at_most = 3] #[at_most = 4] a: B } }, "duplicate attribute `#[at_most]`"),
            (quote! { struct A { #[gathr] a: B } }, "unknown attribute `gathr`; did you mean `gather`?"),
            (quote! { struct A { #[gather] #[gather] a: B } }, "duplicate attribute `#[gather]`"),
            (quote! { struct A { #[cfg(test)] a: B } }, "`cfg` is not supported on a node"),
            (quote! { struct A { a: B = 1 } }, "cannot have a default value"),
            (quote! { struct A { a: B } start = a }, "expected `;`"),
            (quote! { struct A { a: B } deadline = 5; }, "write `deadline = \"30 min\";`"),
            (quote! { struct A { a: B } deadline = "soon"; }, "\"soon\" is no time limit: write a number"),
        ];
        for (tokens, message) in cases {
            let error = parse(tokens).err().unwrap_or_default();
            assert!(error.contains(message), "{error:?} does not say {message:?}");
        }
    }
}
