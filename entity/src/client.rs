//! OAuth clients.

use sea_orm::entity::prelude::*;

/// A registered client (RFC 7591 §2).
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "client")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: String,
    /// SHA-256 of its secret, which is 256 random bits; none where it has no secret.
    pub secret_digest: Option<Vec<u8>>,
    pub authentication_method: String,
    /// JSON arrays, these and those below that are plural.
    pub grants: String,
    pub scope: String,
    pub audiences: String,
    pub resources: String,
    pub redirect_uris: String,
    pub post_logout_redirect_uris: String,
    pub backchannel_logout_uri: Option<String>,
    pub id_token_algorithm: Option<String>,
    /// A JWK set (RFC 7517 §5).
    pub jwks: Option<String>,
    pub first_party: bool,
    /// Whether it may ask for a code without PKCE.
    pub pkce_optional: bool,
    /// `web` or `native`; none where the operator registered it.
    pub application_type: Option<String>,
    /// SHA-256 of its registration access token, which is 256 random bits; none where it has no such token.
    pub registration_token_digest: Option<Vec<u8>>,
    /// When the document that describes it was fetched; none where it has none.
    pub document_fetched_at: Option<DateTimeUtc>,
    /// Until when the document is used without being fetched again; there is one where it was fetched.
    pub document_fresh_until: Option<DateTimeUtc>,
    /// Whether the operator refuses it.
    pub blocked: bool,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
