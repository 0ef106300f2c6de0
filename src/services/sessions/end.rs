//! Ends sessions. Every end goes through here, so that each one is written, published to the replicas and notified to
//! its client.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::Notify;

use crate::{
    crypto::random::Random,
    domain::{clock::Clock, session::EndReason},
    services::{
        Unavailable,
        audit::Event,
        change_feed::{ChangeFeed, PendingChanges},
    },
    store::{
        self, Database, StoreError, Transaction,
        changes::{Change, Entry},
        logout_notices,
        pending_ends::{self, Owner, PendingEnd},
        session_cutoffs::{self, Cutoff},
        sessions::{self, SessionSelector},
    },
};

#[derive(Debug, Clone)]
pub struct EndSession {
    /// The connections of ends: their number bounds the load of many at once.
    pub db: Database,
    /// Publishes the ends.
    pub changes: ChangeFeed,
    /// Wakes this process's worker of jobs; other processes poll.
    pub awake: Arc<Notify>,
    /// Names jobs.
    pub random: Random,
    pub clock: Arc<dyn Clock>,
}

/// Sessions that end when their transaction commits.
#[must_use = "the ends hold in this process only once they are committed here"]
#[derive(Debug)]
pub struct EndedSessions {
    sessions: usize,
    notices: u64,
    written: PendingChanges,
    may_be_more: bool,
    /// Sessions that are refused as well from then on, and that a job ends.
    pub rest: Option<PendingEnd>,
}

impl EndedSessions {
    /// Logs `event` when the transaction has committed, beside one event for each session that ended.
    pub fn recording(self, event: Event) -> Self {
        Self { written: self.written.recording(event), ..self }
    }
}

/// How often an end is tried whose transaction gave way to another.
const TRIES: usize = 3;
/// For how long a replica remembers a cutoff: longer than any access token lives, at whichever replica it was issued.
const LONGEST_TOKEN: TimeDelta = TimeDelta::days(1);

impl EndSession {
    /// Ends these sessions, durably and at once. Returns the number of those whose rows have ended.
    ///
    /// # Errors
    /// [`Unavailable`] where the database did not confirm.
    pub async fn run(&self, which: &SessionSelector, reason: EndReason) -> Result<usize, Unavailable> {
        Ok(self.step(which, reason).await?.0)
    }

    /// Ends the rest, step by step. Returns their number.
    ///
    /// # Errors
    /// [`Unavailable`] where the database did not confirm; the job goes on.
    pub async fn finish(&self, rest: Option<PendingEnd>) -> Result<usize, Unavailable> {
        let Some(PendingEnd { owner, through, kept, reason }) = rest else { return Ok(0) };
        let which = SessionSelector::Through(owner, through, kept);
        let mut all = 0;
        loop {
            let (ended, may_be_more) = self.step(&which, reason).await?;
            all += ended;
            if !may_be_more {
                return Ok(all);
            }
        }
    }

