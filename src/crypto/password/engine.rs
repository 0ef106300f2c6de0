//! The argon2id implementation of a worker: the fastest that this processor has (docs/adr/0015-argon2-engines.md).

use argon2::{Algorithm, Argon2, Block, Version};
use argon2_rust::{self as vectorized, Backend, params};

use crate::crypto::password::{
    parameters::{HashError, HashParameters},
    worker_pool::Hasher,
};

/// A hasher with memory of its own, which it keeps.
///
/// Fresh memory for each hash costs a page fault every four blocks; reusing it gives 1.2 to 1.7 times the throughput
/// (measured). `argon2` is the reference; the two give the same output, which property tests hold.
pub(super) enum Argon2id {
    /// `argon2-rust`, with the vector instructions of this processor. Its memory is in huge pages where the kernel gives
    /// them.
    Vectorized(Box<vectorized::Hasher>),
    /// `argon2`, where `argon2-rust` has no faster code.
    Reference(Vec<Block>),
}

impl Argon2id {
    /// The fastest one.
    pub(super) fn fastest() -> Self {
        match vectorized::detected_backend() {
            Backend::Scalar => Self::reference(),
            _ => Self::vectorized(),
        }
    }

    fn reference() -> Self {
        Self::Reference(Vec::new())
    }

    fn vectorized() -> Self {
        let argon2 = vectorized::Argon2::new(
            vectorized::Algorithm::Argon2id,
            vectorized::Version::V0x13,
            vectorized::Params::default(),
        );
        Self::Vectorized(Box::new(argon2.hasher()))
    }
}

impl Hasher for Argon2id {
    fn hash(
        &mut self,
        parameters: HashParameters,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> Result<(), HashError> {
        match self {
            Self::Vectorized(hasher) => {
                hasher.set_argon2(configured(parameters, out.len()).map_err(failed)?);
                hasher.hash_into(password, salt, out).map_err(failed)
            }
            Self::Reference(memory) => by_reference(memory, parameters, password, salt, out),
        }
    }
}

/// The lanes are computed one after the other: another worker uses the other core.
fn configured(parameters: HashParameters, length: usize) -> Result<vectorized::Argon2, vectorized::Error> {
    let params = vectorized::Params::builder()
        .memory(params::Memory::kib(parameters.memory_kib.into()))
        .passes(parameters.iterations)
        .lanes(parameters.parallelism)
        .threads(1)
        .tag_len(params::TagLen::bytes(length as u64))
        .build()?;
    Ok(vectorized::Argon2::new(vectorized::Algorithm::Argon2id, vectorized::Version::V0x13, params))
}

fn failed(error: vectorized::Error) -> HashError {
    HashError::Broken(match error {
        vectorized::Error::MemoryAllocationError => "no memory left to hash with".to_owned(),
        _ => "argon2 refused its input".to_owned(),
    })
}

fn by_reference(
    memory: &mut Vec<Block>,
    parameters: HashParameters,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), HashError> {
    let broken = |why: &str| HashError::Broken(why.to_owned());
    let refused = |_| broken("argon2 refused its input");
    let params = parameters.params(out.len()).map_err(refused)?;
    let missing = params.block_count().saturating_sub(memory.len());
    // If memory runs out, return an error instead of aborting the process.
    memory.try_reserve_exact(missing).map_err(|_| broken("no memory left to hash with"))?;
    memory.resize(memory.len() + missing, Block::new());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, out, memory)
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Output = Result<Vec<u8>, HashError>;

