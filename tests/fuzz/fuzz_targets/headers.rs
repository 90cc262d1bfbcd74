//! The headers that a stranger may set, and the reply subjects of delivered messages.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("headers", bytes);
});
