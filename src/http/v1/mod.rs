//! The JSON API, one resource a file.

pub(super) mod sessions;
pub(super) mod users;
