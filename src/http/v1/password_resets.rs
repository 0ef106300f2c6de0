//! Forgotten passwords.

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json, types::Example};
use serde::Deserialize;

use super::users::Done;
use crate::{
    http::{
        errors::problem::{ProblemFor, PublicWrite},
        extract::{
            body::JsonBody,
            lenient_string::{Fields, LenientString},
        },
    },
    services::accounts::{
        request_reset::{RequestReset, ResetRequest},
        reset_password::{LinkedProviders, ResetPassword},
    },
};

/// Forgotten passwords.
pub(in crate::http) struct PasswordResetsApi {
    pub(in crate::http) request_reset: RequestReset,
    pub(in crate::http) reset_password: ResetPassword,
}

/// The account whose password is forgotten.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "PasswordResetRequest", example)]
struct PasswordResetRequest {
    /// The username, or a verified email address.
    #[serde(default)]
    #[oai(default)]
    username: LenientString,
    /// A verified email address, in the place of `username`.
    #[serde(default)]
    #[oai(default)]
    email: LenientString,
}

impl Example for PasswordResetRequest {
    fn example() -> Self {
        Self { username: LenientString::Given("ada".to_owned()), email: LenientString::Missing }
    }
}

/// The token of the email, and the new password.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "PasswordReset", example)]
struct PasswordReset {
    /// The token of the email's link; it is good once, for 30 minutes.
    #[serde(default)]
    token: LenientString,
    /// The password to come, under the rules of registration.
    #[serde(default)]
    new_password: LenientString,
}

impl Example for PasswordReset {
    fn example() -> Self {
        Self {
            token: LenientString::Given("jv3XqOT9Bn0pYk2LQmUeh4t5cGZsAa7dWfRiM1xKo8E".to_owned()),
            new_password: LenientString::Given("staple and paper clip".to_owned()),
        }
    }
}

/// The request was accepted.
#[derive(Debug, Object)]
#[oai(rename = "Accepted", example)]
pub(in crate::http) struct AcceptedBody {
    /// A sentence for people, always the same.
    message: String,
}

impl Example for AcceptedBody {
    fn example() -> Self {
        Self { message: ON_ITS_WAY.to_owned() }
    }
}

const ON_ITS_WAY: &str = "If there is an address to write to, a mail is on its way.";

/// Accepted.
#[derive(ApiResponse)]
pub(in crate::http) enum Accepted {
    /// An email is on its way, if the account exists and has a verified email address.
    #[oai(status = 202)]
    Mail(Json<AcceptedBody>),
}

impl Accepted {
    /// The one answer.
    pub(in crate::http) fn mail() -> Self {
        Self::Mail(Json(AcceptedBody::example()))
    }
}

/// Forgotten passwords.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::Users")]
impl PasswordResetsApi {
    /// Ask for a new password
    ///
    /// The response does not reveal whether the account exists. The email goes to its verified email address alone.
    #[oai(path = "/v1/password-resets", method = "post", operation_id = "request_password_reset")]
    async fn request(&self, body: JsonBody<PasswordResetRequest>) -> Result<Accepted, ProblemFor<PublicWrite>> {
        let mut fields = Fields::default();
        let username = fields.optional("username", body.0.username);
        let email = fields.optional("email", body.0.email);
        fields.finish()?;
        self.request_reset.run(&ResetRequest { username: username.as_deref(), email: email.as_deref() }).await?;
        Ok(Accepted::mail())
    }

    /// Set a new password
    ///
    /// All sessions of the account end; nobody is logged in. A password that is refused does not use up the token.
    #[oai(path = "/v1/password-resets/complete", method = "post", operation_id = "complete_password_reset")]
    async fn complete(&self, body: JsonBody<PasswordReset>) -> Result<Done, ProblemFor<PublicWrite>> {
        let mut fields = Fields::default();
        let token = fields.required_secret("token", body.0.token);
        let new = fields.required_secret("new_password", body.0.new_password);
        fields.finish()?;
        self.reset_password.run(&token, &new, LinkedProviders::Stay).await?;
        Ok(Done::NoContent)
    }
}
