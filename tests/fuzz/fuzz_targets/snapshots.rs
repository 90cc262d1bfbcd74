//! Snapshots in their envelope, and the rules of the engine over those that decode.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("snapshots", bytes);
});
