//! The [`WorkItem`] trait.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt::{Debug, Display};

/// A node and the input to run it with. The `workflow!` macro generates one enum of work items for each workflow.
///
/// An implementation by hand:
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
///     // Optional. With it, items have derived ids, which are the same when a step is repeated.
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
    /// The id of the item. It is unique within the run.
    fn instance_id(&self) -> String;

    /// Whether the item's node is terminal.
    fn is_terminal(&self) -> bool;

    /// The name of the item's node. The default is the name of the enum variant, from the `Debug` form.
    fn node(&self) -> String {
        let text = format!("{self:?}");
        text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
    }

    /// The same item with another id. The default keeps the id; over stores with snapshots each step then has to decode
    /// all pending items of the run to find this one.
    #[must_use]
    fn with_instance_id(self, id: String) -> Self {
        let _ignored = id;
        self
    }

    /// The item that runs the gathering node `node` once, with the values of all `parts` in their order. `None` where
    /// the node does not gather, which is the default.
    fn gathered(node: &str, parts: Vec<Self>) -> Option<Self> {
        let _ignored = (node, parts);
        None
    }
}
