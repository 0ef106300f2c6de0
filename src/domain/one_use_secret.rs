//! One-use secrets: an email carries one to prove that its reader has access to the mailbox.

use std::fmt;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

/// The purpose of a secret. A secret of one purpose is refused for every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sets a new password without the old one.
    PasswordReset,
    /// Verifies the account's email address.
    EmailVerification,
}

impl Purpose {
    /// The value in the database. It goes into the secret as well, so it must never change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
        }
    }

    /// How long a secret lives, counted from the latest time that it was emailed: an email that a mail server
    /// outage delayed by an hour still works when it arrives.
    #[must_use]
    pub fn lifetime(self) -> TimeDelta {
        match self {
            Self::PasswordReset => TimeDelta::minutes(30),
            Self::EmailVerification => TimeDelta::hours(24),
        }
    }
}

/// A one-use secret: 256 bits as 43 characters of base64url (RFC 4648 §5). Never stored, never logged.
#[derive(Clone)]
pub struct OneUseSecret(SecretString);

/// The text cannot be a one-use secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a one-use secret")]
pub struct NotAOneUseSecret;

impl OneUseSecret {
    /// How many characters 256 bits take.
    pub const LENGTH: usize = 43;

    /// Parses a secret from a link.
    ///
    /// # Errors
    /// [`NotAOneUseSecret`] for a text of another length or alphabet.
    pub fn parse(text: &SecretString) -> Result<Self, NotAOneUseSecret> {
        let exposed = text.expose_secret();
        let well_formed = exposed.len() == Self::LENGTH
            && exposed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if well_formed { Ok(Self(text.clone())) } else { Err(NotAOneUseSecret) }
    }

    /// The 43 characters, for a link or a digest.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for OneUseSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// SHA-256 of a one-use secret: the only form that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneUseDigest(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_43_characters_of_base64url_are_a_secret() {
        let good = "AZaz09-_".repeat(6)[..43].to_owned();
        assert!(OneUseSecret::parse(&good.clone().into()).is_ok());
        for bad in ["", &good[..42], &format!("{good}A"), &format!("{}=", &good[..42]), &format!("{}+", &good[..42])] {
            assert_eq!(OneUseSecret::parse(&bad.to_owned().into()).err(), Some(NotAOneUseSecret), "{bad:?}");
        }
        assert!(OneUseSecret::parse(&format!("{}é", &good[..41]).into()).is_err(), "43 bytes, 42 characters");
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let text = "S".repeat(43);
        let secret = OneUseSecret::parse(&text.clone().into()).unwrap();
        assert!(!format!("{secret:?}").contains('S'));
        assert_eq!(secret.expose(), text);
    }

    #[test]
    fn no_secret_lives_longer_than_a_day_and_a_reset_an_hour() {
        assert!(Purpose::PasswordReset.lifetime() <= TimeDelta::hours(1));
        assert!(Purpose::EmailVerification.lifetime() <= TimeDelta::hours(24));
    }
}
