//! Macros for the builders of workers and orchestrators.

/// Setters for optional fields.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
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

/// The value of a field, or an error with the field's name.
macro_rules! required {
    ($builder:ident.$field:ident) => {
        $builder.$field.ok_or_else(|| concat!(stringify!($field), " is required").to_owned())?
    };
}

pub(super) use {required, setters};
