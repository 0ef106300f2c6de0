#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| signet::http::properties::content_type(data));
