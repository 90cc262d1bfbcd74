//! What the builders of workers and of orchestrators have in common.

/// The setters for what both builders need.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ident,)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $field(mut self, $field: $type) -> Self {
                self.$field = Some($field);
                self
            }
        )*
    };
}

/// What was set, or the error that names what was not.
macro_rules! required {
    ($builder:ident.$field:ident) => {
        $builder.$field.ok_or_else(|| concat!(stringify!($field), " is required").to_owned())?
    };
}

pub(super) use {required, setters};
