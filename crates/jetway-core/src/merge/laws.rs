//! Property tests of the laws of [`Merge`], for every type, with random histories.
//!
//! A history is a list of steps. A step loads the value of a commit up to three commits ago, changes its copy and
//! commits it: without a commit in between by writing the copy, otherwise by rebasing it. So up to four steps run
//! concurrently, in any interleaving. The result must equal applying the changes one after the other, in the order of
//! the commits.

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

/// A value that can be tested.
trait Mergeable: Merge + PartialEq + Debug + Serialize + DeserializeOwned {
    /// A separate copy, made by encoding and decoding as the engine does.
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

impl<T: Merge + PartialEq + Debug + Serialize + DeserializeOwned> Mergeable for T {}

/// Checks all laws for one type.
///
/// `change(value, seen, what)` changes `value` as a node would that has read `seen`. It must skip what is already so in
/// `seen`: `rebase` cannot distinguish that from no change.
fn check_laws<T, C>(changes: impl Strategy<Value = C>, change: impl Fn(&mut T, &T, &C))
where
    T: Mergeable,
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

fn changed<T: Mergeable, C>(seen: &T, change: &impl Fn(&mut T, &T, &C), what: &C) -> T {
    let mut mine = seen.copy();
    change(&mut mine, seen, what);
    mine
}

fn same<T: Mergeable>(law: &str, found: &T, expected: &T) -> Result<(), TestCaseError> {
    if found == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{law}: found {found:?}, expected {expected:?}")))
}

fn identity_and_associativity<T: Mergeable>(values: &[T]) -> Result<(), TestCaseError> {
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

fn sequential<T: Mergeable, C>(
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
