//! `derive(Merge)`: merges and rebases field by field.

use super::root;
use crate::text::{mentions, plain};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Data, DeriveInput, Fields, Member, parse_quote, spanned::Spanned};

/// The implementation of `Merge` for a struct.
///
/// # Errors
/// For enums and unions, which cannot be merged field by field.
pub(crate) fn merge(mut input: DeriveInput) -> syn::Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => data.fields.clone(),
        Data::Enum(_) | Data::Union(_) => {
            let name = plain(&input.ident);
            let message =
                format!("`Merge` can be derived for structs only: implement `Merge` for `{name}` by hand");
            return Err(syn::Error::new(input.ident.span(), message));
        }
    };
    let support = root::support(input.ident.span());
    bound(&mut input, &fields, &support);
    let (ident, (generics, args, bounds)) = (&input.ident, input.generics.split_for_impl());
    let members: Vec<Member> = fields.members().collect();
    let traits = fields.iter().map(|field| {
        let ty = &field.ty;
        quote_spanned!(ty.span()=> <#ty as #support::Merge>)
    });
    let traits: Vec<_> = traits.collect();
    // A struct without fields does not use the arguments.
    let (base, theirs) =
        if members.is_empty() { (quote!(_), quote!(_)) } else { (quote!(base), quote!(theirs)) };
    Ok(quote! {
        #[automatically_derived]
        impl #generics #support::Merge for #ident #args #bounds {
            fn merge(&mut self, #theirs: Self) {
                #(#traits::merge(&mut self.#members, theirs.#members);)*
            }

            fn rebase(self, #base: &Self, #theirs: Self) -> Self {
                Self { #(#members: #traits::rebase(self.#members, &base.#members, theirs.#members)),* }
            }
        }
    })
}

/// Adds the bound `Merge` to the type parameters that the fields use.
fn bound(input: &mut DeriveInput, fields: &Fields, support: &TokenStream) {
    for parameter in input.generics.type_params_mut() {
        let name = parameter.ident.to_string();
        if fields.iter().any(|field| mentions(field.ty.to_token_stream(), &name)) {
            parameter.bounds.push(parse_quote!(#support::Merge));
        }
    }
}
