//! Authorization codes: by their digest, until some time after their use.

use sea_orm::entity::prelude::*;

/// A code that was given to a client (RFC 6749 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorization_code")]
pub struct Model {
    /// SHA-256 of the code, which is 256 random bits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub client_id: String,
    pub user_id: Uuid,
    /// The browser session that it was issued to.
    pub parent: Uuid,
    /// Empty where the request left it out.
    pub redirect_uri: String,
    /// BASE64URL(SHA-256(verifier)) (RFC 7636 §4.2); empty where the request had none.
    pub code_challenge: String,
    pub scope: String,
    /// The one resource that its tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// What its ID token says back (OIDC Core 3.1.2.1).
    pub nonce: Option<String>,
    pub expires_at: DateTimeUtc,
    pub used_at: Option<DateTimeUtc>,
    /// The session that it was exchanged for: a second use ends it.
    pub session_id: Option<Uuid>,
    /// SHA-256 of the pushed request that it answers, if there was one (RFC 9126 §4).
    pub reference: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
