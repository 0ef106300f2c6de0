//! Sends the emails in the outbox, several at a time, each until it is sent or given up.
//!
//! A process claims an email for a lease, and renews the lease while it sends. After a crash another process claims the
//! email when the lease is over. The email may then be sent twice, with the same text and link.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    domain::{
        delivery::{self, LEASE, RENEWED_EVERY},
        mail::Email,
    },
    outbound::email::mailer::{Mailer, SendError},
    services::{
        Unavailable,
        audit::Event,
        background::resolve_mail::{ResolveMail, Resolved},
        metrics::Metrics,
        outbox::Outbox,
    },
    store::outbox::{self, Claimed},
};

/// Sends the emails in the outbox.
#[derive(Debug, Clone)]
pub struct DeliverMail {
    /// Where the causes are.
    pub outbox: Outbox,
    /// Finds the emails.
    pub resolve: ResolveMail,
    pub mailer: Arc<Mailer>,
    pub metrics: Metrics,
}

/// Emails under way at a time: a mail server that stalls holds up no more than these, each for the mailer's deadline.
const AT_ONCE: usize = 4;
/// How often the outbox is polled.
const POLL: Duration = Duration::from_secs(1);
/// The longest pause after a wake-up. It is random: the work for an existing account must not slow down the next request
/// measurably, which would tell that the account exists.
const PAUSE_MS: u64 = 250;
/// How often waiting and dead emails are counted.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// How long sending may take once the service stops.
const GRACE: Duration = Duration::from_secs(5);

/// What became of an attempt.
enum DeliveryAttempt {
    Sent,
    Failed(SendError),
    /// The row was withdrawn, or is another's.
    Lost,
}

