//! Messages from places that cannot return an error.

/// Tells a person something from where no error can be returned. Through the macro, because a test runner shows what it
/// prints with the test that it belongs to.
#[expect(clippy::print_stderr, reason = "a destructor has no other way to tell")]
pub(crate) fn report(sentence: &str) {
    eprintln!("{sentence}");
}
