//! Services that run beside the requests, and the metrics.

use std::{path::PathBuf, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;

use super::parts::Parts;
use crate::{
    app::{dynamic_client_algorithms, error::StartError},
    domain::{logout_notice::DEADLINE, mail_server::MailServer},
    outbound::{
        backchannel::Backchannel,
        email::mailer::{self, Mailer, MailerError},
    },
    services::{
        accounts::password_costs::PasswordCosts,
        background::{
            deliver_mail::DeliverMail, end_sessions::EndSessions, prune::Prune, resolve_mail::ResolveMail,
            run_jobs::RunJobs, tell_logout::TellLogout,
        },
        keys::{manage::ManageKeys, rotate::RotateKeys, watch::WatchKeys},
        metrics::{DroppedLines, MetricsSnapshot},
    },
};

impl Parts<'_> {
    pub(super) fn run_jobs(&self) -> Result<RunJobs, StartError> {
        Ok(RunJobs {
            db: self.core.db.clone(),
            deliver_mail: self.deliver_mail()?,
            tell_logout: self.tell_logout(),
            end_sessions: EndSessions {
                end_session: self.core.end_session.clone(),
                db: self.core.revocation_db.clone(),
                clock: self.core.clock.clone(),
            },
            random: self.core.random.clone(),
            awake: Arc::clone(&self.core.outbox.awake),
            metrics: self.metrics.clone(),
            clock: self.core.clock.clone(),
        })
    }

    fn deliver_mail(&self) -> Result<DeliverMail, StartError> {
        let limits = &self.core.config.rate_limits;
        let resolve = ResolveMail {
            db: self.core.db.clone(),
            keyring: Arc::clone(&self.keyring),
            clock: self.core.clock.clone(),
            issuer: self.core.issuer.clone(),
            limit: limits.enabled.then_some((limits.mail.count, limits.mail.per)),
        };
        Ok(DeliverMail { resolve, mailer: Arc::new(self.mailer()?), metrics: self.metrics.clone() })
    }

    fn mailer(&self) -> Result<Mailer, MailerError> {
        let config = self.core.config;
        let server = config.smtp_url.as_ref().map(|url| MailServer::parse(url.expose_secret())).transpose()?;
        Mailer::new(mailer::Settings {
            server,
            folder: self.outbox_folder(),
            from: config.mail_from.clone(),
            issuer: self.core.issuer.clone(),
            name: config.pages.name.clone(),
            color: config.pages.color,
            authorities: vec![],
            deadline: mailer::DEADLINE,
        })
    }

    /// The folder that receives emails while there is no mail server.
    fn outbox_folder(&self) -> PathBuf {
        self.core.config.data_dir.join("outbox")
    }

    pub(super) fn metrics_snapshot(&self, dropped: DroppedLines) -> MetricsSnapshot {
        MetricsSnapshot {
            metrics: self.metrics.clone(),
            db: self.core.db.clone(),
            revocations: self.core.changes.revocations.clone(),
            hasher: self.hasher.clone(),
            keyring: Arc::clone(&self.keyring),
            clock: self.core.clock.clone(),
            listener: Arc::new(|| [0; 3]),
            dropped,
        }
    }

    pub(super) fn watch_keys(&self) -> WatchKeys {
        WatchKeys {
            keyring: Arc::clone(&self.keyring),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// `None` where only the operator replaces keys.
    pub(super) fn rotate_keys(&self) -> Option<RotateKeys> {
        let config = self.core.config;
        Some(RotateKeys {
            every: config.key_rotation?,
            manage: ManageKeys {
                db: self.core.db.clone(),
                changes: self.core.changes.clone(),
                source: self.keyring.source().clone(),
                clock: self.core.clock.clone(),
            },
            keyring: Arc::clone(&self.keyring),
            algorithm: config.signing_algorithm,
            strangers: dynamic_client_algorithms(config),
            metrics: self.metrics.clone(),
        })
    }

    pub(super) fn password_costs(&self) -> PasswordCosts {
        PasswordCosts { db: self.core.db.clone(), hasher: self.hasher.clone() }
    }

    pub(super) fn prune(&self) -> Prune {
        Prune {
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            refresh_token_ttl: self.core.config.refresh_token_ttl,
            outbox_folder: self.outbox_folder(),
            status_indexes: self.status_indexes.clone(),
        }
    }

    fn tell_logout(&self) -> TellLogout {
        TellLogout {
            db: self.core.db.clone(),
            entities: self.core.changes.entities.clone(),
            jwt: Arc::clone(&self.jwt),
            backchannel: Backchannel::new(Duration::from_secs(DEADLINE)),
            random: self.core.random.clone(),
            metrics: self.metrics.clone(),
            clock: self.core.clock.clone(),
            issuer: self.core.issuer.clone(),
        }
    }
}
