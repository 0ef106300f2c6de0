//! The one way to delete an account, for its owner and for the operator.

use crate::{
    domain::{ids::UserId, session::EndReason},
    services::sessions::end::{EndSession, EndedSessions},
    store::{StoreError, Transaction, consents, identities, one_use_secrets, outbox, sessions::SessionSelector},
};

/// Ends the sessions of `user`, whose row `transaction` has deleted, and deletes everything else stored about the
/// account. No foreign key does so.
///
/// # Errors
/// [`StoreError`]; then the transaction must be rolled back.
pub(in crate::services) async fn delete_account(
    end_session: &EndSession,
    transaction: &Transaction,
    user: UserId,
    reason: EndReason,
) -> Result<EndedSessions, StoreError> {
    identities::forget(transaction, user).await?;
    one_use_secrets::forget(transaction, user).await?;
    outbox::forget(transaction, user).await?;
    consents::delete_of_user(transaction, user).await?;
    let changed = end_session.changes.account_changed(user);
    end_session.within(transaction, &SessionSelector::AllOf(user), reason, vec![changed]).await
}
