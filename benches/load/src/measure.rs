//! One whole run: the service, then the limits, then the peer.

use std::time::Duration;

use crate::{
    Failure, bare,
    client::{Connection, Requests},
    costs,
    drive::{self, Client, Measured, Workload},
    limits::{self, FixedServer},
    options::{Bare, Options, Peer, Row},
    peer::Running,
    postgres::{Cluster, Counters},
    process,
    report::{Figure, Report},
    seed,
    service::{Fixtures, Service},
    workloads::{FreshTokens, Plan, fixed},
};

/// Measures everything, and prints it.
pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let mut report = Report::new(options);
    let service = Service::start(options).await?;
    if let Some(cluster) = &service.cluster {
        progress(&format!("inserting {} accounts and sessions", options.sessions));
        seed::insert(cluster, options.sessions)?;
    }
    progress("making accounts");
    let fixtures = service.fixtures(options).await?;
    let authority = service.program.authority.clone();
    let mut plan =
        Plan { requests: Requests::to(&authority), fixtures, sessions: Vec::new(), fresh: FreshTokens::default() };
    for row in options.rows() {
        progress(row.title());
        plan.sessions = log_in(&service, &plan.fixtures).await?;
        let workload = |client| plan.workload(row, client).map(Some);
        // A warm-up would use the tokens up.
        let warm_up = if row == Row::UserinfoFirst { Duration::ZERO } else { options.warm_up() };
        let watched = Watched { service: service.program.id(), cluster: service.cluster.as_ref() };
        if row == Row::UserinfoFirst && plan.fresh.borrow().is_empty() {
            return Err("tokens at first sight come from refreshes: measure the row `refresh` too".into());
        }
        if let Some(figure) = measure(row.title(), &authority, options, warm_up, &watched, workload).await? {
            report.rows.push((row, figure));
        }
        if !options.no_limits {
            measure_limits(&mut report, row, options, &service).await?;
        }
    }
    if let Some(cluster) = &service.cluster {
        report.heap_only = Some(cluster.heap_only_share()?);
    }
    progress("counting statements and round trips");
    costs::count(&mut report, options, &service, &mut plan).await?;
    drop(service);
    if let Some(peer) = options.peer {
        measure_peer(&mut report, options, peer).await?;
    }
    report.print()?;
    let errors = report.errors();
    if errors.is_empty() { Ok(()) } else { Err(format!("{} errors, the first: {}", errors.len(), errors[0]).into()) }
}

/// What is watched while a row runs.
struct Watched<'a> {
    /// The process id of the server.
    service: u32,
    cluster: Option<&'a Cluster>,
}

impl Watched<'_> {
    fn counters(&self) -> Result<(f64, Option<Counters>), Failure> {
        let cluster = self.cluster.map(Cluster::counters).transpose()?;
        Ok((process::processor_seconds(self.service), cluster))
    }
}

/// Measures one row; none where there is no such workload.
async fn measure(
    title: &str,
    authority: &str,
    options: &Options,
    warm_up: Duration,
    watched: &Watched<'_>,
    workload: impl Fn(usize) -> Result<Option<Box<dyn Workload>>, Failure>,
) -> Result<Option<Figure>, Failure> {
    let mut clients = Vec::new();
    for client in 0..options.clients {
        let Some(workload) = workload(client)? else { return Ok(None) };
        clients.push(Client::of(authority, workload).await?);
    }
    let (clients, before) = drive::run(clients, authority, warm_up).await?;
    let (service, cluster) = watched.counters()?;
    let (_, measured) = drive::run(clients, authority, options.duration()).await?;
    let (service_after, cluster_after) = watched.counters()?;
    let per_request = |total: f64| total / requests(&measured);
    let cluster = cluster.zip(cluster_after);
    let mut errors = before.errors;
    errors.extend(measured.errors.iter().cloned());
    Ok(Some(Figure {
        title: title.to_owned(),
        per_second: measured.per_second(),
        p50: measured.percentile(500),
        p99: measured.percentile(990),
        p999: measured.percentile(999),
        service_ms: per_request((service_after - service) * 1000.0),
        postgres_ms: cluster.map(|(a, b)| per_request((b.processor_seconds - a.processor_seconds) * 1000.0)),
        costs: None,
        wal: cluster.map(|(a, b)| per_request(b.wal - a.wal)),
        resident: process::resident(watched.service),
        errors,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests needs no more than 52 bits")]
fn requests(measured: &Measured) -> f64 {
    measured.requests().max(1) as f64
}

/// Logs every account in. Each row gets sessions of its own: refresh tokens are used up, access tokens expire.
pub(crate) async fn log_in(service: &Service, fixtures: &Fixtures) -> Result<Vec<(String, String)>, Failure> {
    let mut sessions = Vec::new();
    for username in &fixtures.usernames {
        sessions.push(service.login(username).await?);
    }
    Ok(sessions)
}

/// Measures the limit of a row right after it: other load on the machine may change.
async fn measure_limits(report: &mut Report, row: Row, options: &Options, service: &Service) -> Result<(), Failure> {
    let short = options.duration() / 2;
    match (row, &service.cluster) {
        (Row::Login, _) => {
            progress("limit: argon2");
            report.limits.argon2_rust = limits::argon2_rust(short)?;
            report.limits.argon2 = limits::argon2(short)?;
        }
        (Row::Refresh, Some(cluster)) => {
            progress("limit: pgbench");
            let script = seed::refresh_script(options.sessions);
            report.limits.pgbench = Some(cluster.pgbench(&script, options.clients, options.duration())?);
        }
        (Row::ClientCredentials, _) => {
            progress("limit: signatures");
            report.limits.signatures = limits::signatures(short)?;
        }
        (Row::Jwks, _) => measure_servers(report, options, service).await?,
        _ => {}
    }
    Ok(())
}

/// Measures the servers with one fixed answer, which is the service's key set.
async fn measure_servers(report: &mut Report, options: &Options, service: &Service) -> Result<(), Failure> {
    let request = Requests::to(&service.program.authority).get(bare::PATH, None)?;
    let body = Connection::open(&service.program.authority).await?.send(request).await?.body;
    let servers = [
        ("bare poem handler", Some(FixedServer::bare(Bare::Poem, &body).await?)),
        ("bare hyper handler", Some(FixedServer::bare(Bare::Hyper, &body).await?)),
        ("static nginx", FixedServer::nginx(bare::PATH, &body).await?),
    ];
    for (title, server) in servers {
        let Some(server) = server else { continue };
        progress(&format!("limit: {title}"));
        let authority = &server.program.authority;
        let watched = Watched { service: server.program.id(), cluster: None };
        let requests = Requests::to(authority);
        let workload = |_| requests.get(bare::PATH, None).map(|get| Some(fixed(get, r#""keys":"#)));
        report.servers.extend(measure(title, authority, options, options.warm_up(), &watched, workload).await?);
    }
    Ok(())
}

async fn measure_peer(report: &mut Report, options: &Options, peer: Peer) -> Result<(), Failure> {
    for row in options.rows() {
        // A new one for each row: it forgets its oldest tokens, the ones that the next row would use.
        let running = Running::start(peer, options).await?;
        let (title, authority) = (format!("peer: {}", row.title()), &running.program.authority);
        progress(&title);
        let watched = Watched { service: running.program.id(), cluster: None };
        let workload = |client| running.workload(row, client);
        if let Some(figure) = measure(&title, authority, options, options.warm_up(), &watched, workload).await? {
            report.peer.push((row, figure));
        }
    }
    Ok(())
}

fn progress(what: &str) {
    eprintln!("==> {what}");
}
