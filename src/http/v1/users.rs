//! Accounts.

use chrono::DateTime;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json, types::Example};
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    domain::user::User,
    http::{
        errors::problem::{AccountCreation, BearerWithBody, ProblemFor, PublicRead},
        extract::{
            bearer::BearerToken,
            body::JsonBody,
            lenient_string::{Fields, LenientString},
        },
        middleware::rate_limit::MailQuota,
        openapi::{date::Date, docs::EXAMPLE_ID},
    },
    services::{
        accounts::{
            account::{Account, ProfileChange},
            change_password::ChangePassword,
            register::{NewAccount, Register},
        },
        sessions::bearer::Bearer,
    },
};

/// Accounts.
pub(in crate::http) struct UsersApi {
    pub(in crate::http) bearer: Bearer,
    pub(in crate::http) register: Register,
    pub(in crate::http) account: Account,
    pub(in crate::http) change_password: ChangePassword,
}

/// A new account.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "NewUser", example)]
struct NewUser {
    /// Its name: 1 to 64 letters, digits, `.`, `_` and `-` of one script; letter case makes no difference.
    #[serde(default)]
    username: LenientString,
    /// A password of at least 8 characters (or as configured) and at most 1024 bytes, none of the commonest.
    #[serde(default)]
    password: LenientString,
    /// An email address; it starts unverified.
    #[serde(default)]
    #[oai(default)]
    email: LenientString,
}

impl Example for NewUser {
    fn example() -> Self {
        Self {
            username: LenientString::Given("ada".to_owned()),
            password: LenientString::Given("correct horse battery".to_owned()),
            email: LenientString::Given("ada@example.com".to_owned()),
        }
    }
}

/// An account.
#[derive(Debug, Object)]
#[oai(rename = "User", example)]
struct UserBody {
    /// The `sub` of its tokens.
    id: uuid::Uuid,
    /// Its name, as it was written.
    username: String,
    /// Its email address, or `null`.
    email: Option<String>,
    /// Whether its owner proved the address.
    email_verified: bool,
    /// When it was registered.
    created_at: Date,
}

impl Example for UserBody {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            username: "ada".to_owned(),
            email: Some("ada@example.com".to_owned()),
            email_verified: false,
            created_at: Date(DateTime::UNIX_EPOCH),
        }
    }
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            username: user.username.as_written().to_owned(),
            email: user.email.map(|email| email.as_str().to_owned()),
            email_verified: user.email_verified,
            created_at: Date(user.created_at),
        }
    }
}

/// Whether a name is free.
#[derive(Debug, Object)]
#[oai(rename = "Availability", example)]
struct Availability {
    /// The name, as it was asked.
    username: String,
    /// Whether no account has it now.
    available: bool,
}

impl Example for Availability {
    fn example() -> Self {
        Self { username: "ada".to_owned(), available: false }
    }
}

/// Changes to an account; a member that is left out stays.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "UserChange", example)]
struct UserChange {
    /// Its new name.
    #[serde(default)]
    #[oai(default)]
    username: LenientString,
    /// Its new email address; takes `current_password`.
    #[serde(default)]
    #[oai(default)]
    email: LenientString,
    /// The current password.
    #[serde(default)]
    #[oai(default)]
    current_password: LenientString,
}

impl Example for UserChange {
    fn example() -> Self {
        Self {
            username: LenientString::Given("countess".to_owned()),
            email: LenientString::Given("countess@example.com".to_owned()),
            current_password: LenientString::Given("correct horse battery".to_owned()),
        }
    }
}

/// The proof that deleting an account needs.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "UserDeletion", example)]
struct UserDeletion {
    /// The password; an account that has none shows a login of at most five minutes ago instead.
    #[serde(default)]
    #[oai(default)]
    password: LenientString,
}

impl Example for UserDeletion {
    fn example() -> Self {
        Self { password: LenientString::Given("correct horse battery".to_owned()) }
    }
}

/// A password change.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "PasswordChange", example)]
struct PasswordChange {
    /// The current password.
    #[serde(default)]
    current_password: LenientString,
    /// The new password, under the rules of registration.
    #[serde(default)]
    new_password: LenientString,
}

impl Example for PasswordChange {
    fn example() -> Self {
        Self {
            current_password: LenientString::Given("correct horse battery".to_owned()),
            new_password: LenientString::Given("staple and paper clip".to_owned()),
        }
    }
}

