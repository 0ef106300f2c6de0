//! Ends the rest of very many sessions, step by step. They are refused already.

use std::sync::Arc;

use crate::{
    domain::clock::Clock,
    services::{
        Unavailable,
        audit::Event,
        background::outcome::{Failure, JobOutcome},
        sessions::end::EndSession,
    },
    store::{
        Database,
        jobs::Job,
        pending_ends::{self, Owner},
        revocations::CLOCK_STEP,
        session_cutoffs,
    },
};

#[derive(Debug, Clone)]
pub struct EndSessions {
    pub end_session: EndSession,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

impl EndSessions {
    /// Ends what is left.
    pub(super) async fn run(&self, job: &Job) -> Result<JobOutcome, Unavailable> {
        let given_up = Event::refused("session_end", "given_up");
        let failed = |why: String| JobOutcome::Failed(Failure { why, is_final: false, given_up });
        let pending = match pending_ends::read(job) {
            Ok(pending) => pending,
            Err(cause) => return Ok(failed(cause.to_string())),
        };
        match self.end_session.finish(Some(pending.clone())).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, job = %job.id, "the rest of very many sessions has ended"),
            Err(cause) => return Ok(failed(cause.to_string())),
        }
        if let Owner::Account(user) = pending.owner {
            // Other replicas refuse by the cutoff for longer than its job takes, so no session may get an id before it.
            let until = pending.through.began() + CLOCK_STEP;
            if self.clock.now() < until {
                return Ok(JobOutcome::PutOff(until, "the cutoff stays"));
            }
            session_cutoffs::remove(&self.db, user, pending.through).await?;
        }
        Ok(JobOutcome::Done)
    }
}
