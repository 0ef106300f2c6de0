//! The statements and round trips of a request, counted at a second replica behind a proxy that reads the protocol.
//!
//! The measured replica has no such proxy, and PostgreSQL no `pg_stat_statements`: both would cost what is measured.

use crate::{
    Failure,
    client::{Connection, Requests},
    counting_proxy::{CountingProxy, RoundTrip},
    measure::log_in,
    options::{Options, Row},
    report::Report,
    service::Service,
    workloads::Plan,
};

/// Requests that are counted of each kind, after as many that are not.
const REQUESTS: usize = 50;

/// What a request costs, on average. The replica's regular queries, some two a second, are not in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) statements: f64,
    pub(crate) round_trips: f64,
}

/// Counts every row of the report.
pub(crate) async fn count(
    report: &mut Report,
    options: &Options,
    service: &Service,
    plan: &mut Plan,
) -> Result<(), Failure> {
    let Some(cluster) = &service.cluster else { return Ok(()) };
    let proxy = CountingProxy::before(cluster.port).await?;
    let (replica, ready) = service.replica(options, proxy.port).await?;
    report.ready = Some(ready);
    plan.requests = Requests::to(&replica.authority);
    plan.fresh.borrow_mut().clear();
    for (row, figure) in &mut report.rows {
        plan.sessions = log_in(service, &plan.fixtures).await?;
        figure.costs = Some(count_row(*row, plan, &replica.authority, &proxy).await?);
    }
    Ok(())
}

async fn count_row(row: Row, plan: &Plan, authority: &str, proxy: &CountingProxy) -> Result<Costs, Failure> {
    let mut workload = plan.workload(row, 0)?;
    let mut connection = Connection::open(authority).await?;
    for number in 0..2 * REQUESTS {
        if number == REQUESTS {
            proxy.take();
        }
        let Some(request) = workload.next()? else { return Err("no tokens are left to count with".into()) };
        workload.take(&connection.send(request).await?)?;
    }
    let counted: Vec<RoundTrip> = proxy.take().into_iter().filter(|trip| !is_regular(trip)).collect();
    let statements = counted.iter().map(|trip| trip.statements.len()).sum();
    Ok(Costs { statements: a_request(statements), round_trips: a_request(counted.len()) })
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn a_request(count: usize) -> f64 {
    count as f64 / REQUESTS as f64
}

/// Whether the service sends this by itself.
fn is_regular(trip: &RoundTrip) -> bool {
    const TABLES: [&str; 3] = [r#"FROM "change""#, r#"FROM "jobs""#, r#"FROM "password_cost""#];
    trip.statements.iter().any(|sql| TABLES.iter().any(|table| sql.contains(table)))
}
