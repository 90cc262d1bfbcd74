//! Tickets, and what somebody forged to be one.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("tickets", bytes);
});
