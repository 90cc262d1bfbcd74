//! Small changes to an encoded value at places that are chosen by numbers.
//!
//! Bytes that are changed at random hardly ever decode. A value that is taken apart, changed at one place and put
//! together again does, and is wrong in what it says.

use arbitrary::{Result, Unstructured};
use ciborium::Value;

/// Numbers at which something may tip over.
const NUMBERS: [i128; 12] = [
    0,
    1,
    2,
    7,
    -1,
    i32::MAX as i128,
    u32::MAX as i128 - 1,
    u32::MAX as i128,
    u32::MAX as i128 + 1,
    i64::MAX as i128,
    u64::MAX as i128 - 1,
    u64::MAX as i128,
];

/// Changes a value at one place.
pub(crate) fn edit(value: &mut Value, u: &mut Unstructured<'_>) -> Result<()> {
    let words = words(value);
    edit_within(value, &words, u)
}

/// Goes down to a place by the numbers and changes what is there. On the way entries may go, or come twice.
fn edit_within(place: &mut Value, words: &[String], u: &mut Unstructured<'_>) -> Result<()> {
    match place {
        Value::Map(entries) if !entries.is_empty() && u.ratio(9_u8, 10)? => {
            let index = u.choose_index(entries.len())?;
            match u.int_in_range(0..=23_u8)? {
                0 | 1 => {
                    entries.remove(index);
                    Ok(())
                }
                2 | 3 => edit_within(&mut entries[index].0, words, u),
                4 => {
                    let copy = (entries[u.choose_index(entries.len())?].0.clone(), entries[index].1.clone());
                    entries.push(copy);
                    edit_within(&mut entries[index].1, words, u)
                }
                _ => edit_within(&mut entries[index].1, words, u),
            }
        }
        Value::Array(values) if !values.is_empty() && u.ratio(9_u8, 10)? => {
            let index = u.choose_index(values.len())?;
            if u.ratio(1_u8, 4)? {
                values.push(values[index].clone());
            }
            edit_within(&mut values[index], words, u)
        }
        _ => {
            *place = another(words, u)?;
            Ok(())
        }
    }
}

fn another(words: &[String], u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=6_u8)? {
        0 => Value::Integer((*u.choose(&NUMBERS)?).try_into().unwrap_or_else(|_| 0.into())),
        1 => Value::Integer(u.arbitrary::<u32>()?.into()),
        2 => Value::Text(u.choose(words)?.clone()),
        3 => Value::Bytes(u.arbitrary::<[u8; 4]>()?.to_vec()),
        4 => Value::Null,
        5 => Value::Array(Vec::new()),
        _ => Value::Map(Vec::new()),
    })
}

/// Every text in the value: names that fit somewhere else.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(words).collect(),
        Value::Map(entries) => {
            entries.iter().flat_map(|(key, value)| words(key).into_iter().chain(words(value))).collect()
        }
        _ => vec!["-1".to_owned()],
    }
}
