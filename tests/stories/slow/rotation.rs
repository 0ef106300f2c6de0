//! Signing keys are replaced under load, and services that verify tokens with stock libraries notice nothing.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use crate::harness::{Ask, TestEnvBuilder, jwt, stories_on, tools::TokenVerifier};

/// How much faster the service's clock runs than the machine's.
const FASTER: i32 = 10;
/// So long, for three keys.
const TIME: Duration = Duration::from_mins(4);

async fn a_rotation_under_load_breaks_no_verifier(builder: TestEnvBuilder) {
    let signet = builder.set("key_rotation", "10m").open().await;
    let ada = signet.registers("ada").await;
    let jwks_url = format!("{}/.well-known/jwks.json", signet.issuer);
    let mut verifiers = [
        TokenVerifier::pyjwt(&jwks_url, &signet.issuer, FASTER),
        TokenVerifier::jose(&jwks_url, &signet.issuer, FASTER),
    ];
    let begin = Instant::now();
    let mut shown = Duration::ZERO;
    let mut kids = BTreeSet::new();
    // Tokens that are still valid, with the time of their issue.
    let mut tokens: VecDeque<(Duration, String)> = VecDeque::new();
    let mut verified = 0;
    while begin.elapsed() < TIME {
        let passed = begin.elapsed().saturating_sub(shown);
        shown += passed;
        signet.clock.advance(TimeDelta::from_std(passed).expect("short") * FASTER);
        let token = ada.logs_in().await.access;
        kids.insert(jwt::header(&token)["kid"].to_string());
        tokens.push_back((shown, token));
        // Ten minutes of the service's clock, less a moment.
        while tokens.front().is_some_and(|(at, _)| shown > *at + Duration::from_secs(55)) {
            tokens.pop_front();
        }
        let oldest = tokens.front().expect("one was just issued").1.clone();
        let newest = tokens.back().expect("one was just issued").1.clone();
        for token in [newest, oldest] {
            for verifier in &mut verifiers {
                assert_eq!(verifier.judges(&token), "ok", "after {shown:?}, kid {}", jwt::header(&token)["kid"]);
                verified += 1;
            }
        }
        signet.site.get("/.well-known/jwks.json").answer().await.is(200);
    }
    assert!(kids.len() >= 3, "{kids:?}");
    assert!(verified > 1000, "{verified}");
}

stories_on![Sqlite: a_rotation_under_load_breaks_no_verifier];
