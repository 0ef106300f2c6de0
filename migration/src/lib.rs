//! The history of Signet's schema: one reversible step a file. It never imports the entities, since history must not
//! move with them.

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigrationStatus, MigratorTrait, SchemaManager};

mod m20261123_000001_users;
mod m20261123_000002_clients;
mod m20261123_000003_sessions;
mod m20261123_000004_key_records;
mod m20261123_000005_changes;
mod m20261123_000006_throttles;
mod m20261123_000007_outbox;
mod m20261123_000008_one_use_secrets;
mod m20261123_000009_browser_sessions;
mod m20261123_000010_authorization_codes;
mod m20261123_000011_consents;
mod m20261123_000012_identities;
mod m20261123_000013_federation_attempts;
mod m20261123_000014_client_registration;
mod m20261123_000015_logout_notices;
mod m20261128_000001_jobs;
mod m20261128_000011_session_children;
mod m20261128_000012_client_pkce;
mod m20261128_000013_code_references;
mod m20261128_000021_consent_resources;
mod m20261128_000022_secrets_consumed;
mod m20261128_000031_key_fingerprints;
mod m20261128_000032_write_probes;
mod m20261128_000041_throttle_account;
mod m20261128_000042_username_skeletons;
mod m20261128_000043_password_costs;
mod m20261128_000051_session_cutoffs;
mod m20261128_000061_client_documents;
mod m20261128_000071_revoked_keys;

/// Every step, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_users::Migration),
            Box::new(m20261123_000002_clients::Migration),
            Box::new(m20261123_000003_sessions::Migration),
            Box::new(m20261123_000004_key_records::Migration),
            Box::new(m20261123_000005_changes::Migration),
            Box::new(m20261123_000006_throttles::Migration),
            Box::new(m20261123_000007_outbox::Migration),
            Box::new(m20261123_000008_one_use_secrets::Migration),
            Box::new(m20261123_000009_browser_sessions::Migration),
            Box::new(m20261123_000010_authorization_codes::Migration),
            Box::new(m20261123_000011_consents::Migration),
            Box::new(m20261123_000012_identities::Migration),
            Box::new(m20261123_000013_federation_attempts::Migration),
            Box::new(m20261123_000014_client_registration::Migration),
            Box::new(m20261123_000015_logout_notices::Migration),
            Box::new(m20261128_000011_session_children::Migration),
            Box::new(m20261128_000012_client_pkce::Migration),
            Box::new(m20261128_000013_code_references::Migration),
            Box::new(m20261128_000031_key_fingerprints::Migration),
            Box::new(m20261128_000032_write_probes::Migration),
            Box::new(m20261128_000001_jobs::Migration),
            Box::new(m20261128_000041_throttle_account::Migration),
            Box::new(m20261128_000042_username_skeletons::Migration),
            Box::new(m20261128_000043_password_costs::Migration),
            Box::new(m20261128_000021_consent_resources::Migration),
            Box::new(m20261128_000022_secrets_consumed::Migration),
            Box::new(m20261128_000061_client_documents::Migration),
            Box::new(m20261128_000051_session_cutoffs::Migration),
            Box::new(m20261128_000071_revoked_keys::Migration),
        ]
    }
}
