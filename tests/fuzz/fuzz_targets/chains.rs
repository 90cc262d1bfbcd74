//! The rules of the engine over snapshots of runs that continue as new.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    jetway_untrusted_input::run("chains", bytes);
});
