#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hearthkeep_fuzz::ciphers(bytes));
