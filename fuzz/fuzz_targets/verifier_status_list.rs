#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| verifier::properties::status_list(data));
