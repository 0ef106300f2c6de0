//! Replicas on one PostgreSQL: all of them honour a revocation, or answer 503.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Statement, TransactionTrait};

use crate::harness::{
    Answer, Ask, Durability, Person, Site, TestApp, TestEnv, TestEnvBuilder, Tokens, eventually, jwt, link::Link,
    raw::Line, seconds, stories_on, test_env::Client,
};

/// A client that may introspect every token whose audience is this service.
async fn introspector(signet: &TestApp) -> Client {
    signet.registers_service(&["--audience", &signet.issuer]).await
}

/// Whether the token is refused at every kind of endpoint.
async fn is_refused(site: &Site, introspector: &Client, tokens: &Tokens) -> bool {
    let user_info = site.user_info(&tokens.access).await.status;
    let introspection = introspector.introspects(site, &tokens.access).await.text();
    user_info == 401 && introspection == r#"{"active":false}"#
}

/// The backend process ids of the connections that LISTEN for changes.
async fn listeners(env: &TestEnv) -> Vec<i32> {
    let store = env.store().await;
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let rows = store.query_all_raw(Statement::from_string(store.get_database_backend(), sql)).await;
    rows.expect("the database answers").iter().map(|row| row.try_get("", "pid").expect("a number")).collect()
}

fn refresh_request(tokens: &Tokens) -> String {
    let form = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    format!(
        "POST /oauth/token HTTP/1.1\r\nHost: signet\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

async fn a_hundred_refreshes_at_once_leave_one_successor(signet: TestApp) {
    let replica = signet.replica().await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let both = [ada.clone(), ada.at(&replica.site)];
    let all: Vec<_> = (0..100)
        .map(|n| {
            let (person, first) = (both[n % 2].clone(), first.clone());
            tokio::spawn(async move { person.refreshes(&first).await.granted() })
        })
        .collect();
    let mut successors = Vec::new();
    for one in all {
        successors.push(one.await.expect("it was granted"));
    }
    let texts: BTreeSet<&str> = successors.iter().map(|tokens| tokens.refresh.as_str()).collect();
    assert_eq!(texts.len(), 1, "each got a token of its own");
    for tokens in [&successors[0], &successors[99]] {
        both[0].is_let_in(tokens).await;
        both[1].is_let_in(tokens).await;
    }
    let second = both[1].refreshes(&successors[50]).await.granted();
    both[0].refreshes(&first).await.refused("invalid_grant"); // two generations old: a theft
    both[1].refreshes(&second).await.refused("invalid_grant");
    replica.stop().await;
}

async fn a_revocation_is_felt_within_a_second(signet: TestApp) {
    let replica = signet.replica().await;
    let introspector = introspector(&signet).await;
    let ada = signet.registers("ada").await;
    eventually(Duration::from_secs(10), "both listen", async || listeners(&signet).await.len() == 2).await;
    let mut total = Duration::ZERO;
    for n in 0..10 {
        let tokens = ada.logs_in().await;
        assert!(!is_refused(&replica.site, &introspector, &tokens).await);
        match n % 2 {
            0 => ada.logs_out(&tokens).await,
            _ => assert_eq!(ada.revokes(&tokens.access).await.status, 200),
        }
        let answered = Instant::now();
        eventually(Duration::from_secs(1), "the other replica refuses it", async || {
            is_refused(&replica.site, &introspector, &tokens).await
        })
        .await;
        total += answered.elapsed();
    }
    assert!(total < Duration::from_secs(3), "ten took {total:?}: that is polling, not notification");
    replica.stop().await;
}

async fn a_revocation_is_felt_within_five_seconds_without_notices(signet: TestApp) {
    let replica = signet.replica().await;
    let introspector = introspector(&signet).await;
    let ada = signet.registers("ada").await;
    let service = signet.registers_service(&[]).await;
    eventually(Duration::from_secs(10), "both listen", async || listeners(&signet).await.len() == 2).await;
    let store = signet.store().await;
    for _ in 0..3 {
        let (tokens, own) = (ada.logs_in().await, service.gets_a_token(&signet.site).await);
        assert!(!is_refused(&replica.site, &introspector, &tokens).await);
        for pid in listeners(&signet).await {
            store.execute_unprepared(&format!("SELECT pg_terminate_backend({pid})")).await.expect("we own it");
        }
        ada.logs_out(&tokens).await;
        service.revokes(&signet.site, &own.access).await.is(200);
        eventually(Duration::from_secs(5), "the other replica refuses both", async || {
            let denied = introspector.introspects(&replica.site, &own.access).await.text() == r#"{"active":false}"#;
            denied && is_refused(&replica.site, &introspector, &tokens).await
        })
        .await;
    }
    eventually(Duration::from_secs(10), "both listen again", async || listeners(&signet).await.len() == 2).await;
    replica.stop().await;
}

/// The refresh was done and its answer lost with the process that did it: the same token is good at the other.
async fn a_replica_that_dies_before_it_answers_logs_nobody_out(mut env: TestEnv) {
    env.set("issuer", "http://127.0.0.1:8080");
    let other = env.serves(&[]).ready().await;
    let ada = Person::registers(&other.site, "ada").await;
    let data = env.folder.join("data-of-the-dying").display().to_string();
    let store = env.store().await;
    for wait in [None, Some(0), Some(2), Some(5)] {
        let dying = env.serves(&[("data_dir", &data)]).ready().await;
        let tokens = ada.logs_in().await;
        let mut line = Line::to(&dying.site).await;
        match wait {
            None => {
                // Held up until the process is dead; then PostgreSQL, which has the statement, goes on with it.
                let held = store.begin().await.expect("a transaction");
                held.execute_unprepared("LOCK TABLE session IN EXCLUSIVE MODE").await.expect("the lock");
                line.send(refresh_request(&tokens).as_bytes()).await;
                eventually(Duration::from_secs(10), "the refresh waits", async || {
                    let sql = "SELECT 1 AS one FROM pg_locks WHERE NOT granted AND relation = 'session'::regclass";
                    let rows = held.query_all_raw(Statement::from_string(held.get_database_backend(), sql)).await;
                    !rows.expect("the database answers").is_empty()
                })
                .await;
                dying.signal("KILL");
                dying.ends().await;
                held.rollback().await.expect("the lock is gone");
            }
            Some(milliseconds) => {
                line.send(refresh_request(&tokens).as_bytes()).await;
                // Not a wait: the process dies at another moment of the request.
                // Not a wait: the process dies at another moment of the request.
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                dying.signal("KILL");
                dying.ends().await;
            }
        }
        let again = ada.refreshes(&tokens).await.granted();
        ada.is_logged_in(&again).await;
    }
}

/// The answer to a revocation is true even if the database fails meanwhile.
async fn a_revocation_is_done_or_it_is_not(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::Full).open().await;
    let ada = signet.registers("ada").await;
    let mut sessions = Vec::new();
    for _ in 0..80 {
        sessions.push(ada.logs_in().await);
    }
    let revokes = |n: usize| {
        let (ada, tokens) = (ada.clone(), sessions[n].clone());
        tokio::spawn(async move {
            match n % 3 {
                0 => ada.revokes(&tokens.refresh).await.status,
                1 => ada.revokes(&tokens.access).await.status,
                _ => ada.sends(reqwest::Method::DELETE, "/v1/sessions/current", &tokens, None).await.status,
            }
        })
    };
    let mut asked = vec![revokes(0)];
    eventually(Duration::from_secs(5), "the first is answered", async || asked[0].is_finished()).await;
    asked.extend((1..70).map(&revokes));
    tokio::task::block_in_place(|| signet.cluster().stop());
    asked.extend((70..80).map(&revokes));
    let mut statuses = Vec::new();
    for one in asked {
        statuses.push(one.await.expect("it was answered"));
    }
    assert!(statuses.iter().all(|status| [200, 204, 503].contains(status)), "{statuses:?}");
    assert_eq!((statuses[0], statuses[79]), (200, 503));
    signet.cluster().start();
    eventually(Duration::from_secs(30), "it is ready again", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    for (tokens, status) in sessions.iter().zip(statuses) {
        let refreshes = ada.refreshes(tokens).await.status;
        assert!(refreshes == 400 || (refreshes == 200 && status == 503), "{status}, and then a refresh: {refreshes}");
        let wanted = if refreshes == 400 { 401 } else { 200 };
        eventually(Duration::from_secs(5), "its access token is worth as much", async || {
            ada.looks(tokens).await.status == wanted
        })
        .await;
    }
}

/// Everything that a replica must refuse to judge while it does not know what was revoked.
async fn judges(site: &Site, introspector: &Client, tokens: &Tokens) -> [Answer; 2] {
    tokio::join!(site.user_info(&tokens.access), introspector.introspects(site, &tokens.access)).into()
}

/// A replica that hears nothing from the database does not guess.
async fn a_replica_that_is_cut_off_does_not_guess(signet: TestApp) {
    let link = Link::to(signet.database_url()).await;
    let replica = signet.replica_with(&[("database_url", &link.through(signet.database_url()))]).await;
    let (introspector, ada) = (introspector(&signet).await, signet.registers("ada").await);
    let (ended, live) = (ada.logs_in().await, ada.logs_in().await);
    for tokens in [&ended, &live] {
        assert!(!is_refused(&replica.site, &introspector, tokens).await);
    }
    let list = replica.site.get("/oauth/status-lists/0").answer().await.is(200).text();

    link.cut();
    let cut = Instant::now();
    ada.logs_out(&ended).await;
    let all_judges = async |tokens: &Tokens| {
        let asked = cut.elapsed();
        for answer in judges(&replica.site, &introspector, tokens).await {
            // Until then it may not know; from then on it knows that it does not.
            let late = asked > Duration::from_secs(5) + Duration::from_millis(100);
            assert!(answer.status == 503 || !late, "{asked:?} after the cut: {answer:?}");
        }
        asked > Duration::from_secs(8)
    };
    eventually(Duration::from_secs(15), "time passes", async || all_judges(&ended).await).await;
    for answer in judges(&replica.site, &introspector, &live).await {
        answer.unavailable();
    }
    for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/livez"] {
        replica.site.get(path).answer().await.is(200);
    }
    let still = replica.site.get("/oauth/status-lists/0").answer().await.is(200).text();
    assert_eq!(jwt::claims(&still), jwt::claims(&list), "the last list, with its old time");

    link.mend();
    eventually(Duration::from_secs(15), "it knows again, by itself", async || {
        let [user_info, introspection] = judges(&replica.site, &introspector, &ended).await;
        assert!([503, 401].contains(&user_info.status), "{user_info:?}");
        assert!(introspection.status == 503 || introspection.json()["active"] == false, "{introspection:?}");
        user_info.status == 401 && introspection.status == 200
    })
    .await;
    ada.at(&replica.site).is_logged_in(&live).await;
    eventually(Duration::from_secs(3), "the list is fresh", async || {
        replica.site.get("/oauth/status-lists/0").answer().await.text() != list
    })
    .await;
    replica.stop().await;
}

/// Its tokens could not be revoked: the deletion came before they were issued.
async fn a_replica_that_is_cut_off_gives_nothing_to_a_client_that_may_be_gone(signet: TestApp) {
    let link = Link::to(signet.database_url()).await;
    let replica = signet.replica_with(&[("database_url", &link.through(signet.database_url()))]).await;
    let (introspector, service) = (introspector(&signet).await, signet.registers_service(&[]).await);
    service.gets_a_token(&replica.site).await;
    let own = introspector.gets_a_token(&replica.site).await;
    introspector.introspects(&replica.site, &own.access).await.active();
    link.cut();
    signet.runs(&["client", "delete", &service.id]).await.well();
    eventually(Duration::from_secs(15), "it knows that it is cut off", async || {
        introspector.introspects(&replica.site, &own.access).await.status == 503
    })
    .await;
    signet.clock.advance(seconds(60));
    let answer = service.posts(&replica.site, "/oauth/token", &[("grant_type", "client_credentials")]).await;
    let token = (answer.status == 200).then(|| answer.string("access_token"));
    link.mend();
    if let Some(token) = token {
        eventually(Duration::from_secs(5), "what it gave is refused where it is known", async || {
            introspector.introspects(&signet.site, &token).await.text() == r#"{"active":false}"#
        })
        .await;
    }
    replica.stop().await;
}

/// Replicas may run with other lifetimes while a change of configuration rolls out.
async fn a_shorter_lifetime_at_one_replica_forgets_no_revocation(mut signet: TestApp) {
    let replica = signet.replica_with(&[("access_token_ttl", "1m"), ("refresh_grace", "0s")]).await;
    let ada = signet.registers("ada").await;
    let long = ada.logs_in().await; // its access token lives ten minutes
    ada.clone().at(&replica.site).refreshes(&long).await.granted();
    ada.revokes(&long.refresh).await.is(200);
    signet.clock.advance(seconds(480));
    signet.restart_with(&[]).await;
    ada.is_logged_out(&long).await;
}

/// A network that drops all packets is answered with a 503 in time.
async fn a_database_that_says_nothing_is_told_in_time(signet: TestApp) {
    let link = Link::to(signet.database_url()).await;
    let replica = signet.replica_with(&[("database_url", &link.through(signet.database_url()))]).await;
    let ada = signet.registers("ada").await.at(&replica.site);
    let tokens = ada.logs_in().await;
    link.cut();
    let begin = Instant::now();
    let (refresh, revocation, look, ready) = tokio::join!(
        ada.refreshes(&tokens),
        ada.revokes(&tokens.access),
        ada.looks(&tokens),
        replica.site.get("/readyz").answer(),
    );
    assert!(begin.elapsed() < Duration::from_secs(15), "it took {:?}", begin.elapsed());
    for answer in [refresh, revocation, look] {
        answer.unavailable();
    }
    assert_eq!(ready.status, 503, "{ready:?}");
    link.mend();
    eventually(Duration::from_secs(15), "it is ready again, by itself", async || {
        replica.site.get("/readyz").answer().await.status == 200
    })
    .await;
    replica.stop().await;
}

stories_on![Postgres:
    a_hundred_refreshes_at_once_leave_one_successor,
    a_revocation_is_felt_within_a_second,
    a_revocation_is_felt_within_five_seconds_without_notices,
    a_replica_that_dies_before_it_answers_logs_nobody_out,
    a_revocation_is_done_or_it_is_not,
    a_replica_that_is_cut_off_does_not_guess,
    a_replica_that_is_cut_off_gives_nothing_to_a_client_that_may_be_gone,
    a_database_that_says_nothing_is_told_in_time,
    a_shorter_lifetime_at_one_replica_forgets_no_revocation,
];
