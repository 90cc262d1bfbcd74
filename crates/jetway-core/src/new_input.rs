//! [`NewInput`]: the input with which a run continues as new.

use crate::panics::guarded_now;
use bytes::Bytes;
use jetway_state::{Error, value};
use serde::{Serialize, de::DeserializeOwned};
use std::any::type_name;

/// The input with which a run continues as new, as a node returns it in
/// [`Transition::ContinueAsNew`](crate::Transition::ContinueAsNew). It is made of a value of the type that the start node takes.
///
/// ```
/// use jetway_core::{NewInput, Transition};
///
/// let again: Transition<()> = Transition::ContinueAsNew(NewInput::from(7_u32));
/// let same: Transition<()> = Transition::ContinueAsNew(7_u32.into());
/// assert_eq!(again, same);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInput {
    /// The Rust type of the value.
    type_name: &'static str,
    encoded: Result<Bytes, Error>,
}

impl<T: Serialize + DeserializeOwned> From<T> for NewInput {
    fn from(value: T) -> Self {
        let encoded =
            guarded_now(|| value::write_opaque(&value, &"the input of a run that continues as new"));
        Self { type_name: type_name::<T>(), encoded }
    }
}

impl NewInput {
    /// The value as the input of a workflow.
    ///
    /// # Errors
    /// The value cannot be encoded, or is no input of the workflow.
    pub(crate) fn read<T: DeserializeOwned>(&self, workflow: &str) -> Result<T, Error> {
        let encoded = self.encoded.clone()?;
        let what = format!("input of workflow {workflow:?}, given as {} to continue as new", self.type_name);
        value::read(&encoded, &what)
    }
}
