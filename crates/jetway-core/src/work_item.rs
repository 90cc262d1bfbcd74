//! A node plus the input to run it with.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt::{Debug, Display};

/// A node plus the input that it is to be run with. `workflow!` generates one enum of these for each workflow.
///
/// By hand:
///
/// ```
/// use jetway_core::WorkItem;
/// use serde::{Deserialize, Serialize};
/// use std::fmt;
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// enum Item {
///     Fetch(String, u32),
///     Store(String, Vec<u8>),
/// }
///
/// impl fmt::Display for Item {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         match self {
///             Self::Fetch(_, page) => write!(f, "Fetch({page})"),
///             Self::Store(_, bytes) => write!(f, "Store({} bytes)", bytes.len()),
///         }
///     }
/// }
///
/// impl WorkItem for Item {
///     fn instance_id(&self) -> String {
///         match self {
///             Self::Fetch(id, _) | Self::Store(id, _) => id.clone(),
///         }
///     }
///
///     fn is_terminal(&self) -> bool {
///         matches!(self, Self::Store(..))
///     }
///
///     // Provided, and worth having: the engine's ids are the same when a step is repeated.
///     fn with_instance_id(self, id: String) -> Self {
///         match self {
///             Self::Fetch(_, page) => Self::Fetch(id, page),
///             Self::Store(_, bytes) => Self::Store(id, bytes),
///         }
///     }
/// }
///
/// let item = Item::Fetch("1".to_owned(), 7).with_instance_id("start".to_owned());
/// assert_eq!((item.instance_id(), item.node()), ("start".to_owned(), "Fetch".to_owned()));
/// ```
pub trait WorkItem: Debug + Display + Send + Sync + Serialize + DeserializeOwned + Clone + PartialEq {
    /// The item's id, unique within its run.
    fn instance_id(&self) -> String;

    /// Whether the item's node is terminal.
    fn is_terminal(&self) -> bool;

    /// The name of the item's node. Where it is not overridden: the variant's name.
    fn node(&self) -> String {
        let text = format!("{self:?}");
        text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
    }

    /// The same item under another id. Where it is not overridden the item keeps its own; over stores that keep
    /// snapshots each step then decodes the run's pending items to find it.
    #[must_use]
    fn with_instance_id(self, id: String) -> Self {
        let _the_item_names_itself = id;
        self
    }

    /// The item that runs the gathering node `node` once with the values of all `parts`, in their order. `None` where
    /// the node does not gather.
    fn gathered(node: &str, parts: Vec<Self>) -> Option<Self> {
        let _nothing_gathers = (node, parts);
        None
    }
}
