//! The rooms, introduced to one another.

mod browser;

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::TimeDelta;

use secrecy::ExposeSecret as _;

use self::browser::Browser;
use super::StartError;
use crate::{
    config::{ClientRegistration, Config, RateLimit, RegistrationMode},
    crypto::{
        jose::jwt::Jwt,
        keys::ring::Keyring,
        password::hash::{self, HashParameters, PasswordHasher},
        random::Random,
    },
    domain::{
        clock::Clock,
        logout_notice::DEADLINE,
        mail_server::MailServer,
        password_policy::PasswordPolicy,
        rate_limit::{Quota, RouteClass},
        session::Lifetimes,
        throttle::ThrottleRule,
    },
    http::{HttpConfig, Services},
    outbound::{
        backchannel::Backchannel,
        email::mailer::{self, Mailer, MailerError},
    },
    services::{
        accounts::{
            account::Account, authenticate::Authenticate, change_password::ChangePassword,
            choose_password::ChoosePassword, register::Register, request_reset::RequestReset,
            reset_password::ResetPassword, throttle::Throttle, verify_email::VerifyEmail,
        },
        admin::accounts::Administer,
        audit::RequestIds,
        background::{deliver_mail::DeliverMail, prune::Prune, resolve_mail::ResolveMail, tell_logout::TellLogout},
        change_feed::ChangeFeed,
        clients::{
            Clients,
            register::{RegisterClient, RegistrationPolicy},
        },
        csrf::Csrf,
        grants::{client_credentials::ClientCredentials, refresh::Refresh, token_issuer::TokenIssuer},
        keys::published::PublishedKeys,
        metrics::{Metrics, MetricsSnapshot},
        outbox::Outbox,
        rate_limit::Limit,
        readiness::Readiness,
        sealed::Sealer,
        sessions::{
            bearer::Bearer,
            begin::BeginSession,
            end::EndSession,
            introspect::Introspect,
            list::Sessions,
            login::LogIn,
            revoke::Revoke,
            status_indexes::StatusPlaces,
            status_lists::{StatusListCache, StatusLists},
            userinfo::Userinfo,
        },
    },
    store::{Database, entity_cache::EntityCache, revocations::Revocations, throttles::RefusedNames},
};

/// What a service runs.
pub(super) struct Components {
    /// What requests run.
    pub(super) flows: Services,
    /// What else the routes need.
    pub(super) setting: HttpConfig,
    /// What it knows of changes.
    pub(super) changes: ChangeFeed,
    /// What tidies up.
    pub(super) prune: Prune,
    /// What the metrics are made of.
    pub(super) watch: MetricsSnapshot,
    /// What sends mail.
    pub(super) deliver_mail: DeliverMail,
    /// What tells clients of log-outs.
    pub(super) tell_logout: TellLogout,
}

