//! The endpoints of OAuth 2 and OpenID Connect, one a file.

pub(super) mod check;
pub(super) mod introspect;
pub(super) mod jwks;
pub(super) mod metadata;
pub(super) mod par;
pub(super) mod register;
pub(super) mod revoke;
pub(super) mod status_lists;
pub(super) mod token;
pub(super) mod userinfo;
