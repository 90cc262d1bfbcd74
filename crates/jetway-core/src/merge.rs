//! [`Merge`]: combines the changes that concurrent steps made to one context.
//!
//! A commit writes the context as the step left it. If another step has committed since this one began,
//! [`Merge::rebase`] re-applies the change of this step to the latest context. No change is lost or counted twice.
//!
//! # How each type is merged
//!
//! | type | `rebase` | `merge` |
//! |---|---|---|
//! | [`Counter`], integers, floats | adds the difference | adds |
//! | [`List`] | appends the new tail | appends |
//! | `Vec` | applies the changed range: an append, an insertion, a removal, or written slots | appends |
//! | `String` | appends the new tail | appends |
//! | [`Set`], `HashSet`, `BTreeSet` | inserts and removes the same members | union |
//! | [`Map`], `HashMap`, `BTreeMap` | by key: adds, removes, or rebases the value | union, merges values |
//! | `Option` | as a map with one key | merges the two values, or takes the only one |
//! | [`Register`] | the later write wins | the later write wins |
//! | `bool` | the later change wins | or |
//! | [`Fixed`] | keeps the first value | keeps the first value |
//! | tuples, `()` | each element separately | each element separately |
//! | [`SharedState`](crate::SharedState) | as the inner value | as the inner value |
//! | [`EventLog`](crate::event_log::EventLog) | appends the new events in order | appends the missing events in order |
//!
//! Wrap any other type in a [`Register`] or a [`Fixed`].
//!
//! # What counts as a change
//!
//! `rebase` compares values, not operations. Writing the value that is already there is no change; inserting and
//! removing the same member within one step is none either. The result is then as if this step had come first.

mod counter;
mod fixed;
mod list;
pub(crate) mod locked;
pub(crate) use locked::sharing;
mod map;
mod register;
mod set;
mod std_collections;
mod std_numbers;
mod std_sequences;
mod tuples;

#[cfg(test)]
mod laws;

pub use counter::Counter;
pub use fixed::Fixed;
pub use list::List;
pub use map::Map;
pub use register::Register;
pub use set::Set;

/// A value that concurrent steps can change without losing a change or counting it twice.
///
/// `T::default()` is the neutral value: merging it into a value, or a value into it, gives that value.
/// [`merge`](Self::merge) must be associative.
///
/// For a struct, derive `Merge`, which works field by field. For other types implement `merge`. That is enough where
/// merging a value twice equals merging it once, as with the union of sets or the maximum. Otherwise, as with sums,
/// also implement [`rebase`](Self::rebase), because the default would count the common past twice.
///
/// ```
/// use jetway_core::merge::Merge;
///
/// #[derive(Default)]
/// struct Highest(u32);
///
/// impl Merge for Highest {
///     fn merge(&mut self, other: Self) {
///         self.0 = self.0.max(other.0);
///     }
/// }
///
/// let (base, mine, theirs) = (Highest(3), Highest(9), Highest(7));
/// assert_eq!(mine.rebase(&base, theirs).0, 9);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be merged, so two steps that commit at once cannot both change it",
    note = "derive `Merge` for a type of your own, or wrap the value",
    note = "`Register<{Self}>` takes the later write, `Fixed<{Self}>` is set once"
)]
pub trait Merge: Default {
    /// Merges `other` into `self`. Both started from `T::default()`, and `other` is the later one.
    fn merge(&mut self, other: Self);

    /// Re-applies the change from `base` to `self` to `theirs`.
    ///
    /// Both sides started from `base`; `theirs` is the committed value, `self` the value of this step. The result must
    /// equal running both changes one after the other, with `self` last. `base` must be a copy that shares no value
    /// with `self`.
    ///
    /// The default merges `self` into `theirs`.
    #[must_use]
    fn rebase(self, base: &Self, theirs: Self) -> Self {
        let _ignored = base;
        let mut theirs = theirs;
        theirs.merge(self);
        theirs
    }
}
