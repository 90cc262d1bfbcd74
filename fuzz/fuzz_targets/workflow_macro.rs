//! What stands in `workflow! { .. }`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_hostile::run("workflow_macro", bytes);
});
