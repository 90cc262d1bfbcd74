//! The inputs of runs, in JSON and in CBOR.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("starts", bytes);
});