/// Introduces the rooms to one another, for a service that listens on `address`.
pub(super) fn wire(
    config: &Config,
    address: SocketAddr,
    db: Database,
    keyring: Arc<Keyring>,
    clock: &Arc<dyn Clock>,
) -> Result<Components, StartError> {
    let issuer = issuer(config, address);
    let random = Random;
    let places = StatusPlaces::new(random.clone());
    let jwt = Arc::new(Jwt::new(Arc::clone(&keyring), issuer.clone(), config.signing_algorithm));
    let hasher = hasher(config, config.password.workers)?;
    let changes = changes(&db, clock);
    let ChangeFeed { revocations, remembered, .. } = changes.clone();
    let watch = watch(&changes, &hasher);
    let clients = clients(&changes, &issuer);
    let end_session = clients.end_session.clone();
    let issue = issue(config, &issuer, &jwt);
    let throttle = throttle(config, &db, &keyring, clock);
    let authenticate = Authenticate { db: db.clone(), hasher: hasher.clone(), throttle: throttle.clone() };
    let choose_password = choose_password(config, hasher, config.password.workers);
    let tell_logout = tell_logout(&end_session, &jwt, &watch.metrics, &issuer);
    let bearer = bearer(&changes, &issuer, &jwt);
    let deliver_mail = deliver_mail(config, mailer(config, &issuer)?, &watch.metrics, &changes, &keyring, &issuer);
    let outbox = deliver_mail.outbox.clone();
    let begin_session =
        BeginSession { db: db.clone(), random: random.clone(), places: places.clone(), clock: clock.clone() };
    let browser = Browser {
        config,
        issuer: &issuer,
        jwt: &jwt,
        issue: &issue,
        authenticate: &authenticate,
        begin_session: &begin_session,
        end_session: &end_session,
        changes: &changes,
        outbox: &outbox,
        sealer: Sealer { keyring: Arc::clone(&keyring), clock: clock.clone() },
    };
    let providers = Arc::new(browser.providers()?);
    let flows = Services {
        authorize: browser.authorize(),
        browser_sessions: browser.browser_sessions(),
        consents: browser.consents(),
        federate: browser.federate(&providers),
        identities: browser.identities(providers),
        log_out: browser.log_out(),
        redeem_code: browser.redeem_code(),
        account: Account {
            db: db.clone(),
            authenticate: authenticate.clone(),
            end_session: end_session.clone(),
            outbox: outbox.clone(),
            clock: clock.clone(),
        },
        change_password: ChangePassword {
            authenticate: authenticate.clone(),
            choose_password: choose_password.clone(),
            end_session: end_session.clone(),
            outbox: outbox.clone(),
            db: db.clone(),
        },
        client_credentials: ClientCredentials { issue: issue.clone(), clock: clock.clone() },
        clients: clients.clone(),
        introspect: Introspect { bearer: bearer.clone(), jwt: Arc::clone(&jwt), db: db.clone(), clock: clock.clone() },
        log_in: LogIn {
            authenticate,
            issue: issue.clone(),
            begin_session: begin_session.clone(),
            clock: clock.clone(),
        },
        refresh: refresh(&changes, &end_session, &jwt, issue),
        register: register(config, &changes, &choose_password, &outbox),
        register_client: register_client(config, &clients),
        request_reset: RequestReset { outbox: outbox.clone() },
        reset_password: ResetPassword {
            db: db.clone(),
            choose_password,
            end_session: end_session.clone(),
            throttle,
            outbox: outbox.clone(),
            clock: clock.clone(),
        },
        revoke: Revoke {
            jwt: Arc::clone(&jwt),
            end_session: end_session.clone(),
            changes: changes.clone(),
            db: db.clone(),
            clock: clock.clone(),
        },
        sessions: Sessions { db: db.clone(), remembered: remembered.clone(), end_session, clock: clock.clone() },
        status_lists: StatusLists {
            jwt,
            revocations: revocations.clone(),
            db: db.clone(),
            clock: clock.clone(),
            issuer: issuer.clone(),
            built: StatusListCache::default(),
        },
        userinfo: Userinfo { bearer: bearer.clone(), remembered, db: db.clone() },
        verify_email: VerifyEmail { db: db.clone(), changes: changes.clone(), outbox, clock: clock.clone() },
        bearer,
    };
    let prune = Prune { db: db.clone(), clock: clock.clone(), refresh_token_ttl: config.refresh_token_ttl, places };
    let readiness = Readiness { db, revocations };
    let setting = setting(config, issuer, keyring, readiness, watch.metrics.clone(), clock);
    Ok(Components { flows, setting, changes, prune, watch, deliver_mail, tell_logout })
}

/// What else the routes need.
fn setting(
    config: &Config,
    issuer: String,
    keyring: Arc<Keyring>,
    readiness: Readiness,
    metrics: Metrics,
    clock: &Arc<dyn Clock>,
) -> HttpConfig {
    let https = config.tls.is_some() || issuer.starts_with("https://");
    HttpConfig {
        issuer,
        algorithm: config.signing_algorithm,
        limit: limit(config, clock),
        csrf: Csrf { keyring: Arc::clone(&keyring), random: Random, clock: Arc::clone(clock) },
        published_keys: PublishedKeys { keyring, clock: Arc::clone(clock) },
        readiness,
        request_ids: RequestIds(Random),
        metrics,
        name: config.pages.name.clone(),
        color: config.pages.color,
        https,
        trusted_proxies: config.trusted_proxies.clone(),
        cors_origins: config.cors_origins.clone(),
    }
}

