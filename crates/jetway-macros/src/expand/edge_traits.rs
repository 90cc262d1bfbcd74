//! Passes a value over an edge; a type mismatch is an error that names the edge and its nodes.

use super::scope::Scope;
use crate::{
    model::{Node, Target},
    parse::arm::Pattern,
    text::plain,
};
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote_spanned};

/// The traits of the edges of one workflow. Each edge has its own, because its error message names its nodes.
#[derive(Default)]
pub(super) struct EdgeTraits {
    traits: Vec<TokenStream>,
}

/// The value that an edge carries.
#[derive(Clone, Copy)]
pub(super) enum EdgeValue<'a> {
    /// The output of a node.
    Output(&'a Node),
    /// The payload of a variant of the output of a node.
    Payload(&'a Node, &'a Pattern),
}

/// The error of rustc for a type mismatch: the message, the label, and the note.
struct Diagnostic([String; 3]);

impl EdgeTraits {
    /// The code of all traits.
    pub(super) fn into_traits(self) -> Vec<TokenStream> {
        self.traits
    }

    /// Converts `value` to the input of the target. rustc shows a mismatch at the target's name in the edge.
    pub(super) fn input(
        &mut self,
        scope: &Scope<'_>,
        edge_value: EdgeValue<'_>,
        target: &Target,
        value: &TokenStream,
    ) -> TokenStream {
        let node = scope.workflow.node(target);
        let (span, support) = (target.ident.span(), &scope.support);
        let converted =
            self.convert(scope, span, &scope.carried(node), value, Diagnostic::edge(edge_value, node));
        if node.gathers { quote_spanned!(span=> #support::Gathers::one(#converted)) } else { converted }
    }

    /// Converts the input of `from`, whose run was cancelled, to the input of the clean-up node `target`.
    pub(super) fn cancel(
        &mut self,
        scope: &Scope<'_>,
        from: &Node,
        target: &Target,
        value: &TokenStream,
    ) -> TokenStream {
        let node = scope.workflow.node(target);
        let (span, support) = (target.ident.span(), &scope.support);
        let converted =
            self.convert(scope, span, &scope.carried(node), value, Diagnostic::cancel(from, node));
        if node.gathers { quote_spanned!(span=> #support::Gathers::one(#converted)) } else { converted }
    }

    /// Converts `value` to the output of the run.
    pub(super) fn output(
        &mut self,
        scope: &Scope<'_>,
        edge_value: EdgeValue<'_>,
        span: Span,
        value: &TokenStream,
    ) -> TokenStream {
        let diagnostic = Diagnostic::end(edge_value, &plain(&scope.workflow.head.ident));
        self.convert(scope, span, &quote_spanned!(span=> Self::Output), value, diagnostic)
    }

    fn convert(
        &mut self,
        scope: &Scope<'_>,
        span: Span,
        wanted: &TokenStream,
        value: &TokenStream,
        diagnostic: Diagnostic,
    ) -> TokenStream {
        let name = format_ident!("__JetwayEdge{}", self.traits.len());
        let Diagnostic([message, label, note]) = diagnostic;
        // Needs the hygiene of `value`; otherwise rustc shows the whole macro.
        let span = span.resolved_at(Span::mixed_site());
        self.traits.push(quote_spanned! {scope.here()=>
            #[diagnostic::on_unimplemented(message = #message, label = #label, note = #note)]
            trait #name<Wanted> {
                fn convert(self) -> Wanted;
            }
            impl<Value> #name<Value> for Value {
                fn convert(self) -> Value {
                    self
                }
            }
        });
        let name = Ident::new(&name.to_string(), span);
        quote_spanned!(span=> #name::<#wanted>::convert(#value))
    }

    /// Converts the input of `from` and its error to the input of the fallback `target`.
    pub(super) fn fallback(
        &mut self,
        scope: &Scope<'_>,
        from: &Node,
        target: &Target,
        input: &TokenStream,
        error: &Ident,
    ) -> TokenStream {
        let node = scope.workflow.node(target);
        let (support, failed) = (&scope.support, plain(&from.ident));
        let span = target.ident.span().resolved_at(Span::mixed_site());
        let given = shown_at(scope.input(from), span);
        let name = format_ident!("__JetwayEdge{}", self.traits.len());
        let Diagnostic([message, label, note]) = Diagnostic::fallback(from, node);
        self.traits.push(quote_spanned! {scope.here()=>
            #[diagnostic::on_unimplemented(message = #message, label = #label, note = #note)]
            trait #name<Given, Wanted> {
                fn convert(self) -> Wanted;
            }
            impl<Given> #name<Given, Given> for (Given, &#support::Error) {
                fn convert(self) -> Given {
                    self.0
                }
            }
            impl<Given> #name<Given, #support::Failure<Given>> for (Given, &#support::Error) {
                fn convert(self) -> #support::Failure<Given> {
                    #support::Failure::new(self.0, #failed, self.1)
                }
            }
        });
        let (name, wanted) = (Ident::new(&name.to_string(), span), scope.carried(node));
        let error = Ident::new(&error.to_string(), span);
        let converted = quote_spanned!(span=> #name::<#given, #wanted>::convert((#input, #error)));
        if node.gathers { quote_spanned!(span=> #support::Gathers::one(#converted)) } else { converted }
    }
}

impl Diagnostic {
    fn edge(edge_value: EdgeValue<'_>, to: &Node) -> Self {
        let takes =
            format!("`{}` {} `{{Wanted}}`", plain(&to.ident), if to.gathers { "gathers" } else { "takes" });
        let (from, to) = (edge_value.from(), plain(&to.ident));
        let message = format!("edge `{from} => {to}`: {} `{{Self}}`, but {takes}", edge_value.outputs());
        Self([message, takes, edge_value.note()])
    }

    fn fallback(from: &Node, to: &Node) -> Self {
        let verb = if to.gathers { "gathers" } else { "takes" };
        let (from, to) = (plain(&from.ident), plain(&to.ident));
        let takes = format!("`{to}` {verb} `{{Wanted}}`");
        let message = format!("edge `{from} on_failure => {to}`: `{from}` takes `{{Given}}`, but {takes}");
        let note = "a fallback takes the input of the failed node, or a `Failure` of it".to_owned();
        Self([message, takes, note])
    }

    fn cancel(from: &Node, to: &Node) -> Self {
        let verb = if to.gathers { "gathers" } else { "takes" };
        let (from, to) = (plain(&from.ident), plain(&to.ident));
        let takes = format!("`{to}` {verb} `{{Wanted}}`");
        let message = format!("edge `{from} on_cancel => {to}`: `{from}` takes `{{Self}}`, but {takes}");
        let note = "a clean-up node takes the input of the node that was cancelled".to_owned();
        Self([message, takes, note])
    }

    fn end(edge_value: EdgeValue<'_>, workflow: &str) -> Self {
        let outputs = edge_value.outputs();
        let message =
            format!("{outputs} `{{Self}}`, but the output of workflow `{workflow}` is `{{Wanted}}`");
        let note = "all outputs of a workflow have one type: that of the first terminal node, or of `output = Type;`";
        Self([message, format!("{outputs} `{{Self}}`"), note.to_owned()])
    }
}

impl EdgeValue<'_> {
    fn from(self) -> String {
        let (Self::Output(node) | Self::Payload(node, _)) = self;
        plain(&node.ident)
    }

    /// The source of the value, as the first part of a sentence that ends with a type.
    fn outputs(self) -> String {
        match self {
            Self::Output(node) => format!("`{}` outputs", plain(&node.ident)),
            Self::Payload(_, pattern) => format!("`{}` carries", escaped(&pattern.text)),
        }
    }

    fn note(self) -> String {
        match self {
            Self::Payload(_, pattern) if pattern.bare => {
                let pattern = escaped(&pattern.text);
                format!(
                    "a pattern without parentheses carries no value; to carry the value, write `{pattern}(_)`"
                )
            }
            Self::Output(_) | Self::Payload(..) => {
                "the output of a node and the input of its successor must have the same type".to_owned()
            }
        }
    }
}

/// The same code with another span, where rustc shows errors.
fn shown_at(tokens: TokenStream, span: Span) -> TokenStream {
    let shown = |token: TokenTree| {
        let span = span.resolved_at(token.span());
        let mut token = match token {
            TokenTree::Group(group) => Group::new(group.delimiter(), shown_at(group.stream(), span)).into(),
            token => token,
        };
        token.set_span(span);
        token
    };
    tokens.into_iter().map(shown).collect()
}

/// Escapes braces for a format string.
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
