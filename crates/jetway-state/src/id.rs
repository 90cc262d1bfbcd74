//! Names: of workflows, runs, work items and commits.

use crate::{Incarnation, broken_rule::random_item_id};
use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use smol_str::{SmolStr, ToSmolStr as _, format_smolstr};
use std::{fmt, str::FromStr, sync::LazyLock};

/// A name that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {name:?}: use 1 to {max} characters from A-Z, a-z, 0-9, _ and -")]
pub struct BadName {
    /// What the name is for.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The largest length of such a name.
    pub max: usize,
}

fn checked(what: &'static str, max: usize, name: &str) -> Result<SmolStr, BadName> {
    let fits = (1..=max).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits { Ok(name.into()) } else { Err(BadName { what, name: name.chars().take(80).collect(), max }) }
}

fn fit(max: usize, name: &str) -> SmolStr {
    let digest = digest_text(&[name.as_bytes()]);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let kept: String = name.chars().take(max - digest.len() - 1).map(allowed).collect();
    format_smolstr!("{kept}-{digest}")
}

/// 80 bits of a digest: with a million items in one run the probability of a collision is below 10^-12.
fn digest_text(parts: &[&[u8]]) -> SmolStr {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    ALPHABET
        .as_ref()
        .map_or_else(SmolStr::default, |alphabet| alphabet.encode_display(&digest[..10]).to_smolstr())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        // Cloned several times in each step: a short name takes no allocation, and a long one is shared.
        pub struct $type(SmolStr);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            /// [`BadName`], with the characters and lengths that are allowed.
            pub fn new(name: &str) -> Result<Self, BadName> {
                checked($what, $longest, name).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(name: &str) -> Result<Self, BadName> {
                Self::new(name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = SmolStr::deserialize(deserializer)?;
                Self::new(&name).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The prefix that separates teams on one server: `[A-Za-z0-9_-]{1,32}`.
    Namespace, "namespace", 32
);
name!(
    /// The name of a workflow: `[A-Za-z0-9_-]{1,64}`.
    WorkflowName, "workflow name", 64
);
name!(
    /// The id of a run: `[A-Za-z0-9_-]{1,64}`.
    RunId, "run id", 64
);
name!(
    /// The id of a work item within its run. It is derived, never random, so that a step that runs twice creates the same
    /// successors.
    ItemId, "work item id", 64
);
name!(
    /// The name of a signal: `[A-Za-z0-9_-]{1,64}`. An item waits for a signal of a name.
    SignalName, "signal name", 64
);

macro_rules! fitted {
    ($($type:ident, $longest:literal;)+) => {$(
        impl $type {
            /// The name itself if it is valid. Otherwise a valid name made of it: characters that are not allowed become
            /// `_`, it is shortened, and a digest is added so that different names stay different.
            pub fn fitted(name: &str) -> Self {
                Self::new(name).unwrap_or_else(|_| Self(fit($longest, name)))
            }
        }
    )+};
}

fitted! { WorkflowName, 64; RunId, 64; }

impl Default for Namespace {
    fn default() -> Self {
        Self(SmolStr::new_static("default"))
    }
}

/// Lower case letters and digits only, so that `-` can separate a position.
static ALPHABET: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().ok()
});

impl ItemId {
    const MAX: usize = 64;
    /// The largest length of the id of a fan-out: leaves room for `-` and any position.
    const MAX_FAN_OUT: usize = Self::MAX - 1 - 10;

    /// The first item of a run.
    pub fn start() -> Self {
        Self(SmolStr::new_static("start"))
    }

    /// The item in the ticket of the alarm for the deadline of a run. No step creates an item of this id.
    pub fn deadline() -> Self {
        Self(SmolStr::new_static("deadline"))
    }

    /// The only successor of `parent`; outside the engine the successor number `position`.
    pub fn successor(parent: &str, position: usize) -> Self {
        Self::derived(&[parent.as_bytes(), b"next", &position.to_be_bytes()])
    }

    /// The fan-out that `item` opens: its id is that of the item, or is derived from it if the ids of the branches would be
    /// too long. The ids of nested fan-outs grow with the depth.
    pub fn fan_out(item: &Self) -> Self {
        if item.0.len() <= Self::MAX_FAN_OUT {
            return item.clone();
        }
        Self::derived(&[item.0.as_bytes(), b"fan-out"])
    }

    /// The branch of a fan-out at `position`.
    pub fn branch(fan_out: &Self, position: u32) -> Self {
        Self(format_smolstr!("{fan_out}-{position}"))
    }

    /// The item of the gathering node `node` when `fan_out` closes.
    pub fn gathered(fan_out: &Self, node: &str) -> Self {
        Self::derived(&[fan_out.0.as_bytes(), b"gather", node.as_bytes()])
    }

    /// The id of the item where items of all incarnations of a run are kept together, as in a queue: its own id, and the
    /// short form of the incarnation. An id that is too long for that is replaced by its digest.
    #[must_use]
    pub fn in_incarnation(&self, incarnation: &Incarnation) -> Self {
        let short = incarnation.short();
        if self.0.len() + 1 + short.len() <= Self::MAX {
            return Self(format_smolstr!("{self}_{short}"));
        }
        Self(format_smolstr!("{}_{short}", digest_text(&[self.0.as_bytes(), b"in incarnation"])))
    }

    /// The id that became `id` by [`in_incarnation`](Self::in_incarnation), or its digest; `None` for an id of another
    /// incarnation, or of none.
    pub fn from_incarnation(id: &str, incarnation: &Incarnation) -> Option<Self> {
        let own = id.strip_suffix(&incarnation.short())?.strip_suffix('_')?;
        Self::new(own).ok()
    }

    /// The fan-out and the position of a branch; `None` for every other item.
    pub fn as_branch(&self) -> Option<(Self, u32)> {
        let (fan_out, position) = self.0.rsplit_once('-').filter(|(fan_out, _)| !fan_out.is_empty())?;
        // Only the canonical number: one branch must not have two ids.
        let number: u32 = position.parse().ok()?;
        (number.to_string() == position).then(|| (Self(fan_out.into()), number))
    }

    fn derived(parts: &[&[u8]]) -> Self {
        match random_item_id() {
            Some(id) => Self(digest_text(&[&id.to_be_bytes()])),
            None => Self(digest_text(parts)),
        }
    }
}

/// Identifies a run: workflow name and run id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
}

