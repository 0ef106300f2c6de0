//! Takes requests for a new password (OWASP Forgot Password Cheat Sheet). The account is not looked up here: every
//! request writes one row, and is answered the same in the same time.

use crate::{
    domain::{email::EmailAddress, username::Username},
    services::{Unavailable, accounts::register::FieldError, audit::Event, outbox::Outbox},
    store::{outbox::OutboxEvent, users::Identifier},
};

/// Takes requests for a new password.
#[derive(Debug, Clone)]
pub struct RequestReset {
    /// The outbox that they are written to.
    pub outbox: Outbox,
}

/// How the request names the account.
#[derive(Debug, Default)]
pub struct ResetRequest<'a> {
    /// By its username; a name with an `@` is an email address, as at a login.
    pub username: Option<&'a str>,
    /// By its verified email address.
    pub email: Option<&'a str>,
}

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RequestResetError {
    /// It names no possible account.
    #[error("some fields cannot be taken")]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl RequestReset {
    /// Accepts a request. The email, if any, goes to the stored email address.
    pub async fn run(&self, request: &ResetRequest<'_>) -> Result<(), RequestResetError> {
        let identifier = identify(request).map_err(|error| RequestResetError::Invalid(vec![error]))?;
        self.outbox.write(&OutboxEvent::ResetRequested(identifier)).await.map_err(Unavailable::from)?;
        Event::done("reset_requested").record();
        Ok(())
    }
}

fn identify(request: &ResetRequest<'_>) -> Result<Identifier, FieldError> {
    let wrong = |field, why: &dyn ToString| FieldError { field, message: why.to_string() };
    let address = |field, text| EmailAddress::parse(text).map(Identifier::Email).map_err(|why| wrong(field, &why));
    match (request.username, request.email) {
        (Some(text), None) if text.contains('@') => address("username", text),
        (Some(text), None) => {
            Username::parse_existing(text).map(Identifier::Username).map_err(|why| wrong("username", &why))
        }
        (None, Some(text)) => address("email", text),
        (None, None) => Err(wrong("username", &"is required, or email in its place")),
        (Some(_), Some(_)) => Err(wrong("email", &"must not be there beside username")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(username: Option<&str>, email: Option<&str>) -> Result<Identifier, &'static str> {
        identify(&ResetRequest { username, email }).map_err(|error| error.field)
    }

    #[test]
    fn an_account_is_named_in_one_way() {
        assert!(matches!(named(Some("ada"), None), Ok(Identifier::Username(_))));
        assert!(matches!(named(None, Some("ada@example.org")), Ok(Identifier::Email(_))));
        assert!(matches!(named(Some("ada@example.org"), None), Ok(Identifier::Email(_))));
        assert_eq!(named(None, None), Err("username"));
        assert_eq!(named(Some("ada"), Some("ada@example.org")), Err("email"));
    }

    #[test]
    fn what_no_account_can_be_named_is_refused() {
        for text in ["", "a b", "ada@example.org,eve@example.org", "ada@example.org\r\nBcc: eve@example.org", "@"] {
            assert_eq!(named(Some(text), None), Err("username"), "{text:?}");
            assert_eq!(named(None, Some(text)), Err("email"), "{text:?}");
        }
        assert_eq!(named(None, Some("ada")), Err("email"));
    }
}
