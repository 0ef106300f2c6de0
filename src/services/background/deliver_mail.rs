//! Sends the email of a job.

use std::sync::Arc;

use crate::{
    outbound::email::mailer::{Mailer, SendError},
    services::{
        Unavailable,
        audit::Event,
        background::{
            outcome::{Failure, JobOutcome},
            resolve_mail::{Resolution, ResolveMail},
        },
        metrics::Metrics,
    },
    store::{jobs::Job, outbox},
};

/// Sends the emails of the outbox.
#[derive(Debug, Clone)]
pub struct DeliverMail {
    /// Finds the emails.
    pub resolve: ResolveMail,
    pub mailer: Arc<Mailer>,
    pub metrics: Metrics,
}

impl DeliverMail {
    /// Tries an email once. After a crash the same email may be sent again, with the same text and link.
    pub(super) async fn run(&self, job: &Job) -> Result<JobOutcome, Unavailable> {
        let failed = |why: String, is_final, given_up| JobOutcome::Failed(Failure { why, is_final, given_up });
        let gave_up = Event::refused("mail_failed", "given_up");
        let cause = match outbox::read(job) {
            Ok(cause) => cause,
            Err(cause) => return Ok(failed(cause.to_string(), false, gave_up)),
        };
        let resolved = match self.resolve.run(job, &cause).await? {
            Resolution::Send(resolved) => resolved,
            Resolution::PutOff(due_at) => return Ok(JobOutcome::PutOff(due_at, "rate_limit")),
            Resolution::Nobody => return Ok(JobOutcome::Dropped),
        };
        let gave_up = gave_up.account(resolved.user);
        match self.mailer.send(&resolved.email).await {
            Ok(()) => {
                self.metrics.mails_sent.inc();
                Event::done("mail_sent").because(resolved.name).account(resolved.user).record();
                Ok(JobOutcome::Done)
            }
            Err(SendError::Later(why)) => Ok(failed(why, false, gave_up)),
            Err(SendError::Never(why)) => Ok(failed(why, true, gave_up)),
        }
    }
}
