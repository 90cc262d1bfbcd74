//! Contexts of everything that merges: decoded, rebased and merged.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("merging", bytes);
});
