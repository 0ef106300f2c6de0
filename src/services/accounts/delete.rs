//! The one way to delete an account, for its owner and for the operator.

use crate::{
    domain::{mail::AccountChange, session::EndReason, user::User},
    services::{
        outbox::Outbox,
        sessions::end::{EndSession, EndedSessions},
    },
    store::{StoreError, Transaction, consents, identities, one_use_secrets, outbox, sessions::SessionSelector},
};

/// Ends the sessions of `user`, whose row `transaction` has deleted, tells the owner, and deletes everything else stored
/// about the account. No foreign key does so. After the commit, wake the outbox.
///
/// # Errors
/// [`StoreError`]; then the transaction must be rolled back.
pub(in crate::services) async fn delete_account(
    end_session: &EndSession,
    outbox: &Outbox,
    transaction: &Transaction,
    user: &User,
) -> Result<EndedSessions, StoreError> {
    let id = user.id;
    identities::forget(transaction, id).await?;
    one_use_secrets::forget(transaction, id).await?;
    outbox::forget(transaction, id).await?;
    outbox.tell_owner(transaction, user, AccountChange::Deleted).await?;
    consents::delete_of_user(transaction, id).await?;
    let changed = end_session.changes.account_changed(id);
    let all = SessionSelector::AllOf(id);
    end_session.within(transaction, &all, EndReason::AccountDeleted, vec![changed]).await
}
