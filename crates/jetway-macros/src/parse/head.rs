//! The head of a struct and its fields.

use syn::{
    Attribute, Field, Generics, Ident, Token, Visibility,
    parse::{Parse, ParseStream},
};

/// `#[attrs] pub struct Name<T>`, before the where clause and the fields.
pub(crate) struct Head {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
}

impl Parse for Head {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        if let Some(cfg) = attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
            let message = "`cfg` is not supported here: put it before the whole macro";
            return Err(syn::Error::new_spanned(cfg, message));
        }
        let vis = input.parse()?;
        input.parse::<Token![struct]>()?;
        Ok(Self { attrs, vis, ident: input.parse()?, generics: input.parse()? })
    }
}

/// Parses named fields up to the end of the braces. The commas between them are optional.
pub(crate) fn named_fields(content: ParseStream) -> syn::Result<Vec<Field>> {
    let mut fields = Vec::new();
    while !content.is_empty() {
        let field = Field::parse_named(content)?;
        if let Some((eq, _)) = &field.default {
            return Err(syn::Error::new(eq.span, "a field cannot have a default value"));
        }
        fields.push(field);
        content.parse::<Option<Token![,]>>()?;
    }
    Ok(fields)
}
