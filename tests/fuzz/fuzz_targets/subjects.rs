//! Subjects: taken apart and built again.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("subjects", bytes);
});
