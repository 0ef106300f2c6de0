//! Sends logout notices to clients (OIDC Back-Channel Logout 1.0), each until it is accepted or given up.
//!
//! A notice is written in the transaction that ends the session, so that no crash loses it. A process claims a notice for
//! a lease; after a crash another process claims it, so that a client may get it twice.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    crypto::{jose::jwt::Jwt, random::Random},
    domain::{
        claims::LogoutClaims,
        client::Client,
        clock::Clock,
        logout_notice::{BACKOFF, LEASE, TOKEN},
    },
    outbound::backchannel::Backchannel,
    services::{Unavailable, audit::Event, metrics::Metrics},
    store::{
        Database,
        entity_cache::EntityCache,
        logout_notices::{self, Claimed},
    },
};

#[derive(Debug, Clone)]
pub struct TellLogout {
    /// Where the notices are.
    pub db: Database,
    /// Whom to tell.
    pub entities: EntityCache,
    /// Signs the logout tokens.
    pub jwt: Arc<Jwt>,
    pub backchannel: Backchannel,
    /// Names tokens and claims.
    pub random: Random,
    /// Wakes this process, which looks by itself as well.
    pub awake: Arc<Notify>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    /// The issuer.
    pub issuer: String,
}

/// Notices sent at a time.
const AT_ONCE: usize = 16;
/// How often a process looks that was not woken.
const POLL: Duration = Duration::from_secs(1);
/// How often what waits is counted.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// How long what is under way may take once the service stops.
const GRACE: Duration = Duration::from_secs(5);

impl TellLogout {
    /// Tells until `stop` resolves; then lets what is under way finish within a bound, and lets go of the rest.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let claim = self.random.uuid_v7(self.clock.now());
        let mut under_way = JoinSet::new();
        let (mut logged, mut counted) = (false, None);
        tokio::pin!(stop);
        loop {
            if counted.is_none_or(|counted: Instant| counted.elapsed() >= COUNT_EVERY) {
                counted = Some(Instant::now());
                self.count().await;
            }
            match self.take_on(claim, AT_ONCE - under_way.len()).await {
                Ok(rows) => {
                    logged = false;
                    for row in rows {
                        let this = self.clone();
                        let metrics = this.metrics.clone();
                        under_way.spawn(metrics.counting(async move { this.see_to(&row).await }));
                    }
                }
                Err(cause) if !logged => {
                    logged = true;
                    tracing::error!(%cause, "the logout notices cannot be read; it will be tried again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = under_way.join_next() => report(&ended),
                () = self.awake.notified() => {}
                () = sleep(POLL) => {}
            }
        }
        let finish = async {
            while let Some(ended) = under_way.join_next().await {
                report(&ended);
            }
        };
        if timeout(GRACE, finish).await.is_err() {
            under_way.shutdown().await;
        }
        if let Err(cause) = logout_notices::release(&self.db, claim, self.clock.now()).await {
            tracing::warn!(%cause, "another worker takes the notices that were not sent after {} s", LEASE.num_seconds());
        }
    }

    /// Shows how many wait. Where the database does not answer, the last number stays.
    async fn count(&self) {
        if let Ok(waiting) = logout_notices::count(&self.db).await {
            self.metrics.logout_notices_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }

    /// Takes on what is due, as far as workers are free.
    async fn take_on(&self, claim: Uuid, free: usize) -> Result<Vec<Claimed>, Unavailable> {
        let now = self.clock.now();
        let free = u64::try_from(free).unwrap_or(0);
        if free == 0 || !logout_notices::is_due(&self.db, now).await? {
            return Ok(Vec::new());
        }
        Ok(logout_notices::claim(&self.db, claim, now, now + LEASE, free).await?)
    }

    async fn see_to(&self, row: &Claimed) {
        if let Err(cause) = self.tell(row).await {
            // The lease runs out, and it is tried again.
            tracing::error!(%cause, client = %row.client, "the logout notice could not be handled");
        }
    }

    /// Sends a notice once, and records the result.
    async fn tell(&self, row: &Claimed) -> Result<(), Unavailable> {
        let found = self.entities.client(&self.db, &row.client).await?;
        let logged = found.and_then(|(client, _)| client.backchannel_logout_uri.clone().map(|uri| (client, uri)));
        let Some((client, uri)) = logged else {
            // The client was deleted, or has no logout URI any more.
            return Ok(logout_notices::done(&self.db, row).await?);
        };
        let sent = match self.logout_token(row, &client, self.clock.now()) {
            Ok(token) => self.backchannel.tell(&uri, &token).await.map_err(|error| error.to_string()),
            Err(unavailable) => Err(unavailable.to_string()),
        };
        let event = |event: Event| event.account(row.user).client(&row.client).session(row.session);
        let Err(why) = sent else {
            self.metrics.logout_notices_sent.inc();
            event(Event::done("logout_notice")).record();
            return Ok(logout_notices::done(&self.db, row).await?);
        };
        let (now, chance) = (self.clock.now(), u16::from_be_bytes(self.random.bytes()));
        let Some(next) = BACKOFF.next_attempt(row.created_at, now, row.attempts, chance) else {
            self.metrics.logout_notices_dead.inc();
            tracing::error!(client = %row.client, why, "a client was not told of a logout, and will not be");
            event(Event::refused("logout_notice", "given_up")).record();
            return Ok(logout_notices::done(&self.db, row).await?);
        };
        self.metrics.logout_notices_failed.inc();
        let attempts = row.attempts;
        tracing::warn!(client = %row.client, attempts, why, "a client was not told of a logout; it will be tried again");
        Ok(logout_notices::put_off(&self.db, row, now, next).await?)
    }

    /// The logout token (§2.4), signed as the client's ID tokens are, or as access tokens if it gets none.
    fn logout_token(&self, row: &Claimed, client: &Client, now: DateTime<Utc>) -> Result<String, Unavailable> {
        let ended = (row.session, row.user);
        let claims = LogoutClaims::of(&self.issuer, ended, &client.id, self.random.token_id(), (now, now + TOKEN));
        let algorithm = client.is_relying_party().then(|| client.id_token_algorithm());
        Ok(self.jwt.sign_logout(&claims, algorithm, now)?)
    }
}

fn report(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(cause) = ended {
        tracing::error!(%cause, "telling a client broke");
    }
}
