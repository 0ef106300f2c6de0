//! The parts of the crate that integration tests and fuzz targets reach; nothing else is public but [`crate::cli`].

pub use crate::{
    app::Signet,
    config::{Config, KEYS, PROVIDER_KEYS, Sources},
    crypto::{digest, random::Random},
    domain::{
        clock::{Clock, SystemClock},
        color::Color,
        email::EmailAddress,
        mail::{Email, Message},
        mail_server::MailServer,
    },
    outbound::{client_document::DocumentNetwork, email::mailer},
    services::{
        accounts::verify_email::VerifyEmail, background::prune::Prune, change_feed::ChangeFeed, outbox::Outbox,
        sessions::status_indexes::StatusIndexes,
    },
    store::{Database, entity_cache::EntityCache, refused_names::RefusedNames, revocations::Revocations, schema},
};

/// The properties that fuzz targets hold for every input.
#[cfg(fuzzing)]
pub mod properties {
    pub use crate::{
        config::properties as config, crypto::properties as crypto, domain::properties as domain,
        http::properties as http,
    };
}
