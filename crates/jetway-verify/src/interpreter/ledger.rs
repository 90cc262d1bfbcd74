//! The context: one field of every mergeable type, and a trail of the committed steps.

use crate::program::{Change, Haste, Limit, Listen, ValueChange};
use jetway::{
    Counter, EventLog, Fixed, LoggedEvent, Merge, SharedState,
    merge::{List, Map, Register, Set},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Deref,
};

/// One committed step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the program.
    pub step: String,
    /// Its work item.
    pub item: String,
    /// The mark of its frame; 0 for the join of no branches, which has no frame.
    pub mark: u64,
}

/// A wait for signals that is over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Answered {
    /// The step that waited.
    pub step: String,
    /// What it waited for.
    pub listen: Listen,
    /// The names and the numbers of the signals; `None` if the deadline had passed.
    pub signals: Option<Vec<(String, u64)>>,
}

/// A step that has exceeded its time limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Late {
    /// Its name in the program.
    pub step: String,
    /// The limit.
    pub limit: Limit,
    /// Whether it was to keep to it.
    pub haste: Haste,
    /// The kind of the error.
    pub kind: String,
    /// The error.
    pub message: String,
    /// The time from the step before until the fallback ran, in milliseconds by the clocks of the machines.
    pub took: u64,
}

/// The context of a run. Every step appends itself to the trail in the same commit as its other changes. So the trail
/// determines the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ledger(Fields);

/// The fields of a [`Ledger`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub struct Fields {
    /// The committed steps.
    pub trail: List<Entry>,
    count: Counter,
    tags: Set<u8>,
    tallies: Map<u8, i64>,
    log: EventLog<String>,
    mark: Register<String>,
    seal: Fixed<u64>,
    plain: SharedState<PlainValues>,
    /// The digests of the branches that arrived at held joins, by the path of the join and by branch.
    pub held: SharedState<BTreeMap<String, BTreeMap<u16, u64>>>,
    /// The waits for signals that are over.
    pub answers: List<Answered>,
    /// The steps that have exceeded their time limits.
    pub late: List<Late>,
    /// What the incarnations before this one have left, as JSON.
    pub(super) past: List<String>,
}

/// One field of every mergeable standard type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Merge)]
pub(super) struct PlainValues {
    total: i64,
    ratio: f64,
    numbers: Vec<u32>,
    words: String,
    table: HashMap<u8, i64>,
    tree: BTreeMap<u8, i64>,
    names: HashSet<u8>,
    order: BTreeSet<u8>,
    maybe: Option<i64>,
    pair: (i64, Vec<u32>),
    flag: bool,
    nothing: (),
}

impl Deref for Ledger {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl Merge for Ledger {
    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        if merges_instead() {
            let mut merged = theirs;
            merged.merge(self);
            return merged;
        }
        Self(self.0.rebase(&base.0, theirs.0))
    }
}

#[cfg(feature = "defects")]
static MERGES_INSTEAD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Breaks the promise of `rebase` for the rest of the process.
#[cfg(feature = "defects")]
pub(crate) fn merge_instead_of_rebase() {
    MERGES_INSTEAD.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Whether [`rebase`](Merge::rebase) merges whole contexts.
fn merges_instead() -> bool {
    #[cfg(feature = "defects")]
    return MERGES_INSTEAD.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(feature = "defects"))]
    false
}

impl Ledger {
    /// Applies one change for the step with this name.
    pub(super) async fn apply(&self, change: Change, step: &str) {
        match change {
            Change::Count(number) => drop(self.count.add(number)),
            Change::Tag(tag) => drop(self.tags.insert(tag)),
            Change::Tally(key, number) => self.tallies.update(key, |tally| *tally += number),
            Change::Log => self.log.append(step.to_owned()),
            Change::Mark => self.mark.set(step.to_owned()),
            Change::Value(change) => self.plain.get().await.apply(change),
        }
    }
}

