//! Time limits: `#[timeout = "30 s"]` and `deadline = "1 h";`, or an expression of type `Duration`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};
use std::time::Duration;
use syn::{Expr, Lit, LitStr, Meta};

/// The names of the attributes.
pub(crate) const LIMITS: [&str; 3] = ["timeout", "within", "heartbeat"];

/// The time limits of a node, as written.
#[derive(Clone, Default)]
pub(crate) struct Limits {
    pub(crate) timeout: Option<Limit>,
    pub(crate) within: Option<Limit>,
    pub(crate) heartbeat: Option<Limit>,
}

/// One limit.
#[derive(Clone)]
pub(crate) enum Limit {
    /// A time that is known now.
    Time(Duration, proc_macro2::Span),
    /// An expression of type `Duration`.
    Given(Box<Expr>),
}

impl Limits {
    /// The limit of an attribute of that name.
    pub(crate) fn slot(&mut self, name: &str) -> Option<&mut Option<Limit>> {
        match name {
            "timeout" => Some(&mut self.timeout),
            "within" => Some(&mut self.within),
            "heartbeat" => Some(&mut self.heartbeat),
            _ => None,
        }
    }

    /// Whether there is no limit.
    pub(crate) fn is_empty(&self) -> bool {
        self.timeout.is_none() && self.within.is_none() && self.heartbeat.is_none()
    }
}

impl Limit {
    pub(crate) fn parse(name: &str, meta: &Meta) -> syn::Result<Self> {
        let Meta::NameValue(pair) = meta else {
            let message =
                format!("invalid limit: write `#[{name} = \"30 s\"]`, or an expression of type `Duration`");
            return Err(syn::Error::new_spanned(meta, message));
        };
        Self::of(&pair.value, &format!("#[{name} = \"30 s\"]"))
    }

    /// The limit that an expression gives. `right` is how one is written.
    pub(crate) fn of(value: &Expr, right: &str) -> syn::Result<Self> {
        match value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Ok(Self::Time(duration(text)?, text.span())),
                other => {
                    let message = format!("a limit needs a unit: write `{right}`");
                    Err(syn::Error::new(other.span(), message))
                }
            },
            given => Ok(Self::Given(Box::new(given.clone()))),
        }
    }
}

impl ToTokens for Limit {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Time(time, span) => {
                let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
                quote_spanned!(*span=> ::core::time::Duration::new(#seconds, #nanos)).to_tokens(tokens);
            }
            Self::Given(expression) => expression.to_tokens(tokens),
        }
    }
}

/// The time of a text such as `500 ms`, `30s` or `1 h 30 min`.
fn duration(text: &LitStr) -> syn::Result<Duration> {
    let written = text.value();
    parsed(&written).filter(|time| !time.is_zero()).ok_or_else(|| {
        let message = format!(
            "{written:?} is no time limit: write a number and a unit of ms, s, min, h or d, such as \"500 ms\" or \"1 h 30 min\""
        );
        syn::Error::new(text.span(), message)
    })
}

fn parsed(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start();
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" | "second" | "seconds" => 1000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(unit)?))?;
        rest = rest[letters..].trim_start();
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("500 ms", 500),
            ("30s", 30_000),
            ("1 h 30 min", 5_400_000),
            ("3 days", 259_200_000),
            (" 1m1s ", 61_000),
        ] {
            assert_eq!(parsed(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["30", "s", "1.5 s", "-1 s", "30 parsecs", "99999999999999999999 d", "18446744073709551615 d"]
        {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
