//! Email verification.

use poem_openapi::{Object, OpenApi, types::Example};
use serde::Deserialize;

use super::{password_resets::Accepted, users::Done};
use crate::{
    http::{
        errors::problem::{BearerOnly, ProblemFor, PublicWrite},
        extract::{
            bearer::BearerToken,
            body::JsonBody,
            lenient_string::{Fields, LenientString},
        },
    },
    services::{accounts::verify_email::VerifyEmail, sessions::bearer::Bearer},
};

/// Email verification.
pub(in crate::http) struct EmailVerificationsApi {
    pub(in crate::http) bearer: Bearer,
    pub(in crate::http) verify_email: VerifyEmail,
}

/// The token of a verification email.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "EmailVerification", example)]
struct EmailVerification {
    /// The token of the email's link; it is valid once, for 24 hours.
    #[serde(default)]
    token: LenientString,
}

impl Example for EmailVerification {
    fn example() -> Self {
        Self { token: LenientString::Given("jv3XqOT9Bn0pYk2LQmUeh4t5cGZsAa7dWfRiM1xKo8E".to_owned()) }
    }
}

/// Email verification.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::Users")]
impl EmailVerificationsApi {
    /// Ask for another verification email
    ///
    /// It goes to the address that is not verified yet, or is to replace the verified one. Tokens of earlier emails
    /// become invalid.
    #[oai(path = "/v1/email-verifications", method = "post", operation_id = "request_email_verification")]
    async fn request(&self, token: BearerToken) -> Result<Accepted, ProblemFor<BearerOnly>> {
        let caller = token.account(&self.bearer).await?;
        self.verify_email.ask(&caller).await?;
        Ok(Accepted::mail())
    }

    /// Verify an email address
    ///
    /// It needs no login: the email may be read elsewhere.
    #[oai(path = "/v1/email-verifications/complete", method = "post", operation_id = "complete_email_verification")]
    async fn complete(&self, body: JsonBody<EmailVerification>) -> Result<Done, ProblemFor<PublicWrite>> {
        let mut fields = Fields::default();
        let token = fields.required_secret("token", body.0.token);
        fields.finish()?;
        self.verify_email.complete(&token).await?;
        Ok(Done::NoContent)
    }
}
