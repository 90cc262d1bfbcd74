//! Text of others: of runs, servers and clients. It may not control the terminal.

/// The text without characters that would move the cursor, change colours, or turn the order of what is read.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => printable.push(c),
            '\t' => printable.push(' '),
            c if is_unprintable(c) => printable.extend(c.escape_default()),
            c => printable.push(c),
        }
    }
    printable
}

/// The same on one line.
pub(crate) fn printable_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

/// The same JSON text, in which such characters are escaped. It is on one line, so they are within strings alone.
pub(super) fn printable_json(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_unprintable(c) => printable.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => printable.push(c),
        }
    }
    printable
}

fn is_unprintable(c: char) -> bool {
    // Controls of the direction of writing, and separators that some terminals take for a new line.
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u1_text_of_others_controls_no_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mX\u{7}\u{202e}\u{9b}2J\n\tb\n"),
            "a\\u{1b}[31mX\\u{7}\\u{202e}\\u{9b}2J\n b"
        );
        assert_eq!(printable_line("a\nä\r"), "a ä\\r");
    }

    #[test]
    fn u1_json_stays_the_same_json() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}\u{202e}\u{7f}ä\n" });
        let text = printable_json(&value.to_string());
        assert!(!text.chars().any(is_unprintable), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
