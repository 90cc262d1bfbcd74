//! What the service hears and answers, and what hosts say of themselves.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("requests", bytes);
});
