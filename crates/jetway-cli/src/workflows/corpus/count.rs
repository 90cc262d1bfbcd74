//! Counts lines, words and terms of a text, buffer by buffer.
//!
//! * A **line** is a newline byte, as `wc -l` counts.
//! * A **word** is a maximal sequence of bytes that are not white space (space, tab, newline, vertical tab, form feed,
//!   carriage return), as in POSIX `wc -w` in the C locale. Bytes above 127 are never white space. (Some versions of
//!   `wc` do not count words without a printable ASCII character; here they count.)
//! * A **term** is a match of the regular expression `[A-Za-z_][A-Za-z0-9_]*`, from left to right, in lower case.
//!   Terms of more than [`LONGEST_TERM`] bytes are not counted: they are data, not language.
//! * A text has no NUL byte. A file with a NUL byte is **binary**.

use std::collections::{BTreeMap, HashMap};

/// A term with more bytes is not counted.
pub(super) const LONGEST_TERM: usize = 64;

/// Counts of one text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) words: u64,
    pub(super) terms: BTreeMap<String, u64>,
}

/// The text contains a NUL byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binary;

/// Counts a text that arrives in pieces. The positions of the cuts do not change the result.
#[derive(Debug, Default)]
pub(super) struct Counter {
    bytes: u64,
    lines: u64,
    words: u64,
    in_word: bool,
    term: Vec<u8>,
    too_long: bool,
    terms: HashMap<Vec<u8>, u64>,
}

impl Counter {
    /// Counts the next piece.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), Binary> {
        if piece.contains(&0) {
            return Err(Binary);
        }
        self.bytes += piece.len() as u64;
        for &byte in piece {
            self.lines += u64::from(byte == b'\n');
            let space = matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
            self.words += u64::from(!space && !self.in_word);
            self.in_word = !space;
            self.add_to_term(byte);
        }
        Ok(())
    }

    /// Number of distinct terms so far.
    pub(super) fn distinct_terms(&self) -> usize {
        self.terms.len()
    }

    /// The counts of the whole text.
    pub(super) fn finish(mut self) -> Counts {
        self.end_term();
        let text = |term: Vec<u8>| String::from_utf8_lossy(&term).into_owned();
        Counts {
            bytes: self.bytes,
            lines: self.lines,
            words: self.words,
            terms: self.terms.into_iter().map(|(term, count)| (text(term), count)).collect(),
        }
    }

    fn add_to_term(&mut self, byte: u8) {
        let within = !self.term.is_empty();
        if byte == b'_' || byte.is_ascii_alphabetic() || (within && byte.is_ascii_digit()) {
            if self.term.len() < LONGEST_TERM {
                self.term.push(byte.to_ascii_lowercase());
            } else {
                self.too_long = true;
            }
        } else if within {
            self.end_term();
        }
    }

    fn end_term(&mut self) {
        if !self.too_long && !self.term.is_empty() {
            // Most terms are known already. Looking one up by its bytes allocates nothing.
            match self.terms.get_mut(self.term.as_slice()) {
                Some(count) => *count += 1,
                None => {
                    self.terms.insert(self.term.clone(), 1);
                }
            }
        }
        self.term.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &[u8]) -> Counts {
        let mut counter = Counter::default();
        counter.add(text).unwrap();
        counter.finish()
    }

    fn terms(text: &str) -> Vec<(String, u64)> {
        count(text.as_bytes()).terms.into_iter().collect()
    }

    #[test]
    fn lines_words_and_bytes_are_those_of_wc() {
        // Each line: text, then what `LC_ALL=C wc -l -w` prints for it.
        let cases: [(&[u8], u64, u64); 8] = [
            (b"", 0, 0),
            (b"\n", 1, 0),
            (b"one", 0, 1),
            (b"one two\nthree\n", 2, 3),
            (b"  a\tb\r\n\n c  ", 2, 3),
            (b"a\x0bb\x0cc", 0, 3),
            ("näher dran\n".as_bytes(), 1, 2),
            (b"no newline at the end\nof this", 1, 7),
        ];
        for (text, lines, words) in cases {
            let counts = count(text);
            assert_eq!(
                (counts.lines, counts.words, counts.bytes),
                (lines, words, text.len() as u64),
                "{text:?}"
            );
        }
    }

    #[test]
    fn terms_are_identifiers_in_lower_case() {
        let found = terms("Fn fn_2 FN 3abc x-y _z 42 über");
        let expected = [("_z", 1), ("abc", 1), ("ber", 1), ("fn", 2), ("fn_2", 1), ("x", 1), ("y", 1)];
        assert_eq!(found, expected.map(|(term, count)| (term.to_owned(), count)));
    }

    #[test]
    fn a_term_that_is_too_long_is_left_out() {
        let (fits, too_long) = ("a".repeat(LONGEST_TERM), "b".repeat(LONGEST_TERM + 1));
        assert_eq!(terms(&format!("{too_long} {fits} c")), [(fits, 1), ("c".to_owned(), 1)]);
    }

    #[test]
    fn it_does_not_matter_where_the_text_is_cut() {
        let text = b"alpha beta\n alpha_2 b\tgamma alpha\n";
        let whole = count(text);
        for cut in 0..=text.len() {
            let mut counter = Counter::default();
            counter.add(&text[..cut]).unwrap();
            counter.add(&text[cut..]).unwrap();
            assert_eq!(counter.finish(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_nul_byte_makes_it_binary() {
        let mut counter = Counter::default();
        assert_eq!(counter.add(b"text"), Ok(()));
        assert_eq!(counter.add(b"\0"), Err(Binary));
    }
}
