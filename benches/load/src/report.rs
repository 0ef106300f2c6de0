//! The results, and how they are printed.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{
    Failure,
    costs::Costs,
    options::{Database, Options, Row},
};

/// The marks of the table in a document.
const BEGIN: &str = "<!-- The load program writes what follows. -->";
const END: &str = "<!-- It ends here. -->";

/// What was measured of one kind of request.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) title: String,
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Processor time a request.
    pub(crate) service_ms: f64,
    pub(crate) postgres_ms: Option<f64>,
    /// Where PostgreSQL is the database.
    pub(crate) costs: Option<Costs>,
    /// Bytes of write-ahead log a request.
    pub(crate) wal: Option<f64>,
    /// MiB of the server, after the row.
    pub(crate) resident: f64,
    pub(crate) errors: Vec<String>,
}

/// What the machine gives, a second.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub(crate) argon2: f64,
    pub(crate) argon2_rust: f64,
    pub(crate) signatures: f64,
    pub(crate) pgbench: Option<f64>,
}

/// All results of a run.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    json: bool,
    into: Option<PathBuf>,
    pub(crate) rows: Vec<(Row, Figure)>,
    pub(crate) limits: Limits,
    /// The servers with one fixed answer.
    pub(crate) servers: Vec<Figure>,
    pub(crate) peer: Vec<(Row, Figure)>,
    pub(crate) heap_only: Option<f64>,
    /// How long a replica took from its start until it was ready, on a database of this size.
    pub(crate) ready: Option<Duration>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        let database = match options.database {
            Database::Sqlite => "SQLite".to_owned(),
            Database::Postgres => format!("PostgreSQL, {} sessions before", options.sessions),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let title = format!(
            "{database}; {} clients, {} s a row, {cores} cores for all programs together",
            options.clients,
            options.duration().as_secs()
        );
        Self {
            title,
            json: options.json,
            into: options.into.clone(),
            rows: Vec::new(),
            limits: Limits::default(),
            servers: Vec::new(),
            peer: Vec::new(),
            heap_only: None,
            ready: None,
        }
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        let peer = self.peer.iter().chain(&self.rows).map(|(_, figure)| figure);
        peer.chain(&self.servers)
            .flat_map(|figure| figure.errors.iter().map(|error| format!("{}: {error}", figure.title)))
            .collect()
    }

    pub(crate) fn print(&self) -> Result<(), Failure> {
        if let Some(document) = &self.into {
            let text = std::fs::read_to_string(document)?;
            let parts = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
            let (head, tail) = parts.ok_or_else(|| format!("{} has no marks", document.display()))?;
            std::fs::write(document, format!("{head}{BEGIN}\n\n{}\n{END}{tail}", self.to_markdown()?))?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&self.to_json())?);
        } else {
            println!("{}", self.to_markdown()?);
        }
        Ok(())
    }

    /// The limits of a row, with the share of each that was reached.
    fn ratios(&self, row: Row, figure: &Figure) -> Vec<(&'static str, f64)> {
        let server = |name: &str| self.servers.iter().find(|server| server.title == name).map(|found| found.per_second);
        let poem = server("bare poem handler");
        let positive = |rate: f64| (rate > 0.0).then_some(rate);
        // A request that signs takes the time of the signature and that of the answer.
        let signing = positive(self.limits.signatures).zip(poem).map(|(sign, poem)| 1.0 / (1.0 / sign + 1.0 / poem));
        let limits: &[(&'static str, Option<f64>)] = match row {
            Row::Login | Row::Register => &[("argon2-rust", positive(self.limits.argon2_rust))],
            Row::Refresh => &[("pgbench", self.limits.pgbench)],
            Row::ClientCredentials => &[("signature + poem", signing)],
            Row::Introspect | Row::Userinfo | Row::UserinfoFirst | Row::Check => &[("poem", poem)],
            Row::Jwks | Row::Livez => {
                &[("poem", poem), ("hyper", server("bare hyper handler")), ("nginx", server("static nginx"))]
            }
            Row::Mix => &[],
        };
        limits.iter().filter_map(|(name, limit)| Some((*name, figure.per_second / (*limit)?))).collect()
    }

    fn peer_rate(&self, row: Row) -> Option<f64> {
        self.peer.iter().find(|(other, _)| *other == row).map(|(_, figure)| figure.per_second)
    }

    fn to_markdown(&self) -> Result<String, Failure> {
        let mut text = format!("{}.\n\n", self.title);
        text += "| request | a second | p50 ms | p99 ms | p99.9 ms | service ms | Postgres ms | statements | round trips | WAL bytes | resident MiB | \
                 share of the limit | peer a second |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|\n";
        for (row, figure) in &self.rows {
            let ratios: Vec<String> =
                self.ratios(*row, figure).iter().map(|(name, ratio)| format!("{ratio:.2} {name}")).collect();
            let peer = self.peer_rate(*row).map(whole).unwrap_or_default();
            writeln!(text, "{} {} | {peer} |", cells(figure), ratios.join(", "))?;
        }
        for figure in &self.servers {
            writeln!(text, "{}  |  |", cells(figure))?;
        }
        let limits = &self.limits;
        if limits.argon2 > 0.0 {
            write!(
                text,
                "\nLimits a second: argon2-rust {}, argon2 {} (memory kept, a thread for each core), ES256 signatures {}",
                whole(limits.argon2_rust),
                whole(limits.argon2),
                whole(limits.signatures)
            )?;
            match limits.pgbench {
                Some(rate) => writeln!(text, ", `pgbench` of the refresh's statement {}.", whole(rate))?,
                None => text += ".\n",
            }
        }
        if let Some(share) = self.heap_only {
            writeln!(text, "Heap-only updates of sessions: {:.1} %.", share * 100.0)?;
        }
        if let Some(ready) = self.ready {
            writeln!(text, "A replica on this database was ready after {} ms.", ready.as_millis())?;
        }
        let errors = self.errors().len();
        writeln!(text, "Errors: {errors}.")?;
        Ok(text)
    }

    fn to_json(&self) -> Value {
        let figure = |figure: &Figure| {
            json!({
                "request": figure.title,
                "per_second": figure.per_second,
                "p50_ms": figure.p50,
                "p99_ms": figure.p99,
                "p999_ms": figure.p999,
                "service_ms": figure.service_ms,
                "postgres_ms": figure.postgres_ms,
                "statements": figure.costs.map(|costs| costs.statements),
                "round_trips": figure.costs.map(|costs| costs.round_trips),
                "wal_bytes": figure.wal,
                "resident_mib": figure.resident,
                "errors": figure.errors.len(),
            })
        };
        let rows = self.rows.iter().map(|(row, row_figure)| {
            let mut value = figure(row_figure);
            value["share_of_limit"] = self.ratios(*row, row_figure).into_iter().collect();
            value
        });
        json!({
            "run": self.title,
            "rows": rows.collect::<Vec<_>>(),
            "servers": self.servers.iter().map(figure).collect::<Vec<_>>(),
            "peer": self.peer.iter().map(|(_, peer)| figure(peer)).collect::<Vec<_>>(),
            "limits": {
                "argon2": self.limits.argon2,
                "argon2_rust": self.limits.argon2_rust,
                "signatures": self.limits.signatures,
                "pgbench": self.limits.pgbench,
            },
            "heap_only_share": self.heap_only,
            "ready_ms": self.ready.map(|ready| ready.as_secs_f64() * 1000.0),
        })
    }
}

/// The cells that all rows have.
fn cells(figure: &Figure) -> String {
    let postgres = figure.postgres_ms.map(|ms| format!("{ms:.3}")).unwrap_or_default();
    let statements = figure.costs.map(|costs| format!("{:.2}", costs.statements)).unwrap_or_default();
    let round_trips = figure.costs.map(|costs| format!("{:.2}", costs.round_trips)).unwrap_or_default();
    let wal = figure.wal.map(whole).unwrap_or_default();
    format!(
        "| {} | {} | {:.2} | {:.2} | {:.2} | {:.3} | {postgres} | {statements} | {round_trips} | {wal} | {} |",
        figure.title,
        whole(figure.per_second),
        figure.p50,
        figure.p99,
        figure.p999,
        figure.service_ms,
        whole(figure.resident),
    )
}

/// A number without decimals, with its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
