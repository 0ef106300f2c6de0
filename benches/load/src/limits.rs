//! What the machine and the libraries give without the service.

use std::{
    hint::black_box,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use argon2_rust::params;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use tempfile::TempDir;

use crate::{
    Failure,
    options::Bare,
    process::{self, Program},
};

/// The service's defaults: KiB of memory and passes.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const SALT: &[u8] = b"sixteen bytes ok";

fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How often `make()`'s closure runs in a second, on a thread for each core.
fn rate<W>(duration: Duration, make: impl Fn() -> W + Sync) -> f64
where
    W: FnMut(),
{
    let begin = Instant::now();
    let count: u32 = thread::scope(|scope| {
        let work = || {
            let mut once = make();
            let mut count = 0;
            while begin.elapsed() < duration {
                once();
                count += 1;
            }
            count
        };
        let running: Vec<_> = (0..threads()).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    f64::from(count) / begin.elapsed().as_secs_f64()
}

/// Hashes a second of `argon2`, each thread with memory that it keeps.
pub(crate) fn argon2(duration: Duration) -> Result<f64, Failure> {
    let params = argon2::Params::new(MEMORY, PASSES, 1, Some(32)).map_err(|error| error.to_string())?;
    Ok(rate(duration, || {
        let engine = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params.clone());
        let mut memory = vec![argon2::Block::new(); params.block_count()];
        move || {
            let mut out = [0; 32];
            // The lengths are right.
            engine.hash_password_into_with_memory(b"a password", SALT, &mut out, &mut memory).ok();
            black_box(out);
        }
    }))
}

/// As [`argon2()`], of `argon2-rust` with the vector instructions of this processor.
pub(crate) fn argon2_rust(duration: Duration) -> Result<f64, Failure> {
    let params = argon2_rust::Params::builder()
        .memory(params::Memory::kib(MEMORY.into()))
        .passes(PASSES)
        .lanes(1)
        .threads(1)
        .tag_len(params::TagLen::bytes(32))
        .build()
        .map_err(|error| format!("{error:?}"))?;
    Ok(rate(duration, || {
        let engine = argon2_rust::Argon2::new(argon2_rust::Algorithm::Argon2id, argon2_rust::Version::V0x13, params);
        let mut hasher = engine.hasher();
        move || {
            let mut out = [0; 32];
            // The lengths are right.
            hasher.hash_into(b"a password", SALT, &mut out).ok();
            black_box(out);
        }
    }))
}

/// ES256 signatures a second.
pub(crate) fn signatures(duration: Duration) -> Result<f64, Failure> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|error| error.to_string())?;
    black_box(key.public_key());
    let (key, random) = (&key, SystemRandom::new());
    let message = [b'x'; 400];
    Ok(rate(duration, || {
        let random = &random;
        // A key of the right kind signs everything.
        move || {
            black_box(key.sign(random, &message)).ok();
        }
    }))
}

/// A server with one fixed answer.
#[derive(Debug)]
pub(crate) struct FixedServer {
    pub(crate) program: Program,
    _folder: TempDir,
}

impl FixedServer {
    /// A handler on a bare library, in a process of its own.
    pub(crate) async fn bare(kind: Bare, body: &[u8]) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let file = folder.path().join("body");
        std::fs::write(&file, body)?;
        let port = process::free_port()?;
        let kind = match kind {
            Bare::Hyper => "hyper",
            Bare::Poem => "poem",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare", kind, &format!("127.0.0.1:{port}")]).arg(file).stdin(Stdio::null());
        Ok(Self { program: Program::start(&mut command, port).await?, _folder: folder })
    }

    /// A static file of nginx, without an access log; none where nginx is not installed.
    pub(crate) async fn nginx(path: &str, body: &[u8]) -> Result<Option<Self>, Failure> {
        let set = std::env::var("SIGNET_TEST_NGINX").ok();
        let program = set.unwrap_or_else(|| "/usr/sbin/nginx".to_owned());
        if !Path::new(&program).exists() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let file = folder.path().join("files").join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap_or(folder.path()))?;
        std::fs::write(&file, body)?;
        let port = process::free_port()?;
        let root = folder.path().display();
        let (user, threads) = (if is_root()? { "user root;" } else { "" }, threads());
        let configuration = format!(
            "daemon off; {user} worker_processes {threads}; pid {root}/pid;\nevents {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; open_file_cache max=10;\n\
             server {{ listen 127.0.0.1:{port}; root {root}/files; default_type application/json; }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]).stdin(Stdio::null());
        Ok(Some(Self { program: Program::start(&mut command, port).await?, _folder: folder }))
    }
}

fn is_root() -> Result<bool, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}
