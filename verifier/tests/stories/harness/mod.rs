//! A small issuer with a real HTTP server, keys of its own, and a clock that stories move.

mod issuer;
mod key;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use verifier::{Builder, Claims, Clock, Distrust, Verifier, VerifyError};

pub(crate) use self::{
    issuer::Issuer,
    key::{Key, encode, now, pack, signed},
};

/// The service that the tokens are for.
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// A clock that stands until it is moved.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<Mutex<SystemTime>>);

impl TestClock {
    /// A clock at a fixed time.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000))))
    }

    /// Moves it.
    pub(crate) fn advance(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// An issuer, a service that trusts it, and the time they live in.
pub(crate) struct TestApp {
    pub(crate) issuer: Issuer,
    pub(crate) clock: TestClock,
    pub(crate) key: Key,
    pub(crate) verifier: Verifier,
}

impl TestApp {
    /// A test app with one key.
    pub(crate) async fn open() -> Self {
        Self::with(|builder| builder).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(set: impl FnOnce(Builder) -> Builder) -> Self {
        let (issuer, clock, key) = (Issuer::open().await, TestClock::new(), Key::es256("first"));
        issuer.publishes(&[&key]);
        let builder = Verifier::builder(issuer.base()).audience(AUDIENCE).clock(clock.clone());
        let verifier = set(builder).build().unwrap();
        Self { issuer, clock, key, verifier }
    }

    /// The claims of a user's token, issued now, good for ten minutes, without a status.
    pub(crate) fn claims(&self) -> Value {
        claims(self.issuer.base(), now(&self.clock))
    }

    /// The same, at an index of the first status list.
    pub(crate) fn claims_at(&self, idx: u64) -> Value {
        let mut claims = self.claims();
        claims["status"] = json!({"status_list": {"idx": idx, "uri": self.list_uri()}});
        claims
    }

    /// A token with these claims, signed by the first key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.key.token(claims)
    }

    /// Where the first status list is.
    pub(crate) fn list_uri(&self) -> String {
        format!("{}/oauth/status-lists/1", self.issuer.base())
    }

    /// The claims of a status list of one bit, issued now, with a ttl of 60 s, good for ten minutes.
    pub(crate) fn list(&self, bytes: &[u8]) -> Value {
        let now = now(&self.clock);
        let packed = json!({"bits": 1, "lst": pack(bytes)});
        json!({"sub": self.list_uri(), "iat": now, "exp": now + 600, "ttl": 60, "status_list": packed})
    }

    /// Publishes that list, signed by the first key.
    pub(crate) fn publishes_list(&self, bytes: &[u8]) {
        self.issuer.publishes_list(&self.key.status_list(&self.list(bytes)));
    }
}

/// The claims of a user's token of `issuer`.
pub(crate) fn claims(issuer: &str, now: i64) -> Value {
    json!({
        "iss": issuer, "sub": "0195b3a0-0000-7000-8000-000000000001", "aud": [AUDIENCE, issuer],
        "exp": now + 600, "iat": now, "jti": "t-1", "client_id": "shop", "scope": "openid orders:read",
        "sid": "s-1", "auth_time": now, "amr": ["pwd"], "preferred_username": "ada", "roles": ["clerk"],
    })
}

/// What came of a token, as stories tell it.
pub(crate) trait Outcome {
    /// The claims.
    fn accepted(self) -> Claims;
    /// Refused for this reason.
    fn distrusted(self, distrust: Distrust);
    /// Refused for its form.
    fn malformed(self);
    /// Neither accepted nor refused.
    fn unavailable(self);
}

impl Outcome for Result<Claims, VerifyError> {
    #[track_caller]
    fn accepted(self) -> Claims {
        self.unwrap()
    }

    #[track_caller]
    fn distrusted(self, distrust: Distrust) {
        assert_eq!(self, Err(VerifyError::Untrusted(distrust)));
    }

    #[track_caller]
    fn malformed(self) {
        assert!(matches!(self, Err(VerifyError::Malformed(_))), "{self:?}");
    }

    #[track_caller]
    fn unavailable(self) {
        assert!(matches!(self, Err(VerifyError::Unavailable { .. })), "{self:?}");
    }
}
