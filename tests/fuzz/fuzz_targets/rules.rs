//! The rules of the engine over snapshots that are sound but for a few places.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("rules", bytes);
});
