//! The context: one field of every type that can be merged, and a trail of the steps that were committed.

use crate::program::{Plain, Touch};
use jetway::{
    Counter, EventLog, Fixed, LoggedEvent, Merge, SharedState,
    merge::{List, Map, Register, Set},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// One committed step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the program.
    pub step: String,
    /// Its work item.
    pub item: String,
}

/// What the nodes of a run share. Every step appends to the trail what it is, in the same commit as all else that it
/// does: so the trail says what the rest must be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub struct Ledger {
    /// The committed steps.
    pub trail: List<Entry>,
    count: Counter,
    tags: Set<u8>,
    tallies: Map<u8, i64>,
    log: EventLog<String>,
    mark: Register<String>,
    seal: Fixed<u64>,
    plain: SharedState<Touched>,
    /// What the branches of held joins have noted, by the place of the join and by branch.
    pub held: SharedState<BTreeMap<String, BTreeMap<u16, u64>>>,
}

/// One field of every standard type that can be merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Merge)]
pub(super) struct Touched {
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

impl Ledger {
    /// Carries out one change for the step of that name.
    pub(super) async fn touch(&self, touch: Touch, step: &str) {
        match touch {
            Touch::Count(number) => drop(self.count.add(number)),
            Touch::Tag(tag) => drop(self.tags.insert(tag)),
            Touch::Tally(key, number) => self.tallies.update(key, |tally| *tally += number),
            Touch::Log => self.log.append(step.to_owned()),
            Touch::Mark => self.mark.set(step.to_owned()),
            Touch::Plain(plain) => self.plain.get().await.touch(plain),
        }
    }
}

impl Touched {
    fn touch(&mut self, plain: Plain) {
        match plain {
            Plain::Total(number) => self.total += number,
            Plain::Ratio(number) => self.ratio += f64::from(number),
            Plain::Numbers(number) => self.numbers.push(number),
            Plain::Words(word) => self.words.push_str(&format!("{word:04x}")),
            Plain::Table(key, number) => *self.table.entry(key).or_default() += number,
            Plain::Tree(key, number) => *self.tree.entry(key).or_default() += number,
            Plain::Names(name) => drop(self.names.insert(name)),
            Plain::Order(number) => drop(self.order.insert(number)),
            Plain::Maybe(number) => *self.maybe.get_or_insert_default() += number,
            Plain::Pair(number, item) => {
                self.pair.0 += number;
                self.pair.1.push(item);
            }
            Plain::Flag => self.flag = true,
        }
    }

    /// The same without the order of what is appended, which is that of the commits.
    fn unordered(mut self) -> Self {
        self.numbers.sort_unstable();
        self.pair.1.sort_unstable();
        let mut words: Vec<_> = self.words.as_bytes().chunks(4).collect();
        words.sort_unstable();
        self.words = String::from_utf8_lossy(&words.concat()).into_owned();
        self
    }
}

/// A [`Ledger`] as plain values: it is encoded as they are. Also what the model writes into.
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
    plain: Touched,
    held: BTreeMap<String, BTreeMap<u16, u64>>,
}

/// What is left of a ledger when two of them are to be the same: no order of commits, no clock, no chance.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparable {
    count: i64,
    tags: BTreeSet<u8>,
    tallies: BTreeMap<u8, i64>,
    log: Vec<String>,
    plain: Touched,
}

impl PlainLedger {
    /// What can be compared of it.
    pub fn comparable(self) -> Comparable {
        let mut log: Vec<_> = self.log.into_iter().map(|logged| logged.event).collect();
        log.sort_unstable();
        let Self { count, tags, tallies, plain, .. } = self;
        Comparable { count, tags, tallies, log, plain: plain.unordered() }
    }
}

impl Comparable {
    /// What these changes come to, whatever their order.
    pub fn of<'a>(touches: impl IntoIterator<Item = (&'a str, Touch)>) -> Self {
        let mut sum = Self::default();
        for (step, touch) in touches {
            match touch {
                Touch::Count(number) => sum.count += number,
                Touch::Tag(tag) => drop(sum.tags.insert(tag)),
                Touch::Tally(key, number) => *sum.tallies.entry(key).or_default() += number,
                Touch::Log => sum.log.push(step.to_owned()),
                Touch::Mark => {}
                Touch::Plain(plain) => sum.plain.touch(plain),
            }
        }
        sum.log.sort_unstable();
        Self { plain: sum.plain.unordered(), ..sum }
    }
}
