//! The JSON API, one resource a file.

pub(super) mod email_verifications;
pub(super) mod password_resets;
pub(super) mod sessions;
pub(super) mod users;
