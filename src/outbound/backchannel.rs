//! Sends logout tokens to the URIs that clients registered (OIDC Back-Channel Logout 1.0 §2.5).

use std::time::Duration;

use reqwest::{Client, redirect};

/// Why a logout token was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// This machine has no TLS certificates.
    #[error(
        "TLS cannot be set up; install the system's certificates (ca-certificates), or name a file in SSL_CERT_FILE"
    )]
    NoTls,
    /// The client cannot be reached, or did not answer in time.
    #[error("it cannot be reached")]
    Unreachable,
    /// The client answered with this status. Redirects are not followed.
    #[error("it answered {0}")]
    Refused(u16),
}

#[derive(Debug, Clone)]
pub struct Backchannel {
    /// `None` if this machine has no TLS certificates. A service without such clients needs none.
    http: Option<Client>,
}

/// Limit of establishing a connection.
const CONNECT: Duration = Duration::from_secs(5);

impl Backchannel {
    /// Every call takes `deadline` at most. Redirects are not followed, and proxies of the environment are not used.
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

    /// Posts a logout token. Only the status of the answer is read, however long the answer is.
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn tell(&self, uri: &str, logout_token: &str) -> Result<(), TellError> {
        let http = self.http.as_ref().ok_or(TellError::NoTls)?;
        let request = http.post(uri).form(&[("logout_token", logout_token)]);
        // The error may contain the URI; the log has the client's id instead.
        let answer = request.send().await.map_err(|_| TellError::Unreachable)?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(TellError::Refused(status.as_u16())) }
    }
}
