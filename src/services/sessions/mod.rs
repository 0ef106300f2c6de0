//! Sessions: how they begin and end, and the tokens that prove one is live.

pub mod bearer;
pub mod begin;
pub mod browser;
pub mod check;
pub mod end;
pub mod introspect;
pub mod list;
pub mod login;
pub mod logout;
pub mod revoke;
pub mod status_indexes;
pub mod status_lists;
pub mod userinfo;
