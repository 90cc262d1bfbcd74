//! The laws of [`Merge`], held against every type with random histories.
//!
//! A history is a list of steps. A step loads the value as an earlier step has left it, up to three commits
//! ago, changes its copy, and commits: with no commit in between by writing the copy, else by rebasing it. So
//! up to four branches are under way at once, in any interleaving. What comes out must be what the changes
//! give when they are made one after the other, in the order of the commits.

mod collections;
mod context;
mod derived;
mod values;

use super::{Counter, Fixed, List, Map, Merge, Register, Set};
use proptest::{
    collection::vec,
    prelude::Strategy,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{any::type_name, fmt::Debug};

/// What a value has to be able to do to be tested.
trait Subject: Merge + PartialEq + Debug + Serialize + DeserializeOwned {
    /// A copy that shares nothing, made as the engine makes it: encoded and decoded.
    fn copy(&self) -> Self {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).unwrap();
        ciborium::from_reader(bytes.as_slice()).unwrap()
    }

    fn merged(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }
}

impl<T: Merge + PartialEq + Debug + Serialize + DeserializeOwned> Subject for T {}

/// Checks all laws for one type.
///
/// `change(value, seen, what)` changes `value` as a node would that has seen `seen`, leaving out what would
/// change nothing of what it has seen: that is no change, and cannot be told from none.
fn obeys_the_laws<T, C>(changes: impl Strategy<Value = C>, change: impl Fn(&mut T, &T, &C))
where
    T: Subject,
    C: Debug,
{
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let steps = vec((0..4_usize, changes), 3..9);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let first_changes: Vec<T> =
            steps.iter().map(|(_, what)| changed(&T::default(), &change, what)).collect();
        identity_and_associativity(&first_changes)?;
        sequential(&steps, &change)
    });
    if let Err(failure) = outcome {
        panic!("{}: {failure}", type_name::<T>());
    }
}

fn changed<T: Subject, C>(seen: &T, change: &impl Fn(&mut T, &T, &C), what: &C) -> T {
    let mut mine = seen.copy();
    change(&mut mine, seen, what);
    mine
}

fn same<T: Subject>(law: &str, found: &T, expected: &T) -> Result<(), TestCaseError> {
    if found == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{law}: found {found:?}, expected {expected:?}")))
}

fn identity_and_associativity<T: Subject>(values: &[T]) -> Result<(), TestCaseError> {
    for value in values {
        same("nothing merged into a value", &value.copy().merged(T::default()), value)?;
        same("a value merged into nothing", &T::default().merged(value.copy()), value)?;
    }
    for window in values.windows(3) {
        let [a, b, c] = [0, 1, 2].map(|index| window[index].copy());
        let (left, right) = (a.copy().merged(b.copy()).merged(c.copy()), a.merged(b.merged(c)));
        same("association", &left, &right)?;
    }
    Ok(())
}

fn sequential<T: Subject, C>(
    steps: &[(usize, C)],
    change: &impl Fn(&mut T, &T, &C),
) -> Result<(), TestCaseError> {
    let mut history = vec![T::default()];
    for (lag, what) in steps {
        let theirs = &history[history.len() - 1];
        let base = &history[history.len().saturating_sub(lag + 1)];
        let mine = changed(base, change, what);
        same("no change of mine", &base.copy().rebase(base, theirs.copy()), theirs)?;
        same("no change of theirs", &mine.copy().rebase(base, base.copy()), &mine)?;
        let mut expected = theirs.copy();
        change(&mut expected, base, what);
        let committed = mine.rebase(base, theirs.copy());
        same("one after the other", &committed, &expected)?;
        history.push(committed);
    }
    Ok(())
}
