//! Errors in definitions are shown at their place, with messages of the macros.

#[test]
fn errors_are_shown_at_their_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
