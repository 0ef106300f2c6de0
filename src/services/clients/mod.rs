//! Registered OAuth clients, and their authentication (RFC 6749 §2.3).

mod authenticate;
pub mod documents;
mod names;
pub mod register;
mod registry;

pub use self::{
    authenticate::{ClientCredential, ClientError},
    registry::{Clients, Registered, RegistrationError},
};
