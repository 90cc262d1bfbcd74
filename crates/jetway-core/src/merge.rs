//! Putting together what several branches did to one context.
//!
//! A step's commit writes the context as it is. Only when another step has committed meanwhile are the two
//! brought together, by [`Merge::rebase`]: what this step changed since it began is done again to what the
//! others have made. Nothing is lost and nothing counts twice.
//!
//! # What the types do
//!
//! | type | `rebase` | `merge` |
//! |---|---|---|
//! | [`Counter`], integers, floats | adds the difference | adds |
//! | [`List`] | appends the new tail | appends |
//! | `Vec` | applies the changed stretch: an append, an insertion, a removal, slots written | appends |
//! | `String` | appends the new tail | appends |
//! | [`Set`], `HashSet`, `BTreeSet` | inserts and removes the same members | union |
//! | [`Map`], `HashMap`, `BTreeMap` | goes by key: adds, removes, rebases the value | union, merging values |
//! | `Option` | as a map with one key | merges the two values, or takes the one there is |
//! | [`Register`] | the later write wins | the later write wins |
//! | `bool` | the later change wins | or |
//! | [`Fixed`] | keeps what is there | keeps what is there |
//! | tuples, `()` | each part by itself | each part by itself |
//! | [`SharedState`](crate::SharedState) | as the value inside | as the value inside |
//! | [`EventLog`](crate::event_log::EventLog) | appends the new events in order | appends the unknown events in order |
//!
//! Types that are neither ours nor listed go into a [`Register`] or a [`Fixed`].
//!
//! # What counts as a change
//!
//! `rebase` sees values, not operations: to write what is there already, or to insert and remove again within
//! one step, is no change. The outcome is then that of an execution in which this step came first.

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

/// A value that two branches can change at the same time without losing or doubling anything.
///
/// `T::default()` is the value that nothing has been done to: merging it into a value, or a value into it,
/// gives that value. [`merge`](Self::merge) is associative.
///
/// A type of your own needs `merge` only, if merging twice does no more than merging once (the union of sets,
/// the larger of two numbers). Where it does, as with sums, both sides would bring their common past: derive
/// `Merge`, which rebases field by field, or write [`rebase`](Self::rebase) as well.
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
    /// Adds what `other` holds to `self`; both started from nothing, and `other` is the later one.
    fn merge(&mut self, other: Self);

    /// Re-applies to `theirs` what changed from `base` to `self`.
    ///
    /// `base` is what both sides started from, `self` is what this branch made of it, `theirs` is what the
    /// others made of it meanwhile. The result is what running both changes one after the other, `self` last,
    /// would have given. `base` has to be a copy that shares nothing with `self`.
    ///
    /// Where it is not overridden, `self` is merged into `theirs`.
    #[must_use]
    fn rebase(self, base: &Self, theirs: Self) -> Self {
        let _no_common_past_is_known = base;
        let mut theirs = theirs;
        theirs.merge(self);
        theirs
    }
}
