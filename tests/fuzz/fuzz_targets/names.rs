//! Run ids, item ids and the other names: there and back.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("names", bytes);
});
