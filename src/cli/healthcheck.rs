//! `signet healthcheck`

use std::{net::IpAddr, time::Duration};

use super::failure::Failure;
use crate::config::Config;

/// Asks the service at `listen` whether it is ready.
pub(super) async fn run(config: &Config) -> Result<(), Failure> {
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => [127, 0, 0, 1].into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}/readyz");
    // The certificate names the public host, not this address. The request carries no secret, and neither does the answer.
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(|cause| Failure::Failed(format!("cannot ask {url}: {cause}")))?;
    let answer = client.get(&url).send().await;
    let status =
        answer.map_err(|_| Failure::Failed(format!("nothing answers at {url}: is signet serving there?")))?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(Failure::Failed(format!("{url} answers {status}: see the service's log")))
    }
}
