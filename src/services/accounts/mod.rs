//! Accounts: registration, credentials, changes, recovery and deletion.

pub mod account;
pub mod authenticate;
pub mod change_password;
pub mod choose_password;
pub(in crate::services) mod delete;
pub mod password_costs;
pub mod register;
pub mod request_reset;
pub mod reset_password;
pub mod throttle;
pub mod verify_email;
