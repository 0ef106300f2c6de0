//! The parts that a request pays for, one at a time, on one thread, with their allocations:
//! `cargo bench -p load`.

use argon2_rust::params;
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use divan::{AllocProfiler, Bencher, black_box};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// The service's defaults: KiB of memory and passes.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;

fn main() {
    divan::main();
}

/// Claims of the size that access tokens have.
fn claims() -> Value {
    json!({
        "iss": "https://auth.example.org", "sub": "019a0000-0000-7000-8000-000000000001", "aud": "https://auth.example.org",
        "exp": 4_000_000_000_u32, "iat": 1_800_000_000, "jti": "019a0000-0000-7000-8000-000000000002", "client_id": "web",
        "scope": "openid profile email", "sid": "019a0000-0000-7000-8000-000000000003", "preferred_username": "ada",
    })
}

/// A new P-256 key: PKCS#8, and the public point.
fn key() -> (Vec<u8>, Vec<u8>) {
    use aws_lc_rs::signature::KeyPair as _;
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).expect("a key");
    (document.as_ref().to_vec(), pair.public_key().as_ref().to_vec())
}

#[divan::bench]
fn hash_by_argon2(bencher: Bencher) {
    let params = argon2::Params::new(MEMORY, PASSES, 1, Some(32)).expect("good parameters");
    let mut memory = vec![argon2::Block::new(); params.block_count()];
    let engine = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    bencher.bench_local(|| {
        let mut out = [0; 32];
        engine
            .hash_password_into_with_memory(b"a password", b"sixteen bytes ok", &mut out, &mut memory)
            .expect("it hashes");
        out
    });
}

#[divan::bench]
fn hash_by_argon2_rust(bencher: Bencher) {
    let params = argon2_rust::Params::builder().memory(params::Memory::kib(MEMORY.into())).passes(PASSES).lanes(1);
    let params = params.threads(1).tag_len(params::TagLen::bytes(32)).build().expect("good parameters");
    let (algorithm, version) = (argon2_rust::Algorithm::Argon2id, argon2_rust::Version::V0x13);
    let mut hasher = argon2_rust::Argon2::new(algorithm, version, params).hasher();
    bencher.bench_local(|| {
        let mut out = [0; 32];
        hasher.hash_into(b"a password", b"sixteen bytes ok", &mut out).expect("it hashes");
        out
    });
}

#[divan::bench]
fn sign_by_aws_lc(bencher: Bencher) {
    let (document, _) = key();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document).expect("a key");
    let random = SystemRandom::new();
    bencher.bench_local(|| pair.sign(&random, black_box(&[b'x'; 400])));
}

#[divan::bench]
fn sign_a_token(bencher: Bencher) {
    let (header, claims, key) = (Header::new(Algorithm::ES256), claims(), EncodingKey::from_ec_der(&key().0));
    bencher.bench_local(|| jsonwebtoken::encode(&header, black_box(&claims), &key).expect("it signs"));
}

#[divan::bench]
fn verify_a_token(bencher: Bencher) {
    let (document, public) = key();
    let signing = EncodingKey::from_ec_der(&document);
    let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(), &signing).expect("it signs");
    let key = DecodingKey::from_ec_der(&public);
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&["https://auth.example.org"]);
    bencher.bench_local(|| jsonwebtoken::decode::<Value>(black_box(&token), &key, &rules).expect("it verifies"));
}

/// What the service does instead with a token that it has verified before.
#[divan::bench]
fn digest_a_token() -> digest::Digest {
    digest::digest(&digest::SHA256, black_box(&[b'x'; 700]))
}
