//! Services that run beside the requests, and the metrics.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;

use super::parts::Parts;
use crate::{
    app::error::StartError,
    domain::{logout_notice::DEADLINE, mail_server::MailServer},
    outbound::{
        backchannel::Backchannel,
        email::mailer::{self, Mailer, MailerError},
    },
    services::{
        background::{deliver_mail::DeliverMail, prune::Prune, resolve_mail::ResolveMail, tell_logout::TellLogout},
        keys::watch::WatchKeys,
        metrics::{DroppedLines, MetricsSnapshot},
    },
};

impl Parts<'_> {
    pub(super) fn deliver_mail(&self) -> Result<DeliverMail, StartError> {
        let limits = &self.core.config.rate_limits;
        let resolve = ResolveMail {
            db: self.core.db.clone(),
            keyring: Arc::clone(&self.keyring),
            clock: self.core.clock.clone(),
            issuer: self.core.issuer.clone(),
            limit: limits.enabled.then_some((limits.mail.count, limits.mail.per)),
        };
        Ok(DeliverMail {
            outbox: self.core.outbox.clone(),
            resolve,
            mailer: Arc::new(self.mailer()?),
            metrics: self.metrics.clone(),
        })
    }

    fn mailer(&self) -> Result<Mailer, MailerError> {
        let config = self.core.config;
        let server = config.smtp_url.as_ref().map(|url| MailServer::parse(url.expose_secret())).transpose()?;
        Mailer::new(mailer::Settings {
            server,
            folder: config.data_dir.join("outbox"),
            from: config.mail_from.clone(),
            issuer: self.core.issuer.clone(),
            name: config.pages.name.clone(),
            color: config.pages.color,
            authorities: vec![],
            deadline: mailer::DEADLINE,
        })
    }

    pub(super) fn metrics_snapshot(&self, dropped: DroppedLines) -> MetricsSnapshot {
        MetricsSnapshot {
            metrics: self.metrics.clone(),
            db: self.core.db.clone(),
            revocations: self.core.changes.revocations.clone(),
            hasher: self.hasher.clone(),
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

    pub(super) fn prune(&self) -> Prune {
        Prune {
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            refresh_token_ttl: self.core.config.refresh_token_ttl,
            status_indexes: self.status_indexes.clone(),
        }
    }

    pub(super) fn tell_logout(&self) -> TellLogout {
        TellLogout {
            db: self.core.db.clone(),
            entities: self.core.changes.entities.clone(),
            jwt: Arc::clone(&self.jwt),
            backchannel: Backchannel::new(Duration::from_secs(DEADLINE)),
            random: self.core.random.clone(),
            awake: self.core.end_session.awake.clone(),
            metrics: self.metrics.clone(),
            clock: self.core.clock.clone(),
            issuer: self.core.issuer.clone(),
        }
    }
}
