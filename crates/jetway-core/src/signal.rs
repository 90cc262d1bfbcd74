//! Signals as nodes see them: their types, and the answer to a wait.

use crate::panics::guarded_now;
use bytes::Bytes;
use jetway_state::{
    Error, SignalName, Timestamp,
    codec::Encoding,
    json,
    run::{Letter, SignalWait},
    value,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{any::type_name, fmt};

/// A signal that a node may wait for: its name, and the type of its payload.
///
/// A node lists its signals in [`Node::signals`](crate::Node::signals). A payload that is no value of the type is refused when it is
/// sent, and no node sees it.
///
/// ```
/// use jetway_core::SignalType;
///
/// let paid = SignalType::of::<u64>("paid");
/// assert_eq!((paid.name(), paid.type_name()), ("paid", "u64"));
/// ```
#[derive(Clone)]
pub struct SignalType {
    name: String,
    type_name: &'static str,
    read: fn(&[u8], Encoding, &str) -> Result<Bytes, Error>,
}

impl SignalType {
    /// Signals of this name have payloads of type `T`.
    pub fn of<T: Serialize + DeserializeOwned>(name: impl Into<String>) -> Self {
        Self { name: name.into(), type_name: type_name::<T>(), read: checked::<T> }
    }

    /// The name of the signal.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Rust type of the payload.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Reads a payload as the type of the signal, and encodes it for the record. No payload is the value `null`.
    ///
    /// # Errors
    /// [`Error::Codec`] with the place in the payload, where it is no value of the type.
    pub fn read(&self, payload: &[u8], encoding: Encoding) -> Result<Bytes, Error> {
        (self.read)(payload, encoding, &self.name)
    }
}

impl fmt::Debug for SignalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalType({:?}: {})", self.name, self.type_name)
    }
}

impl PartialEq for SignalType {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.type_name) == (&other.name, other.type_name)
    }
}

impl Eq for SignalType {}

fn checked<T: Serialize + DeserializeOwned>(
    payload: &[u8],
    encoding: Encoding,
    name: &str,
) -> Result<Bytes, Error> {
    let what = format!("payload of signal {name:?}");
    // Reading calls code of the user, which may panic.
    guarded_now(|| {
        let value: T = match encoding {
            _ if payload.is_empty() => json::read(b"null", &format!("{what}, which is empty"))?,
            Encoding::Json => json::read_with_path(payload, &what)?,
            Encoding::Cbor => value::read(payload, &what)?,
        };
        value::write_opaque(&value, &what)
    })
}

/// Why the signals of a workflow cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignals {
    /// A name is not valid.
    #[error(transparent)]
    Name(#[from] jetway_state::BadName),
    /// Two nodes expect different types under one name.
    #[error("signal {name:?} has two types, {one} and {other}: give each type a name of its own")]
    TwoTypes {
        /// The name.
        name: String,
        /// The type that one node expects.
        one: &'static str,
        /// The type that another node expects.
        other: &'static str,
    },
}

/// Checks the signals of a workflow: each name is valid, and has one type.
///
/// # Errors
/// See [`BadSignals`].
pub fn check_signals(signals: &[SignalType]) -> Result<(), BadSignals> {
    for (position, signal) in signals.iter().enumerate() {
        SignalName::new(&signal.name)?;
        if let Some(other) = signals[..position].iter().find(|other| other.name == signal.name)
            && other.type_name != signal.type_name
        {
            let (one, other) = (other.type_name, signal.type_name);
            return Err(BadSignals::TwoTypes { name: signal.name.clone(), one, other });
        }
    }
    Ok(())
}

/// What the wait of a node for signals has led to. See [`StepScope::answer`](crate::step::StepScope::answer).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The signals that it waited for, in the order in which they came.
    Signals(Vec<Signal>),
    /// The deadline has passed. A signal that comes later is kept for the next wait.
    DeadlinePassed,
}

impl Answer {
    /// The answer to a wait that is over.
    pub fn to(wait: &SignalWait) -> Self {
        match wait.is_answered() {
            true => Self::Signals(wait.taken.iter().map(Signal::from).collect()),
            false => Self::DeadlinePassed,
        }
    }

    /// The signal of that name; `None` if the node has none, or if the deadline has passed.
    pub fn signal(&self, name: &str) -> Option<&Signal> {
        match self {
            Self::Signals(signals) => signals.iter().find(|signal| signal.name == name),
            Self::DeadlinePassed => None,
        }
    }
}

/// A signal that a node has waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    payload: Bytes,
}

impl Signal {
    /// The payload. It is a value of the type that the node has declared for this name.
    ///
    /// # Errors
    /// [`Error::Codec`] where `T` is another type.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Error> {
        value::read(&self.payload, &format_args!("payload of signal {:?}", self.name))
    }
}

impl From<&Letter> for Signal {
    fn from(letter: &Letter) -> Self {
        Self { name: letter.name.clone(), sent_at: letter.at, payload: letter.payload.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::StoreId;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Opinion {
        yes: bool,
        items: Vec<u8>,
    }

    #[test]
    fn w43_a_payload_is_checked_and_encoded() {
        let signal = SignalType::of::<Opinion>("opinion");
        let encoded = signal.read(br#"{"yes": true, "items": [1]}"#, Encoding::Json).unwrap();
        let letter = Letter {
            name: "opinion".to_owned(),
            payload: encoded.clone(),
            at: Timestamp(1),
            sequence: 1,
            store: StoreId::default(),
            put_off: false,
        };
        let opinion = Opinion { yes: true, items: vec![1] };
        assert_eq!(Signal::from(&letter).payload::<Opinion>(), Ok(opinion));
        assert_eq!(signal.read(&encoded, Encoding::Cbor), Ok(encoded));
        assert!(SignalType::of::<Option<u8>>("maybe").read(b"", Encoding::Json).is_ok());
    }

    #[test]
    fn w43_what_is_wrong_is_said_with_its_path() {
        let signal = SignalType::of::<Opinion>("opinion");
        for (payload, reason) in [
            (&br#"{"yes": true, "items": [1, "two"]}"#[..], "at items[1]"),
            (br#"{"yes": 1, "items": []}"#, "at yes"),
            (b"{", "EOF"),
            (b"", "which is empty"),
            (b"[true, [1]] x", "trailing"),
        ] {
            let error = signal.read(payload, Encoding::Json).unwrap_err().to_string();
            assert!(error.contains("payload of signal \"opinion\"") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_name_has_one_type() {
        let (number, text) = (SignalType::of::<u8>("x"), SignalType::of::<String>("x"));
        assert_eq!(check_signals(&[number.clone(), number.clone(), SignalType::of::<u8>("y")]), Ok(()));
        let refused = check_signals(&[number, text]).unwrap_err().to_string();
        assert!(refused.contains("\"x\" has two types, u8 and"), "{refused}");
        assert!(matches!(check_signals(&[SignalType::of::<u8>("a.b")]), Err(BadSignals::Name(_))));
    }
}
