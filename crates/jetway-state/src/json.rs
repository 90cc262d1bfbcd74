//! The JSON of users' values: the very text that `serde_json` writes for them, with one limit for writing and reading.

use crate::Error;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};
use std::{borrow::Cow, fmt};

/// How many arrays and objects may be nested in a value. The same limit holds for what is written and for what is read, in
/// JSON and in CBOR, so that what one part of Jetway accepts no other part refuses.
pub const MAX_DEPTH: usize = 200;

/// A value as JSON text, exactly as it was written: the order of keys, the digits of numbers, everything.
///
/// ```
/// use jetway_state::json::Json;
///
/// let json = Json::of(&(1.0, u128::MAX), "a pair")?;
/// assert_eq!(json.get(), "[1.0,340282366920938463463374607431768211455]");
/// assert_eq!(json.read::<(f64, u128)>()?, (1.0, u128::MAX));
/// # Ok::<(), jetway_state::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a value. `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::Codec`] if JSON cannot hold the value, or if it is nested too deeply.
    pub fn of<T: Serialize + ?Sized>(value: &T, what: &str) -> Result<Self, Error> {
        let text = String::from_utf8(write(value, &what)?).map_err(|error| Error::encode(what, error))?;
        Self::parse(text, what)
    }

    /// JSON from its text. `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::Codec`] if the text is not one JSON value.
    pub fn parse(text: String, what: &str) -> Result<Self, Error> {
        RawValue::from_string(text).map(Self).map_err(|error| Error::decode(what, error))
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The value, read as this type. It is as exact as the type is: a [`serde_json::Value`] rounds numbers of more than 64 bits.
    ///
    /// # Errors
    /// [`Error::Codec`] if the text is not such a value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read(self.get().as_bytes(), &"a JSON value")
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

/// Writes a value as JSON. `what` names it in the error.
///
/// # Errors
/// [`Error::Codec`] if JSON cannot hold the value, or if it is nested more deeply than [`MAX_DEPTH`].
pub fn write<T: Serialize + ?Sized>(value: &T, what: &dyn fmt::Display) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_vec(value).map_err(|error| Error::encode(what.to_string(), error))?;
    check_depth(&text).map_err(|reason| Error::encode(what.to_string(), reason))?;
    Ok(text)
}

/// Reads a value from JSON. `what` names it in the error.
///
/// # Errors
/// [`Error::Codec`] if the text is not such a value, or if it is nested more deeply than [`MAX_DEPTH`].
pub fn read<T: DeserializeOwned>(text: &[u8], what: &dyn fmt::Display) -> Result<T, Error> {
    check_depth(text).map_err(|reason| Error::decode(what.to_string(), reason))?;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // The depth is checked.
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| Error::decode(what.to_string(), error))
}

/// As [`read`], and an error says where in the value it is: for what people write by hand.
///
/// # Errors
/// [`Error::Codec`] with the path, as in `items[2].price`, if the text is not such a value.
pub fn read_with_path<T: DeserializeOwned>(text: &[u8], what: &dyn fmt::Display) -> Result<T, Error> {
    check_depth(text).map_err(|reason| Error::decode(what.to_string(), reason))?;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // The depth is checked.
    deserializer.disable_recursion_limit();
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let reason = match known_path(error.path()) {
            Some(path) => format!("at {path}: {}", error.inner()),
            None => error.inner().to_string(),
        };
        Error::decode(what.to_string(), reason)
    })?;
    deserializer.end().map_err(|error| Error::decode(what.to_string(), error))?;
    Ok(value)
}

/// A path, as far as it is known: the text may end within a name. `None` if nothing of it is.
fn known_path(path: &Path) -> Option<String> {
    let unknown = path.iter().rev().take_while(|segment| matches!(segment, Segment::Unknown)).count();
    let known = path.iter().len() - unknown;
    // Those that are not known are written as question marks.
    let text = path.to_string();
    let of_known = text.get(..text.len().saturating_sub(".?".len() * unknown))?;
    (known > 0).then(|| of_known.to_owned())
}

/// The sentence about a value that is nested too deeply.
pub(crate) fn too_deep() -> String {
    format!("it is nested too deeply: the limit is {MAX_DEPTH} levels")
}

/// Counts the brackets of a text, outside of its strings. A text that is not JSON may have any number of them: reading it ends
/// where it is wrong.
fn check_depth(text: &[u8]) -> Result<(), String> {
    if text.len() <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(too_deep());
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// At most `max` bytes of a text, with a note of its size where it is cut: no text is lost without a word.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max);
    Cow::Owned(format!("{}… (the first {end} of {} bytes)", &text[..end], text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn f4_writer_and_reader_have_one_limit() {
        let deepest: Value = read(nested(MAX_DEPTH).as_bytes(), &"x").unwrap();
        assert_eq!(write(&deepest, &"x").unwrap(), nested(MAX_DEPTH).as_bytes());
        let refused = write(&vec![deepest], &"an output").unwrap_err().to_string();
        assert_eq!(refused, "cannot encode an output: it is nested too deeply: the limit is 200 levels");
        assert!(read::<Value>(nested(MAX_DEPTH + 1).as_bytes(), &"x").is_err());
        assert!(read::<Value>(nested(200_000).as_bytes(), &"x").is_err());
    }

    #[test]
    fn f4_brackets_in_strings_are_no_levels() {
        let text = format!("[\"{}\\\"{}\"]", "[".repeat(300), "{".repeat(300));
        assert!(read::<Vec<String>>(text.as_bytes(), &"x").is_ok());
    }

    #[test]
    fn w43_an_error_says_where_it_is_if_that_is_known() {
        type Value = BTreeMap<String, BTreeMap<String, u32>>;
        for (text, starts_with) in [
            (r#"{"a":{"b":true}}"#, "at a.b: invalid type"),
            (r#"{"a":{"b":1,"#, "at a: EOF"),
            (r#"{"a":{"b"#, "at a: EOF"),
            (r#"{"a":7}"#, "at a: invalid type"),
            (r#"{"?":7}"#, "at ?: invalid type"),
            ("{", "EOF"),
            (r#"{"a"#, "EOF"),
            ("yes", "expected value"),
            ("", "EOF"),
        ] {
            let error = read_with_path::<Value>(text.as_bytes(), &"x").unwrap_err().to_string();
            let reason = error.trim_start_matches("cannot decode x: ");
            assert!(reason.starts_with(starts_with), "{text}: {reason}");
        }
    }

    #[test]
    fn f3_a_text_stays_as_it_is() {
        let text = r#"{"z":1.10,"a":123456789012345678901234567890,"z":null}"#;
        let json = Json::parse(text.to_owned(), "x").unwrap();
        let in_a_map = BTreeMap::from([("output", &json)]);
        let written = serde_json::to_string(&in_a_map).unwrap();
        assert_eq!(written, format!("{{\"output\":{text}}}"));
        let again: BTreeMap<String, Json> = serde_json::from_str(&written).unwrap();
        assert_eq!(again["output"].get(), text);
        assert!(Json::parse("[1".to_owned(), "x").is_err());
    }

    #[test]
    fn a_shortened_text_says_so() {
        assert_eq!(shortened("four", 4), "four");
        assert_eq!(shortened("äää", 3), "ä… (the first 2 of 6 bytes)");
    }
}
