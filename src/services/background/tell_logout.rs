//! Tells a client of a logout (OIDC Back-Channel Logout 1.0).

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    crypto::{jose::jwt::Jwt, random::Random},
    domain::{claims::LogoutClaims, client::Client, clock::Clock, logout_notice::TOKEN},
    outbound::backchannel::{Backchannel, TellError},
    services::{
        Unavailable,
        audit::Event,
        background::outcome::{Failure, JobOutcome},
        metrics::Metrics,
    },
    store::{
        Database,
        entity_cache::EntityCache,
        jobs::Job,
        logout_notices::{self, LogoutNotice},
    },
};

#[derive(Debug, Clone)]
pub struct TellLogout {
    /// Where the clients are.
    pub db: Database,
    /// The clients to notify.
    pub entities: EntityCache,
    /// Signs the logout tokens.
    pub jwt: Arc<Jwt>,
    pub backchannel: Backchannel,
    /// Names tokens.
    pub random: Random,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    /// The issuer.
    pub issuer: String,
}

impl TellLogout {
    /// Sends a notice once.
    pub(super) async fn run(&self, job: &Job) -> Result<JobOutcome, Unavailable> {
        let failed = |why: String, is_final, given_up| JobOutcome::Failed(Failure { why, is_final, given_up });
        let gave_up = Event::refused("logout_notice", "given_up");
        let notice = match logout_notices::read(job) {
            Ok(notice) => notice,
            Err(cause) => return Ok(failed(cause.to_string(), false, gave_up)),
        };
        let found = self.entities.client(&self.db, &notice.client).await?;
        let logged = found.and_then(|(client, _)| client.backchannel_logout_uri.clone().map(|uri| (client, uri)));
        let Some((client, uri)) = logged else {
            // The client was deleted, or has no logout URI any more.
            return Ok(JobOutcome::Dropped);
        };
        let about = |event: Event| event.account(notice.user).client(&notice.client).session(notice.session);
        let token = match self.logout_token(&notice, &client, self.clock.now()) {
            Ok(token) => token,
            Err(unavailable) => return Ok(failed(unavailable.to_string(), false, about(gave_up))),
        };
        match self.backchannel.tell(&uri, &token).await {
            Ok(()) => {
                self.metrics.logout_notices_sent.inc();
                about(Event::done("logout_notice")).record();
                Ok(JobOutcome::Done)
            }
            Err(error) => Ok(failed(error.to_string(), is_final(&error), about(gave_up))),
        }
    }

    /// The logout token (§2.4), signed as the client's ID tokens are, or as access tokens if it gets none.
    fn logout_token(&self, notice: &LogoutNotice, client: &Client, now: DateTime<Utc>) -> Result<String, Unavailable> {
        let ended = (notice.session, notice.user);
        let claims = LogoutClaims::of(&self.issuer, ended, &client.id, self.random.token_id(), (now, now + TOKEN));
        let algorithm = client.is_relying_party().then(|| client.id_token_algorithm());
        Ok(self.jwt.sign_logout(&claims, algorithm, now)?)
    }
}

/// A 400 says that the client has read the token and refuses it, or could not log the person out (§2.8): the same again
/// would not help.
fn is_final(error: &TellError) -> bool {
    matches!(error, TellError::Refused(400))
}