    /// One transaction of its own. Returns how many ended, and whether there may be more.
    async fn step(&self, which: &SessionSelector, reason: EndReason) -> Result<(usize, bool), Unavailable> {
        let mut tries = 1;
        loop {
            let transaction = store::begin(&self.db).await?;
            match self.within(&transaction, which, reason, Vec::new()).await {
                Ok(ending) => {
                    let may_be_more = ending.may_be_more;
                    return Ok((self.commit(transaction, ending).await?, may_be_more));
                }
                Err(cause) if cause.is_conflict() && tries < TRIES => tries += 1,
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    /// Ends these sessions together with the other changes of `transaction`, whose entries are `also`. Notices for
    /// their clients are written too.
    ///
    /// If an owner has more than a step's worth of them, the oldest end here. All others are refused as well when the
    /// transaction has committed, by the account's cutoff, or because their client is gone; a job ends their rows.
    pub async fn within(
        &self,
        transaction: &Transaction,
        which: &SessionSelector,
        reason: EndReason,
        also: Vec<Entry>,
    ) -> Result<EndedSessions, StoreError> {
        let mut ended = if self.are_cut_off(transaction, which).await? {
            sessions::Ended::none()
        } else {
            sessions::end(transaction, which, reason, self.clock.now()).await?
        };
        let mut entries = also;
        let rest = if ended.may_be_more { self.rest(transaction, which, reason).await? } else { None };
        if let Some(PendingEnd { owner: Owner::Account(user), through, kept, .. }) = rest {
            let cutoff = Cutoff { user, through, kept };
            session_cutoffs::write(transaction, cutoff).await?;
            let matters_until = self.clock.now() + LONGEST_TOKEN;
            entries.push(Entry { change: Change::SessionsEnded(cutoff), matters_until });
            // The next code of a client would continue its session of the login that goes on.
            if let Some(kept) = kept {
                let children = SessionSelector::ChildrenOf(kept);
                let children = sessions::end(transaction, &children, reason, self.clock.now()).await?;
                ended.sessions.extend(children.sessions);
            }
        }
        let (ended, may_be_more) = (ended.sessions, ended.may_be_more);
        // Built-in clients have no back-channel logout URI; skip them.
        let of_clients = ended.iter().filter(|ended| !ended.client.is_built_in()).map(|ended| ended.session);
        let of_clients: Vec<_> = of_clients.collect();
        let notices = logout_notices::write(transaction, &of_clients, self.clock.now()).await?;
        entries.extend(ended.iter().map(|ended| Entry {
            change: Change::SessionEnded { session: ended.session, status: ended.status },
            matters_until: ended.access_ends_at,
        }));
        let mut written = self.changes.write(transaction, entries).await?;
        for ended in &ended {
            written = written.recording(Event::done("session_end").because(reason.as_str()).session(ended.session));
        }
        Ok(EndedSessions { sessions: ended.len(), notices, written, may_be_more, rest })
    }

    /// Whether a cutoff has ended all of them already: the same expensive end again costs two look-ups.
    async fn are_cut_off(&self, transaction: &Transaction, which: &SessionSelector) -> Result<bool, StoreError> {
        let Some((owner, kept)) = which.owner() else { return Ok(false) };
        let Owner::Account(user) = owner else { return Ok(false) };
        let cutoff = session_cutoffs::find(transaction, user).await?;
        let Some(cutoff) = cutoff.filter(|cutoff| cutoff.kept.is_none() || cutoff.kept == kept) else {
            return Ok(false);
        };
        let newest = sessions::newest(transaction, &owner, kept).await?;
        Ok(newest.is_none_or(|newest| newest <= cutoff.through))
    }

    /// Writes the job that ends what the first step left, if it left anything.
    async fn rest(
        &self,
        transaction: &Transaction,
        which: &SessionSelector,
        reason: EndReason,
    ) -> Result<Option<PendingEnd>, StoreError> {
        let Some((owner, kept)) = which.owner() else { return Ok(None) };
        let Some(mut through) = sessions::newest(transaction, &owner, kept).await? else { return Ok(None) };
        if let Owner::Account(user) = owner
            && let Some(before) = session_cutoffs::find(transaction, user).await?
        {
            through = through.max(before.through);
        }
        let now = self.clock.now();
        let pending = PendingEnd { owner, through, kept, reason };
        pending_ends::write(transaction, self.random.uuid_v7(now), &pending, now).await?;
        Ok(Some(pending))
    }

    /// Commits, then refuses the sessions' tokens in this process. Returns the number of sessions whose rows have ended.
    ///
    /// # Errors
    /// [`Unavailable`] where the database did not confirm.
    pub async fn commit(&self, transaction: Transaction, ending: EndedSessions) -> Result<usize, Unavailable> {
        self.changes.commit(transaction, ending.written).await?;
        if ending.notices > 0 || ending.rest.is_some() {
            self.awake.notify_one();
        }
        Ok(ending.sessions)
    }
}