impl RunKey {
    /// The key of a run of a workflow.
    pub fn new(workflow: WorkflowName, run_id: RunId) -> Self {
        Self { workflow, run_id }
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workflow, self.run_id)
    }
}

/// The id of the write that a snapshot comes from: the writer, and the number of the write. It is unique, so that a writer that
/// got no answer can find out by reading whether its write succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct CommitId {
    /// A random number of the writing process.
    pub writer: u64,
    /// Counts the writes of that process.
    pub number: u64,
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:x}", self.writer, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(RunId::new("order-17_a").is_ok());
        for bad in ["", "a.b", "a b", "ä", "*", &"x".repeat(65)] {
            assert!(RunId::new(bad).is_err(), "{bad:?} passed");
        }
        assert!(serde_json::from_str::<RunId>("\"a.b\"").is_err());
        assert!(SignalName::new("approve").is_ok() && SignalName::new(&"x".repeat(64)).is_ok());
        let refused = SignalName::new("a.b").unwrap_err().to_string();
        assert!(refused.starts_with("invalid signal name \"a.b\""), "{refused}");
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(WorkflowName::fitted("orders").as_str(), "orders");
        let fitted: Vec<_> = ["an order", "an_order", "", "ä/b", &"x".repeat(90)].map(RunId::fitted).into();
        assert!(fitted[0].as_str().starts_with("an_order-"));
        assert!(fitted.iter().all(|name| RunId::new(name.as_str()).is_ok()), "{fitted:?}");
        assert_ne!(RunId::fitted(&"x".repeat(90)), RunId::fitted(&"x".repeat(91)));
    }

    #[test]
    fn derived_ids_repeat_and_differ() {
        let start = ItemId::start();
        assert_eq!(ItemId::successor(start.as_str(), 0), ItemId::successor(start.as_str(), 0));
        assert_ne!(ItemId::successor(start.as_str(), 0), ItemId::successor(start.as_str(), 1));
        assert_ne!(ItemId::gathered(&start, "join"), ItemId::gathered(&start, "other"));
        assert_eq!(ItemId::successor("start", 0).as_str().len(), 16);
    }

    #[test]
    fn branches_name_their_fan_out_and_position() {
        let branch = ItemId::branch(&ItemId::branch(&ItemId::start(), 3), 12);
        assert_eq!(branch.as_str(), "start-3-12");
        let (outer, position) = branch.as_branch().unwrap();
        assert_eq!((outer.as_str(), position), ("start-3", 12));
        assert_eq!(ItemId::start().as_branch(), None);
        assert_eq!(ItemId::new("start-03").unwrap().as_branch(), None);
        assert_eq!(ItemId::successor("start", 0).as_branch(), None);
        assert_eq!(ItemId::new("-7").unwrap().as_branch(), None);
    }

    #[test]
    fn h3_items_of_two_incarnations_have_two_ids() {
        let (one, two) = (Incarnation::from_random(1 << 79), Incarnation::from_random(1 << 78));
        let long = ItemId::new(&format!("{}-7", "x".repeat(60))).unwrap();
        for item in [ItemId::start(), ItemId::branch(&ItemId::start(), 3), long.clone()] {
            let id = item.in_incarnation(&one);
            assert_ne!(id, item.in_incarnation(&two));
            assert!(ItemId::new(id.as_str()).is_ok(), "{id}");
            assert_eq!(ItemId::from_incarnation(id.as_str(), &two), None);
            let back = ItemId::from_incarnation(id.as_str(), &one).unwrap();
            assert_eq!(back == item, item != long, "{id}");
        }
        assert_eq!(ItemId::from_incarnation("start", &one), None);
    }

    #[test]
    fn fan_outs_within_fan_outs_keep_names_that_fit() {
        let mut item = ItemId::start();
        for depth in 0..200 {
            let fan_out = ItemId::fan_out(&item);
            assert_eq!(fan_out, ItemId::fan_out(&item), "at depth {depth}");
            item = ItemId::branch(&fan_out, u32::MAX - depth);
            assert!(ItemId::new(item.as_str()).is_ok(), "{item} at depth {depth}");
            assert_eq!(item.as_branch(), Some((fan_out, u32::MAX - depth)));
        }
        assert_eq!(ItemId::fan_out(&ItemId::new("start-3").unwrap()).as_str(), "start-3");
    }
}
