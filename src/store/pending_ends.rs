//! Ends of more sessions than one transaction ends: a job ends the rest, step by step. It is written with the first step,
//! so a crash in between loses nothing.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    StoreError,
    jobs::{self, Job, NewJob},
    rows::unreadable,
};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    job::JobKind,
    session::EndReason,
};

const TABLE: &str = "jobs";

/// Whose sessions end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// All of an account.
    Account(UserId),
    /// All of an account at one client.
    AccountAt(UserId, ClientId),
    /// All of a client.
    Client(ClientId),
}

/// Sessions that are still to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEnd {
    pub owner: Owner,
    /// The last of them. Sessions that began later go on.
    pub through: SessionId,
    /// The one that goes on all the same.
    pub kept: Option<SessionId>,
    pub reason: EndReason,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    owner: Owner,
    through: SessionId,
    kept: Option<SessionId>,
    reason: String,
}

/// Writes the job that ends them.
pub async fn write(
    transaction: &impl ConnectionTrait,
    id: Uuid,
    pending: &PendingEnd,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let PendingEnd { owner, through, kept, reason } = pending.clone();
    let user = match &owner {
        Owner::Account(user) | Owner::AccountAt(user, _) => Some(*user),
        Owner::Client(_) => None,
    };
    let payload = Payload { owner, through, kept, reason: reason.as_str().to_owned() };
    let payload = serde_json::to_string(&payload).map_err(|why| unreadable(TABLE, why))?;
    let job = NewJob { id, kind: JobKind::SessionEnd, topic: pending.reason.as_str(), user, payload };
    jobs::insert(transaction, job, now).await
}

/// The sessions that a job is to end.
pub fn read(job: &Job) -> Result<PendingEnd, StoreError> {
    let payload: Payload = serde_json::from_str(&job.payload).map_err(|why| unreadable(TABLE, why))?;
    let Payload { owner, through, kept, reason } = payload;
    let reason = EndReason::parse(&reason).ok_or_else(|| unreadable(TABLE, "an unknown reason"))?;
    Ok(PendingEnd { owner, through, kept, reason })
}