/// What issues tokens.
fn issue(config: &Config, issuer: &str, jwt: &Arc<Jwt>) -> TokenIssuer {
    TokenIssuer {
        jwt: Arc::clone(jwt),
        random: Random,
        audience: config.audience.clone().unwrap_or_else(|| issuer.to_owned()),
        issuer: issuer.to_owned(),
        lifetimes: lifetimes(config),
    }
}

/// What refreshes sessions.
fn refresh(changes: &ChangeFeed, end_session: &EndSession, jwt: &Arc<Jwt>, issue: TokenIssuer) -> Refresh {
    let ChangeFeed { db, remembered, clock, .. } = changes.clone();
    Refresh { jwt: Arc::clone(jwt), issue, end_session: end_session.clone(), remembered, db, clock }
}

/// What registers people.
fn register(config: &Config, changes: &ChangeFeed, choose_password: &ChoosePassword, outbox: &Outbox) -> Register {
    Register {
        db: changes.db.clone(),
        choose_password: choose_password.clone(),
        changes: changes.clone(),
        outbox: outbox.clone(),
        random: Random,
        clock: changes.clock.clone(),
        open: config.registration == RegistrationMode::Open,
    }
}

/// What takes access tokens.
fn bearer(changes: &ChangeFeed, issuer: &str, jwt: &Arc<Jwt>) -> Bearer {
    let ChangeFeed { db, revocations, remembered, clock } = changes.clone();
    Bearer { jwt: Arc::clone(jwt), revocations, remembered, db, clock, issuer: issuer.to_owned() }
}

/// The outbox and what sends it.
fn deliver_mail(
    config: &Config,
    mailer: Mailer,
    metrics: &Metrics,
    changes: &ChangeFeed,
    keyring: &Arc<Keyring>,
    issuer: &str,
) -> DeliverMail {
    let (db, clock, limits) = (&changes.db, &changes.clock, &config.rate_limits);
    let resolve = ResolveMail {
        db: db.clone(),
        keyring: Arc::clone(keyring),
        clock: Arc::clone(clock),
        issuer: issuer.to_owned(),
        limit: limits.enabled.then_some((limits.mail.count, limits.mail.per)),
    };
    let outbox = Outbox { db: db.clone(), random: Random, clock: Arc::clone(clock), awake: Arc::default() };
    DeliverMail { outbox, resolve, mailer: Arc::new(mailer), metrics: metrics.clone() }
}

/// What tells clients of log-outs.
fn tell_logout(end_session: &EndSession, jwt: &Arc<Jwt>, metrics: &Metrics, issuer: &str) -> TellLogout {
    let EndSession { changes: ChangeFeed { db, remembered, .. }, awake, clock, .. } = end_session.clone();
    TellLogout {
        db,
        remembered,
        jwt: Arc::clone(jwt),
        backchannel: Backchannel::new(Duration::from_secs(DEADLINE)),
        random: Random,
        awake,
        metrics: metrics.clone(),
        clock,
        issuer: issuer.to_owned(),
    }
}

/// What sends letters.
fn mailer(config: &Config, issuer: &str) -> Result<Mailer, MailerError> {
    let server = config.smtp_url.as_ref().map(|url| MailServer::parse(url.expose_secret())).transpose()?;
    Mailer::new(mailer::Settings {
        server,
        folder: config.data_dir.join("outbox"),
        from: config.mail_from.clone(),
        issuer: issuer.to_owned(),
        name: config.pages.name.clone(),
        color: config.pages.color,
        authorities: vec![],
        deadline: mailer::DEADLINE,
    })
}

/// What the metrics are made of: counters at zero, and what is looked at.
fn watch(changes: &ChangeFeed, hasher: &PasswordHasher) -> MetricsSnapshot {
    let ChangeFeed { db, revocations, clock, .. } = changes.clone();
    MetricsSnapshot { metrics: Metrics::new(clock.now()), db, revocations, hasher: hasher.clone() }
}

/// What a process knows of changes: nothing yet.
pub(super) fn changes(db: &Database, clock: &Arc<dyn Clock>) -> ChangeFeed {
    let (revocations, remembered) = (Revocations::default(), EntityCache::default());
    ChangeFeed { db: db.clone(), revocations, remembered, clock: Arc::clone(clock) }
}

