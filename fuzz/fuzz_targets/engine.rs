#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dlmwire_fuzz::operations::pair(bytes);
    dlmwire_fuzz::operations::hostile(bytes);
});