/// A new account.
#[derive(ApiResponse)]
enum Created {
    /// The account.
    #[oai(status = 201)]
    User(Json<UserBody>, #[oai(header = "Location")] String),
}

/// Done.
#[derive(ApiResponse)]
pub(in crate::http) enum Done {
    /// Done; the response is empty.
    #[oai(status = 204)]
    NoContent,
}

/// Accounts.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::Users")]
impl UsersApi {
    /// Register an account
    ///
    /// An email address that another account has verified answers the same as a free one.
    #[oai(path = "/v1/users", method = "post", operation_id = "create_user")]
    async fn create(&self, mails: MailQuota, body: JsonBody<NewUser>) -> Result<Created, ProblemFor<AccountCreation>> {
        let mut fields = Fields::default();
        let username = fields.required("username", body.0.username);
        let password = fields.required_secret("password", body.0.password);
        let email = fields.optional("email", body.0.email);
        fields.finish()?;
        if email.is_some() {
            mails.count()?;
        }
        let registration = NewAccount { username: &username, password: &password, email: email.as_deref() };
        let registered = self.register.run(&registration).await?;
        Ok(Created::User(Json(registered.user.into()), "/v1/users/me".to_owned()))
    }

    /// Ask whether a username is free
    #[oai(path = "/v1/users/availability", method = "get", operation_id = "username_availability")]
    async fn availability(
        &self,
        /// The name.
        username: Query<Option<String>>,
    ) -> Result<Json<Availability>, ProblemFor<PublicRead>> {
        let mut fields = Fields::default();
        let username = fields.required("username", username.0.map_or(LenientString::Missing, LenientString::Given));
        fields.finish()?;
        let available = self.account.is_available(&username).await?;
        Ok(Json(Availability { username, available }))
    }

    /// Show the account
    #[oai(path = "/v1/users/me", method = "get", operation_id = "show_user")]
    async fn show(
        &self,
        token: BearerToken,
    ) -> Result<Json<UserBody>, ProblemFor<crate::http::errors::problem::BearerOnly>> {
        let caller = token.account(&self.bearer).await?;
        Ok(Json(self.account.show(&caller).await?.into()))
    }

    /// Change the account
    #[oai(path = "/v1/users/me", method = "patch", operation_id = "change_user")]
    async fn change(
        &self,
        token: BearerToken,
        mails: MailQuota,
        body: JsonBody<UserChange>,
    ) -> Result<Json<UserBody>, ProblemFor<BearerWithBody>> {
        let caller = token.account(&self.bearer).await?;
        let mut fields = Fields::default();
        let username = fields.optional("username", body.0.username);
        let email = fields.optional("email", body.0.email);
        let current_password: Option<SecretString> =
            fields.optional("current_password", body.0.current_password).map(Into::into);
        fields.finish()?;
        if email.is_some() {
            mails.count()?;
        }
        let change = ProfileChange {
            username: username.as_deref(),
            email: email.as_deref(),
            current_password: current_password.as_ref(),
        };
        Ok(Json(self.account.change(&caller, &change).await?.into()))
    }

    /// Delete the account
    ///
    /// All its sessions end.
    #[oai(path = "/v1/users/me", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        token: BearerToken,
        body: JsonBody<UserDeletion>,
    ) -> Result<Done, ProblemFor<BearerWithBody>> {
        let caller = token.account(&self.bearer).await?;
        let mut fields = Fields::default();
        let password: Option<SecretString> = fields.optional("password", body.0.password).map(Into::into);
        fields.finish()?;
        self.account.delete(&caller, password.as_ref()).await?;
        Ok(Done::NoContent)
    }

    /// Change the password
    ///
    /// Every other session of the account ends.
    #[oai(path = "/v1/users/me/password", method = "put", operation_id = "change_password")]
    async fn password(
        &self,
        token: BearerToken,
        body: JsonBody<PasswordChange>,
    ) -> Result<Done, ProblemFor<BearerWithBody>> {
        let caller = token.account(&self.bearer).await?;
        let mut fields = Fields::default();
        let current = fields.required_secret("current_password", body.0.current_password);
        let new = fields.required_secret("new_password", body.0.new_password);
        fields.finish()?;
        self.change_password.run(&caller, &current, &new).await?;
        Ok(Done::NoContent)
    }
}
