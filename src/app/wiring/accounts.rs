//! Services for accounts: registration, passwords, email addresses.

use super::parts::Parts;
use crate::{
    config::RegistrationMode,
    services::accounts::{
        account::Account, authenticate::Authenticate, change_password::ChangePassword, register::Register,
        request_reset::RequestReset, reset_password::ResetPassword, verify_email::VerifyEmail,
    },
};

impl Parts<'_> {
    pub(super) fn account(&self) -> Account {
        Account {
            db: self.core.db.clone(),
            authenticate: self.authenticate(),
            end_session: self.core.end_session.clone(),
            outbox: self.core.outbox.clone(),
            reserved: self.core.reserved_usernames(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn authenticate(&self) -> Authenticate {
        Authenticate { db: self.core.db.clone(), hasher: self.hasher.clone(), throttle: self.throttle.clone() }
    }

    pub(super) fn change_password(&self) -> ChangePassword {
        ChangePassword {
            authenticate: self.authenticate(),
            choose_password: self.choose_password.clone(),
            end_session: self.core.end_session.clone(),
            outbox: self.core.outbox.clone(),
            db: self.core.revocation_db.clone(),
        }
    }

    pub(super) fn register(&self) -> Register {
        Register {
            db: self.core.db.clone(),
            choose_password: self.choose_password.clone(),
            changes: self.core.changes.clone(),
            outbox: self.core.outbox.clone(),
            random: self.core.random.clone(),
            clock: self.core.clock.clone(),
            reserved: self.core.reserved_usernames(),
            open: self.core.config.registration == RegistrationMode::Open,
        }
    }

    pub(super) fn request_reset(&self) -> RequestReset {
        RequestReset { outbox: self.core.outbox.clone() }
    }

    pub(super) fn reset_password(&self) -> ResetPassword {
        ResetPassword {
            db: self.core.revocation_db.clone(),
            choose_password: self.choose_password.clone(),
            end_session: self.core.end_session.clone(),
            throttle: self.throttle.clone(),
            outbox: self.core.outbox.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn verify_email(&self) -> VerifyEmail {
        VerifyEmail {
            db: self.core.db.clone(),
            changes: self.core.changes.clone(),
            outbox: self.core.outbox.clone(),
            clock: self.core.clock.clone(),
        }
    }
}