impl DeliverMail {
    /// Sends until `stop` resolves; then lets what is under way leave within a bound, and lets go of the rest.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let claim = self.outbox.random.uuid_v7(self.outbox.clock.now());
        let mut under_way = JoinSet::new();
        let (mut logged, mut counted) = (false, None);
        tokio::pin!(stop);
        loop {
            if counted.is_none_or(|counted: Instant| counted.elapsed() >= COUNT_EVERY) {
                counted = Some(Instant::now());
                self.count().await;
            }
            let free = AT_ONCE - under_way.len();
            match self.take_on(claim, free).await {
                Ok(rows) => {
                    logged = false;
                    for row in rows {
                        let this = self.clone();
                        let metrics = this.metrics.clone();
                        under_way.spawn(metrics.counting(async move { this.deliver(&row).await }));
                    }
                }
                Err(cause) if !logged => {
                    logged = true;
                    tracing::error!(%cause, "the outbox cannot be read; it will be tried again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = under_way.join_next() => report(&ended),
                () = self.outbox.awake.notified() => sleep(self.pause()).await,
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
        if let Err(cause) = outbox::release(&self.outbox.db, claim, self.outbox.clock.now()).await {
            tracing::warn!(%cause, "what was not sent is another's after {} s", LEASE.num_seconds());
        }
    }

    /// Shows the state of the outbox. Where the database does not answer, the last one stays.
    async fn count(&self) {
        if let Ok(tally) = outbox::tally(&self.outbox.db).await {
            self.metrics.outbox_waiting.set(i64::try_from(tally.waiting).unwrap_or(i64::MAX));
            self.metrics.outbox_dead.set(i64::try_from(tally.dead).unwrap_or(i64::MAX));
        }
    }

    fn pause(&self) -> Duration {
        let chance = u64::from(u16::from_be_bytes(self.outbox.random.bytes()));
        Duration::from_millis(PAUSE_MS * chance / u64::from(u16::MAX))
    }

    /// Takes on what is due, as far as workers are free.
    async fn take_on(&self, claim: Uuid, free: usize) -> Result<Vec<Claimed>, Unavailable> {
        let (db, now) = (&self.outbox.db, self.outbox.clock.now());
        let free = u64::try_from(free).unwrap_or(0);
        if free == 0 || !outbox::is_due(db, now).await? {
            return Ok(Vec::new());
        }
        Ok(outbox::claim(db, claim, now, now + LEASE, free).await?)
    }

    /// Tries an email once.
    async fn deliver(&self, row: &Claimed) {
        let done = match &row.cause {
            Ok(cause) => match self.resolve.run(row, cause).await {
                Ok(None) => Ok(()),
                Ok(Some(resolved)) => {
                    let attempt = self.send(row, &resolved.email).await;
                    self.settle(row, attempt, Some(&resolved)).await
                }
                Err(unavailable) => Err(unavailable),
            },
            Err(cause) => {
                tracing::warn!(%cause, mail = %row.id, "a cause of a mail cannot be read here");
                let attempt = DeliveryAttempt::Failed(SendError::Later("it cannot be read".to_owned()));
                self.settle(row, attempt, None).await
            }
        };
        if let Err(cause) = done {
            // The lease runs out, and it is tried again.
            tracing::error!(%cause, mail = %row.id, "a mail could not be seen to");
        }
    }

    /// Sends an email, and renews its lease from time to time.
    async fn send(&self, row: &Claimed, email: &Email) -> DeliveryAttempt {
        let every = Duration::from_secs(RENEWED_EVERY);
        let mut renewal = interval_at(Instant::now() + every, every);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sending = self.mailer.send(email);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => return sent.map_or_else(DeliveryAttempt::Failed, |()| DeliveryAttempt::Sent),
                _ = renewal.tick() => {
                    // Where the database does not answer, the email goes on: it may be sent twice then.
                    let until = self.outbox.clock.now() + LEASE;
                    if matches!(outbox::renew(&self.outbox.db, row, until).await, Ok(false)) {
                        return DeliveryAttempt::Lost;
                    }
                }
            }
        }
    }

    /// Writes down what became of an attempt.
    async fn settle(
        &self,
        row: &Claimed,
        attempt: DeliveryAttempt,
        email: Option<&Resolved>,
    ) -> Result<(), Unavailable> {
        let (db, now) = (&self.outbox.db, self.outbox.clock.now());
        match attempt {
            DeliveryAttempt::Sent => {
                self.metrics.mails_sent.inc();
                outbox::sent(db, row, now).await?;
                let event = Event::done("mail_sent");
                about(email.map_or(event.clone(), |email| event.because(email.name)), email).record();
            }
            DeliveryAttempt::Lost => about(Event::refused("mail", "withdrawn"), email).record(),
            DeliveryAttempt::Failed(SendError::Later(why)) => {
                let chance = u16::from_be_bytes(self.outbox.random.bytes());
                match delivery::next_attempt(row.created_at, now, row.attempts, chance) {
                    Some(next) => {
                        self.metrics.mails_failed.inc();
                        let attempts = row.attempts;
                        tracing::warn!(mail = %row.id, attempts, why, "a mail was not sent; it will be tried again");
                        outbox::put_off(db, row, next, "not sent").await?;
                    }
                    None => self.give_up(row, &why, "given_up", email).await?,
                }
            }
            DeliveryAttempt::Failed(SendError::Never(why)) => self.give_up(row, &why, "refused", email).await?,
        }
        Ok(())
    }

    async fn give_up(
        &self,
        row: &Claimed,
        why: &str,
        word: &'static str,
        email: Option<&Resolved>,
    ) -> Result<(), Unavailable> {
        self.metrics.mails_dead.inc();
        outbox::bury(&self.outbox.db, row, self.outbox.clock.now(), word).await?;
        tracing::error!(mail = %row.id, attempts = row.attempts, why, "a mail was given up");
        about(Event::refused("mail_failed", word), email).record();
        Ok(())
    }
}

/// Adds the account to an event; never the email address.
fn about(event: Event, email: Option<&Resolved>) -> Event {
    match email {
        Some(email) => event.account(email.user),
        None => event,
    }
}

fn report(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(cause) = ended {
        tracing::error!(%cause, "sending a mail broke");
    }
}
