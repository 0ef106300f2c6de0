//! The closed loop: each client sends its next request when it has the answer to the one before.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{Request, body::Bytes};
use tokio::task::spawn_local;

use crate::{
    Failure,
    client::{Answer, Connection},
};

/// What one client asks.
pub(crate) trait Workload {
    /// The next request; none ends the client.
    fn next(&mut self) -> Result<Option<Request<Full<Bytes>>>, Failure>;

    /// Takes the answer, and fails if it is not the right one.
    fn take(&mut self, answer: &Answer) -> Result<(), Failure>;
}

/// A client with its connection.
pub(crate) struct Client {
    connection: Connection,
    workload: Box<dyn Workload>,
    microseconds: Vec<u32>,
    errors: Vec<String>,
}

impl Client {
    pub(crate) async fn of(authority: &str, workload: Box<dyn Workload>) -> Result<Self, Failure> {
        let connection = Connection::open(authority).await?;
        Ok(Self { connection, workload, microseconds: Vec::new(), errors: Vec::new() })
    }

    async fn run(&mut self, end: Instant, authority: &str) -> Result<(), Failure> {
        loop {
            let begin = Instant::now();
            if begin >= end {
                return Ok(());
            }
            let Some(request) = self.workload.next()? else { return Ok(()) };
            match self.connection.send(request).await {
                Ok(answer) => {
                    self.microseconds.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
                    if let Err(failure) = self.workload.take(&answer) {
                        self.errors.push(failure.to_string());
                    }
                }
                Err(failure) => {
                    self.errors.push(failure.to_string());
                    self.connection = Connection::open(authority).await?;
                }
            }
        }
    }
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Of each request, sorted.
    microseconds: Vec<u32>,
    pub(crate) elapsed: Duration,
    pub(crate) errors: Vec<String>,
}

impl Measured {
    pub(crate) fn requests(&self) -> usize {
        self.microseconds.len()
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    pub(crate) fn per_second(&self) -> f64 {
        self.requests() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share of the requests was answered, in ms; the share in thousandths.
    pub(crate) fn percentile(&self, thousandths: usize) -> f64 {
        let rank = (self.microseconds.len() * thousandths).div_ceil(1000).saturating_sub(1);
        self.microseconds.get(rank).map_or(0.0, |time| f64::from(*time) / 1000.0)
    }
}

/// Lets all clients work for `duration`. Returns them for the next time.
pub(crate) async fn run(
    clients: Vec<Client>,
    authority: &str,
    duration: Duration,
) -> Result<(Vec<Client>, Measured), Failure> {
    let begin = Instant::now();
    let authority: Rc<str> = authority.into();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let authority = Rc::clone(&authority);
            spawn_local(async move { client.run(begin + duration, &authority).await.map(|()| client) })
        })
        .collect();
    let mut clients = Vec::new();
    let mut measured = Measured::default();
    for task in tasks {
        let mut client = task.await??;
        measured.microseconds.append(&mut client.microseconds);
        measured.errors.append(&mut client.errors);
        clients.push(client);
    }
    measured.elapsed = begin.elapsed();
    measured.microseconds.sort_unstable();
    Ok((clients, measured))
}
