//! What stands in `workflow! { .. }`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("workflow_macro", bytes);
});