    fn hashed(
        engine: &mut Argon2id,
        parameters: HashParameters,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> Output {
        let mut out = vec![0; length];
        engine.hash(parameters, password, salt, &mut out).map(|()| out)
    }

    /// RFC 9106 §5.3 uses a secret and associated data, which passwords here have not; so the vectors of the reference
    /// implementation (its test.c, version 19) are the ones to check, beside that section's own by the same code.
    #[test]
    fn the_vectors_of_the_reference_implementation_hold() {
        for (memory_kib, iterations, parallelism, salt, hex) in [
            (65536, 2, 1, "somesalt", "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),
            (256, 2, 1, "somesalt", "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"),
            (256, 2, 2, "somesalt", "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"),
            (65536, 1, 1, "somesalt", "f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98"),
            (65536, 2, 1, "diffsalt", "bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c"),
        ] {
            let parameters = HashParameters { memory_kib, iterations, parallelism };
            for mut engine in [Argon2id::vectorized(), Argon2id::reference()] {
                // A larger hash before it leaves its blocks behind.
                let dirty = HashParameters { memory_kib: 66_000, iterations: 1, parallelism: 4 };
                hashed(&mut engine, dirty, b"another", b"othersalt", 32).expect("it hashes");
                let hash = hashed(&mut engine, parameters, b"password", salt.as_bytes(), 32).expect("it hashes");
                let text = hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
                assert_eq!(text, hex, "{parameters:?}");
            }
        }
    }

    #[test]
    fn rfc_9106_is_what_the_vectorized_engine_computes() {
        let params = vectorized::Params::builder()
            .memory(params::Memory::kib(32))
            .passes(3)
            .lanes(4)
            .threads(1)
            .tag_len(params::TagLen::bytes(32))
            .build()
            .expect("good parameters");
        let argon2 = vectorized::Argon2::new(vectorized::Algorithm::Argon2id, vectorized::Version::V0x13, params);
        let mut out = [0; 32];
        argon2.hasher().hash_into_with_ad(&[1; 32], &[2; 16], &[3; 8], &[4; 12], &mut out).expect("it hashes");
        let expected = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9, 0xd0, 0x1e,
            0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn the_memory_is_kept_and_grows_to_the_largest() {
        let mut engine = Argon2id::vectorized();
        let small = HashParameters { memory_kib: 64, iterations: 1, parallelism: 1 };
        let first = hashed(&mut engine, small, b"x", b"somesalt", 32).expect("it hashes");
        let large = HashParameters { memory_kib: 1024, ..small };
        hashed(&mut engine, large, b"x", b"somesalt", 32).expect("it hashes");
        assert_eq!(hashed(&mut engine, small, b"x", b"somesalt", 32).expect("it hashes"), first);
        let Argon2id::Vectorized(hasher) = engine else { unreachable!("it was made so") };
        assert_eq!(hasher.reserved_blocks(), 1024);
        let mut engine = Argon2id::reference();
        for parameters in [small, large, small] {
            hashed(&mut engine, parameters, b"x", b"somesalt", 32).expect("it hashes");
        }
        let Argon2id::Reference(memory) = engine else { unreachable!("it was made so") };
        assert_eq!(memory.len(), 1024);
    }

    #[test]
    fn what_argon2_does_not_take_is_an_error() {
        let good = HashParameters { memory_kib: 8, iterations: 1, parallelism: 1 };
        for mut engine in [Argon2id::vectorized(), Argon2id::reference()] {
            for (parameters, salt, length) in [
                (HashParameters { memory_kib: 7, ..good }, &b"somesalt"[..], 32),
                (HashParameters { iterations: 0, ..good }, b"somesalt", 32),
                (HashParameters { parallelism: 0, ..good }, b"somesalt", 32),
                (good, b"salt", 32),
                (good, b"somesalt", 3),
            ] {
                let hash = hashed(&mut engine, parameters, b"x", salt, length);
                assert!(matches!(hash, Err(HashError::Broken(_))), "{parameters:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        /// One engine of each kind for all cases, so that the kept memory of one hash meets the next.
        #[test]
        fn both_engines_give_the_same(
            cases in prop::collection::vec(
                (1_u32..5, 1_u32..4, 0_u32..300, prop::collection::vec(any::<u8>(), 0..300),
                 prop::collection::vec(any::<u8>(), 8..80), 4_usize..200),
                1..4,
            ),
        ) {
            let (mut vectorized, mut reference) = (Argon2id::vectorized(), Argon2id::reference());
            for (parallelism, iterations, more, password, salt, length) in cases {
                let parameters = HashParameters { memory_kib: 8 * parallelism + more, iterations, parallelism };
                let expected = hashed(&mut reference, parameters, &password, &salt, length);
                prop_assert!(expected.is_ok());
                prop_assert_eq!(hashed(&mut vectorized, parameters, &password, &salt, length), expected);
            }
        }
    }
}