impl PlainValues {
    fn apply(&mut self, change: ValueChange) {
        match change {
            ValueChange::Total(number) => self.total += number,
            ValueChange::Ratio(number) => self.ratio += f64::from(number),
            ValueChange::Numbers(number) => self.numbers.push(number),
            ValueChange::Words(word) => self.words.push_str(&format!("{word:04x}")),
            ValueChange::Table(key, number) => *self.table.entry(key).or_default() += number,
            ValueChange::Tree(key, number) => *self.tree.entry(key).or_default() += number,
            ValueChange::Names(name) => drop(self.names.insert(name)),
            ValueChange::Order(number) => drop(self.order.insert(number)),
            ValueChange::Maybe(number) => *self.maybe.get_or_insert_default() += number,
            ValueChange::Pair(number, item) => {
                self.pair.0 += number;
                self.pair.1.push(item);
            }
            ValueChange::Flag => self.flag = true,
        }
    }

    /// The same with appended values in sorted order. Their real order is that of the commits.
    fn unordered(mut self) -> Self {
        self.numbers.sort_unstable();
        self.pair.1.sort_unstable();
        let mut words: Vec<_> = self.words.as_bytes().chunks(4).collect();
        words.sort_unstable();
        self.words = String::from_utf8_lossy(&words.concat()).into_owned();
        self
    }
}

/// A [`Ledger`] as plain values, which have the same encoding. The reference model writes into it, too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlainLedger {
    /// The committed steps.
    pub trail: Vec<Entry>,
    count: i64,
    tags: BTreeSet<u8>,
    tallies: BTreeMap<u8, i64>,
    log: Vec<LoggedEvent<String>>,
    /// The last step that wrote the register.
    pub mark: String,
    seal: Fixed<u64>,
    plain: PlainValues,
    held: BTreeMap<String, BTreeMap<u16, u64>>,
    /// The waits for signals that are over.
    pub answers: Vec<Answered>,
    /// The steps that have exceeded their time limits.
    pub late: Vec<Late>,
    /// What the incarnations before this one have left, as JSON.
    pub(super) past: Vec<String>,
}

/// The part of a ledger that depends neither on the order of commits, nor on the clock, nor on chance.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparable {
    count: i64,
    tags: BTreeSet<u8>,
    tallies: BTreeMap<u8, i64>,
    log: Vec<String>,
    plain: PlainValues,
}

impl PlainLedger {
    /// A ledger without other changes.
    #[cfg(test)]
    pub(crate) fn of(trail: Vec<Entry>, answers: Vec<Answered>, late: Vec<Late>) -> Self {
        Self { trail, answers, late, ..Self::default() }
    }

    /// The ledgers of all incarnations that are known, in their order: this one is that of the present one.
    pub(crate) fn chain(mut self) -> Result<Vec<Self>, serde_json::Error> {
        let past = std::mem::take(&mut self.past);
        let mut chain =
            past.iter().map(|json| serde_json::from_str(json)).collect::<Result<Vec<Self>, _>>()?;
        chain.push(self);
        Ok(chain)
    }

    /// All that these ledgers list, as if there were one. The other values are those of the last one.
    pub(crate) fn joined(chain: &[Self]) -> Self {
        let mut all = Self::default();
        for ledger in chain.iter().cloned() {
            let Self { trail, answers, late, .. } = std::mem::replace(&mut all, ledger);
            all.trail.splice(0..0, trail);
            all.answers.splice(0..0, answers);
            all.late.splice(0..0, late);
        }
        all
    }

    /// The part that can be compared.
    pub fn comparable(self) -> Comparable {
        let mut log: Vec<_> = self.log.into_iter().map(|logged| logged.event).collect();
        log.sort_unstable();
        let Self { count, tags, tallies, plain, .. } = self;
        Comparable { count, tags, tallies, log, plain: plain.unordered() }
    }
}

impl Comparable {
    /// The result of these changes, in any order.
    pub fn of<'a>(changes: impl IntoIterator<Item = (&'a str, Change)>) -> Self {
        let mut sum = Self::default();
        for (step, change) in changes {
            match change {
                Change::Count(number) => sum.count += number,
                Change::Tag(tag) => drop(sum.tags.insert(tag)),
                Change::Tally(key, number) => *sum.tallies.entry(key).or_default() += number,
                Change::Log => sum.log.push(step.to_owned()),
                Change::Mark => {}
                Change::Value(change) => sum.plain.apply(change),
            }
        }
        sum.log.sort_unstable();
        Self { plain: sum.plain.unordered(), ..sum }
    }
}
