//! What stands in `node! { .. }`, and structs that derive `Merge`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("node_macro", bytes);
});
