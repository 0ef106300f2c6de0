//! Passwords that are crafted to keep the strength meter busy.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::{Ask, TestEnv, register, stories_on};

/// This password takes the strength meter as long as any can; other requests must not wait for it.
async fn a_crafted_password_holds_nobody_up(env: TestEnv) {
    let site = &env.serves(&[]).ready().await.site;
    let end = Instant::now() + Duration::from_secs(2);
    let registers = async |n: usize| {
        for again in 0.. {
            if Instant::now() > end {
                break;
            }
            let answer = register(site, &format!("person{n}x{again}"), "4@({[<!83691705248369170").await;
            assert!([201, 503].contains(&answer.status), "{answer:?}");
        }
    };
    let looks = async {
        let mut answers = 0;
        while Instant::now() < end {
            site.get("/livez").answer().await.is(200);
            answers += 1;
        }
        answers
    };
    let (answers, _) = tokio::join!(looks, join_all((0..64).map(registers)));
    // 50 ms each, on a busy machine. A request that waits for the strength meter takes 100 ms.
    assert!(answers > 40, "only {answers} answers in two seconds");
}

stories_on![Sqlite: a_crafted_password_holds_nobody_up];
