#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| signet::testing::properties::http::client_authentication(data));