/// The registered clients.
pub(super) fn clients(changes: &ChangeFeed, issuer: &str) -> Clients {
    let ChangeFeed { db, remembered, clock, .. } = changes.clone();
    let awake = Arc::default();
    let end_session = EndSession { db: db.clone(), changes: changes.clone(), awake, clock: Arc::clone(&clock) };
    Clients { db, end_session, remembered, issuer: issuer.to_owned(), random: Random, clock }
}

/// What lets clients register themselves, as far as it does.
fn register_client(config: &Config, clients: &Clients) -> RegisterClient {
    let admission = match (config.client_registration, &config.client_registration_token) {
        (ClientRegistration::Off, _) => RegistrationPolicy::Off,
        (ClientRegistration::Open, Some(token)) => RegistrationPolicy::Holders(token.clone()),
        (ClientRegistration::Open, None) => RegistrationPolicy::Anybody,
    };
    RegisterClient { clients: clients.clone(), admission }
}

/// `iss`; it follows from `address` where none is configured.
pub(super) fn issuer(config: &Config, address: SocketAddr) -> String {
    config.issuer.clone().unwrap_or_else(|| format!("http://{address}"))
}

fn throttle(config: &Config, db: &Database, keyring: &Arc<Keyring>, clock: &Arc<dyn Clock>) -> Throttle {
    let limit = config.rate_limits.account;
    let per = TimeDelta::from_std(limit.per).unwrap_or(TimeDelta::days(1));
    Throttle {
        rule: config.rate_limits.enabled.then(|| ThrottleRule::new(limit.count, per)),
        db: db.clone(),
        refused: RefusedNames::default(),
        keyring: Arc::clone(keyring),
        random: Random,
        clock: Arc::clone(clock),
    }
}

fn lifetimes(config: &Config) -> Lifetimes {
    Lifetimes {
        access_token: config.access_token_ttl,
        refresh_token: config.refresh_token_ttl,
        session: config.session_ttl,
        grace: config.refresh_grace,
    }
}

/// Accounts in the operator's hand. A command hashes one password, if any.
pub(super) fn administer(config: &Config, clients: &Clients) -> Result<Administer, StartError> {
    let Clients { db, end_session, random, clock, .. } = clients.clone();
    let choose_password = choose_password(config, hasher(config, 1)?, 1);
    let outbox = Outbox { db: db.clone(), random: random.clone(), clock: clock.clone(), awake: Arc::default() };
    Ok(Administer { db, choose_password, end_session, outbox, random, clock })
}

fn choose_password(config: &Config, hasher: PasswordHasher, turns: usize) -> ChoosePassword {
    let policy = PasswordPolicy { min_length: config.password.min_length };
    ChoosePassword::new(hasher, policy, turns, config.password.max_wait)
}

fn hasher(config: &Config, workers: usize) -> Result<PasswordHasher, hash::StartError> {
    let parameters = HashParameters {
        memory_kib: config.password.memory_kib,
        iterations: config.password.iterations,
        parallelism: config.password.parallelism,
    };
    PasswordHasher::start(parameters, workers, config.password.max_wait)
}

/// One address may be that of a whole office, so its network may cause so many times the mails of one account.
/// (Ten is not zero: this is computed when it is compiled.)
const ACCOUNTS_OF_A_NETWORK: NonZeroU32 = NonZeroU32::new(10).unwrap();

fn limit(config: &Config, clock: &Arc<dyn Clock>) -> Limit {
    let limits = &config.rate_limits;
    if !limits.enabled {
        return Limit::default();
    }
    // The configuration takes no count below one.
    let quota =
        |limit: RateLimit| Quota { count: NonZeroU32::new(limit.count).unwrap_or(NonZeroU32::MIN), per: limit.per };
    let quotas = [
        (RouteClass::Token, quota(limits.token)),
        (RouteClass::Registration, quota(limits.registration)),
        (RouteClass::Availability, quota(limits.availability)),
        (RouteClass::Mail, quota(limits.mail).times(ACCOUNTS_OF_A_NETWORK)),
        (RouteClass::Pages, quota(limits.pages)),
    ];
    Limit::new(quotas, clock)
}
