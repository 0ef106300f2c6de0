//! Measures the service under load, and beside it the limits of the same machine in the same run.
//!
//! The driver is our own, because a load program shares the machine's cores with what it measures: 32 connections that
//! stay open, a closed loop on each, on one thread. Requests are built before the loop where they do not change.

mod bare;
mod client;
mod costs;
#[path = "../../../tests/stories/harness/counting_proxy.rs"]
mod counting_proxy;
mod drive;
mod limits;
mod measure;
mod options;
mod peer;
mod postgres;
mod process;
mod report;
mod seed;
mod service;
mod workloads;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Command, Options};

/// Any failure of the program: it ends with its words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if let Some(Command::Bare { kind, address, body }) = &options.command {
        return bare::serve(*kind, *address, body);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let local = tokio::task::LocalSet::new();
        let mut terminated = signal(SignalKind::terminate())?;
        // What was started ends when it is dropped.
        tokio::select! {
            outcome = local.run_until(measure::run(&options)) => outcome,
            _ = terminated.recv() => Err("terminated".into()),
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    })
}
