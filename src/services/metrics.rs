//! The metrics, for Prometheus. They are passed as a value: there is no global registry.
//!
//! Labels come from fixed sets: routes, methods, audit event names. User input, names and client ids are never labels:
//! they are unbounded and private.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use crate::{
    crypto::{keys::ring::Keyring, password::hash::PasswordHasher},
    domain::clock::Clock,
    store::{self, Database, revocations::Revocations},
};

/// Histogram buckets for response times, in seconds: from a cached answer to the request time-out.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 25.0];

tokio::task_local! {
    /// The metrics that count the events of this task.
    static HERE: Metrics;
}

/// The metrics of one service. Clones share them; one is made for each request, so it is one pointer.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Metered>);

impl Deref for Metrics {
    type Target = Metered;

    fn deref(&self) -> &Metered {
        &self.0
    }
}

/// Every metric.
#[derive(Debug)]
pub struct Metered {
    /// Emails that the mail server accepted.
    pub mails_sent: Counter,
    /// Failed attempts to send an email, which will be retried.
    pub mails_failed: Counter,
    /// Emails that were given up.
    pub mails_dead: Counter,
    /// Emails that wait to be sent.
    pub outbox_waiting: Gauge,
    /// Emails that were given up and are kept.
    pub outbox_dead: Gauge,
    /// Logout notices that clients accepted.
    pub logout_notices_sent: Counter,
    /// Failed attempts to send a logout notice, which will be retried.
    pub logout_notices_failed: Counter,
    /// Logout notices that were given up.
    pub logout_notices_dead: Counter,
    /// Steps of very large ends that failed, and are tried again.
    pub session_ends_failed: Counter,
    /// Very large ends that were given up.
    pub session_ends_dead: Counter,
    /// Logout notices that wait to be sent.
    pub logout_notices_waiting: Gauge,
    /// 1 while the key folder is not valid, and the last valid keys stay in use.
    pub key_folder_refused: Gauge,
    /// 1 while the next key is due and cannot be written.
    pub key_rotation_refused: Gauge,
    log_lines_dropped: Counter,
    limit_refusals: Family<LimitClass, Counter>,
    open_connections: Gauge,
    refused_by_listener: Family<ListenerRefusal, Gauge>,
    key_ages: Family<KeyLabels, Gauge>,
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    events: Family<AuditEventLabels, Counter>,
    hashes_waiting: Gauge,
    hash_wait: Gauge<f64, std::sync::atomic::AtomicU64>,
    revocations_known: Gauge,
    revocations_age: Gauge<f64, std::sync::atomic::AtomicU64>,
    connections: Family<ConnectionState, Gauge>,
    registry: Registry,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitClass {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerRefusal {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    kid: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuditEventLabels {
    event: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionState {
    state: &'static str,
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// Counters at zero, of a service that started at `started`.
    #[must_use]
    pub fn new(started: DateTime<Utc>) -> Self {
        let mut all = Metered {
            mails_sent: Counter::default(),
            mails_failed: Counter::default(),
            mails_dead: Counter::default(),
            outbox_waiting: Gauge::default(),
            outbox_dead: Gauge::default(),
            logout_notices_sent: Counter::default(),
            logout_notices_failed: Counter::default(),
            logout_notices_dead: Counter::default(),
            session_ends_failed: Counter::default(),
            session_ends_dead: Counter::default(),
            logout_notices_waiting: Gauge::default(),
            key_folder_refused: Gauge::default(),
            key_rotation_refused: Gauge::default(),
            log_lines_dropped: Counter::default(),
            limit_refusals: Family::default(),
            open_connections: Gauge::default(),
            refused_by_listener: Family::default(),
            key_ages: Family::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            events: Family::default(),
            hashes_waiting: Gauge::default(),
            hash_wait: Gauge::default(),
            revocations_known: Gauge::default(),
            revocations_age: Gauge::default(),
            connections: Family::default(),
            registry: Registry::default(),
        };
        let start: Gauge = Gauge::default();
        start.set(started.timestamp());
        let mut root = Registry::default();
        root.register_with_unit("process_start_time", "When the process started, since 1970", Unit::Seconds, start);
        let signet = root.sub_registry_with_prefix("signet");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        signet.register("build", "What is running", build);
        signet.register("http_requests", "Requests answered", all.requests.clone());
        let duration = "http_request_duration";
        signet.register_with_unit(duration, "How long answers took", Unit::Seconds, all.durations.clone());
        signet.register("events", "What the audit log tells: logins, refreshes, reuse", all.events.clone());
        signet.register("password_hashes_waiting", "Passwords that wait for a worker", all.hashes_waiting.clone());
        let wait = "password_hash_wait";
        signet.register_with_unit(wait, "How long a password would wait now", Unit::Seconds, all.hash_wait.clone());
        let known = "Ended sessions, denied tokens and deleted clients that this process knows";
        signet.register("revocations_known", known, all.revocations_known.clone());
        let age = "How old this process's knowledge of revocations is";
        signet.register_with_unit("revocations_age", age, Unit::Seconds, all.revocations_age.clone());
        signet.register("database_connections", "Connections of the pool", all.connections.clone());
        signet.register("mails_sent", "Mails that the mail server took", all.mails_sent.clone());
        let failed = "Attempts to send a mail that failed and will be made again";
        signet.register("mails_failed", failed, all.mails_failed.clone());
        signet.register("mails_dead", "Mails that were given up", all.mails_dead.clone());
        signet.register("outbox_waiting", "Mails that wait to be sent", all.outbox_waiting.clone());
        signet.register("outbox_dead", "Mails that were given up and are kept", all.outbox_dead.clone());
        let told = "Logouts that clients were told of";
        signet.register("logout_notices_sent", told, all.logout_notices_sent.clone());
        let failed = "Attempts to tell a client of a logout that failed and will be made again";
        signet.register("logout_notices_failed", failed, all.logout_notices_failed.clone());
        let dead = "Logouts that a client was not told of, and will not be";
        signet.register("logout_notices_dead", dead, all.logout_notices_dead.clone());
        let failed = "Ends of very many sessions that failed, and are tried again";
        signet.register("session_ends_failed", failed, all.session_ends_failed.clone());
        let dead = "Ends of very many sessions that were given up";
        signet.register("session_ends_dead", dead, all.session_ends_dead.clone());
        let waiting = "Logouts that clients have yet to be told of";
        signet.register("logout_notices_waiting", waiting, all.logout_notices_waiting.clone());
        let refused = "1 while the key folder is not valid, and the keys read before stay in use";
        signet.register("key_folder_refused", refused, all.key_folder_refused.clone());
        let refused = "1 while the next signing key is due (key_rotation) and cannot be written";
        signet.register("key_rotation_refused", refused, all.key_rotation_refused.clone());
        let dropped = "Log lines that were dropped since nobody read them";
        signet.register("log_lines_dropped", dropped, all.log_lines_dropped.clone());
        let refused = "Requests and passwords that a rate limit refused, by limit";
        signet.register("rate_limit_refusals", refused, all.limit_refusals.clone());
        signet.register("connections", "Open connections of clients", all.open_connections.clone());
        let malformed =
            "Requests that were refused before they had a route: malformed (400), or too large a head (431)";
        signet.register("http_malformed_requests", malformed, all.refused_by_listener.clone());
        let age = "How long ago each key was published";
        signet.register_with_unit("key_age", age, Unit::Seconds, all.key_ages.clone());
        all.registry = root;
        Self(Arc::new(all))
    }

    /// Counts an answer. `route` is a pattern of ours, or `unknown`; a method that no route takes counts as `other`.
    pub fn answered(&self, route: &'static str, method: &str, status: u16, took: Duration) {
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
        let method = methods.into_iter().find(|known| *known == method).unwrap_or("other");
        self.durations.get_or_create(&Route { route }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { route, method, status }).inc();
    }

    /// Counts a refusal by the limit `class`.
    pub fn limit_refused(&self, class: &'static str) {
        self.limit_refusals.get_or_create(&LimitClass { class }).inc();
    }

    /// Runs `work`, and counts the events that it logs here.
    pub async fn counting<F: Future>(self, work: F) -> F::Output {
        HERE.scope(self, work).await
    }
}

/// Runs `work`, and counts the events that it logs in `metrics`, if there are any.
pub(in crate::services) async fn counting_in<F: Future>(metrics: Option<Metrics>, work: F) -> F::Output {
    match metrics {
        Some(metrics) => metrics.counting(work).await,
        None => work.await,
    }
}

/// The metrics of the present task; `None` in a task of no service, such as a command's.
pub(in crate::services) fn here() -> Option<Metrics> {
    HERE.try_with(Clone::clone).ok()
}

/// Counts an audit event in the metrics of this task, if it has any.
pub(in crate::services) fn event(event: &'static str, outcome: &'static str, reason: Option<&'static str>) {
    let label = AuditEventLabels { event, outcome, reason: reason.unwrap_or_default() };
    // A task outside of a service, such as a command's, counts nothing.
    let _ = HERE.try_with(|metrics| metrics.events.get_or_create(&label).inc());
}

/// How many lines the log has dropped.
pub type DroppedLines = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Counts a refusal by the limit `class` in the metrics of this task, if it has any.
pub(in crate::services) fn limit_refused(class: &'static str) {
    let _ = HERE.try_with(|metrics| metrics.limit_refused(class));
}

/// The parts of the service that are read when the metrics are scraped.
#[derive(Clone)]
pub struct MetricsSnapshot {
    pub metrics: Metrics,
    /// For the state of its connection pool.
    pub db: Database,
    /// For their number and age.
    pub revocations: Revocations,
    /// For the length of its queue.
    pub hasher: PasswordHasher,
    pub dropped: DroppedLines,
    /// For the ages of its keys.
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
    /// The listener's counters: open connections, and requests refused with 400 and with 431.
    pub listener: Arc<dyn Fn() -> [u64; 3] + Send + Sync>,
}

impl MetricsSnapshot {
    /// Everything, as OpenMetrics 1.0 text.
    ///
    /// # Errors
    /// Never in practice: text is always writable.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let Self { metrics, db, revocations, hasher, keyring, clock, listener, dropped } = self;
        metrics.log_lines_dropped.inner().store(dropped(), std::sync::atomic::Ordering::Relaxed);
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let [open, malformed, too_large] = listener();
        metrics.open_connections.set(gauge(open));
        for (status, count) in [(400, malformed), (431, too_large)] {
            metrics.refused_by_listener.get_or_create(&ListenerRefusal { status }).set(gauge(count));
        }
        metrics.key_ages.clear();
        let keys = keyring.current();
        let signing = keys.signing_keys().iter();
        let signing = signing.map(|held| (held.key.kid(), held.key.algorithm().as_str(), held.life.published));
        let secrets = keys.root_secrets().iter().map(|held| (held.key.kid(), "root", held.life.published));
        for (kid, kind, published) in signing.chain(secrets) {
            let labels = KeyLabels { kid: kid.to_owned(), kind };
            metrics.key_ages.get_or_create(&labels).set((clock.now() - published).num_seconds());
        }
        let (waiting, wait) = hasher.queue();
        metrics.hashes_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        metrics.hash_wait.set(wait.as_secs_f64());
        metrics.revocations_known.set(i64::try_from(revocations.known()).unwrap_or(i64::MAX));
        metrics.revocations_age.set(revocations.age().as_secs_f64());
        let (busy, idle) = store::connections(db);
        for (state, count) in [("busy", busy), ("idle", idle)] {
            metrics.connections.get_or_create(&ConnectionState { state }).set(i64::from(count));
        }
        let mut all = String::new();
        text::encode(&mut all, &metrics.registry)?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut all = String::new();
        text::encode(&mut all, &metrics.registry).unwrap();
        all
    }

    #[tokio::test]
    async fn events_are_counted_for_the_service_that_they_happen_in() {
        let (one, other) = (Metrics::new(DateTime::UNIX_EPOCH), Metrics::new(DateTime::UNIX_EPOCH));
        event("log_in", "done", None);
        one.clone().counting(async { event("log_in", "refused", Some("password")) }).await;
        let counted = "signet_events_total{event=\"log_in\",outcome=\"refused\",reason=\"password\"} 1\n";
        assert!(text(&one).contains(counted), "{}", text(&one));
        assert!(!text(&one).contains("done") && !text(&other).contains("signet_events_total{"));
    }

    #[test]
    fn a_method_of_somebodys_own_makes_no_label() {
        let metrics = Metrics::new(DateTime::UNIX_EPOCH);
        metrics.answered("unknown", "BREW", 405, Duration::from_millis(3));
        let text = text(&metrics);
        let counted = "signet_http_requests_total{route=\"unknown\",method=\"other\",status=\"405\"} 1\n";
        assert!(text.contains(counted) && !text.contains("BREW"), "{text}");
        assert!(
            text.contains("signet_http_request_duration_seconds_bucket{le=\"0.005\",route=\"unknown\"} 1\n"),
            "{text}"
        );
    }
}
