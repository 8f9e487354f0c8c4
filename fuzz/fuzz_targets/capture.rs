#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dlmwire_fuzz::files::capture(bytes));
