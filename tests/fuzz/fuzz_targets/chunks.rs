//! Values that are kept beside a snapshot, and how they are divided into parts.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("chunks", bytes);
});
