//! Tells clients of log-outs, at the URIs that their operators registered (OIDC Back-Channel Logout 1.0 §2.5).

use std::time::Duration;

use reqwest::{Client, redirect};

/// Why a client was not told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// TLS cannot be had on this machine.
    #[error(
        "TLS cannot be set up; install the system's certificates (ca-certificates), or name a file in SSL_CERT_FILE"
    )]
    NoTls,
    /// It cannot be reached, or did not answer in time.
    #[error("it cannot be reached")]
    Unreachable,
    /// It answered that it did not take it; a redirect is followed nowhere.
    #[error("it answered {0}")]
    Refused(u16),
}

/// Tells clients.
#[derive(Debug, Clone)]
pub struct Backchannel {
    /// `None` where TLS cannot be had: a service whose clients want no calls needs none.
    http: Option<Client>,
}

/// How long it may take to reach a client.
const CONNECT: Duration = Duration::from_secs(5);

impl Backchannel {
    /// One that waits `deadline` at most. It follows nobody, and goes through no proxy, whatever the environment says.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(deadline)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { http: http.ok() }
    }

    /// Posts a logout token. Of the answer nothing but the status is read, however long it is.
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn tell(&self, uri: &str, logout_token: &str) -> Result<(), TellError> {
        let http = self.http.as_ref().ok_or(TellError::NoTls)?;
        let request = http.post(uri).form(&[("logout_token", logout_token)]);
        // What went wrong may name the URI, which the operator's log has a client id for.
        let answer = request.send().await.map_err(|_| TellError::Unreachable)?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(TellError::Refused(status.as_u16())) }
    }
}
