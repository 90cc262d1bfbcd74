//! Settings that are whole numbers. The libraries take them as they are, and reserve room for them at once.

use super::Variables;
use std::num::IntErrorKind;

/// The largest number of spans in a queue or a batch. Each takes some hundred bytes as soon as the queue is made.
const MOST_SPANS: u64 = 1_000_000;
/// The longest time, in milliseconds: a day.
const LONGEST: u64 = 24 * 3600 * 1000;
/// The largest number of attributes, events or links. The SDK passes larger ones over.
const MOST_PARTS: u64 = u32::MAX as u64;

/// The variables, with the least and the greatest number.
const NUMBERS: &[(&str, u64, u64)] = &[
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", 0, MOST_PARTS),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0, u64::MAX),
    ("OTEL_BSP_EXPORT_TIMEOUT", 0, LONGEST),
    ("OTEL_BSP_MAX_CONCURRENT_EXPORTS", 0, MOST_PARTS),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, MOST_SPANS),
    ("OTEL_BSP_MAX_QUEUE_SIZE", 1, MOST_SPANS),
    ("OTEL_BSP_SCHEDULE_DELAY", 0, LONGEST),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", 0, LONGEST),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", 0, LONGEST),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 0, MOST_PARTS),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 0, MOST_PARTS),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 0, MOST_PARTS),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0, u64::MAX),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", 0, MOST_PARTS),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", 0, MOST_PARTS),
];

/// The number of a variable, within its limits. `None` if it is not set, or is no whole number.
pub(super) fn number(variables: &Variables<'_>, name: &str) -> Option<u64> {
    let (_, least, greatest) = NUMBERS.iter().find(|(known, ..)| *known == name)?;
    Some(parse(&variables.get(name)?)?.clamp(*least, *greatest))
}

/// Adds a sentence for each number that is not followed.
pub(super) fn add(variables: &Variables<'_>, warnings: &mut Vec<String>) {
    for (name, least, greatest) in NUMBERS {
        let Some(value) = variables.get(name) else { continue };
        match parse(&value).map(|number| (number, number.clamp(*least, *greatest))) {
            None => warnings.push(format!("{name}={value:?} is not a whole number: the default is used")),
            Some((number, used)) if number != used => {
                warnings.push(format!("{name}={value:?} is not from {least} to {greatest}: {used} is used"));
            }
            Some(_) => {}
        }
    }
}

/// A whole number, or the greatest one instead of a greater one.
fn parse(text: &str) -> Option<u64> {
    match text.parse::<u64>() {
        Ok(number) => Some(number),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(u64::MAX),
        Err(_no_number) => None,
    }
}
