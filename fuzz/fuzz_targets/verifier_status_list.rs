#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| verifier::laws::status_list(data));
