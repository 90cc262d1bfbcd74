//! Mistakes are shown where they were made, in the words of the macros.

#[test]
fn mistakes() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
