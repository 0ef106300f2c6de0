//! The operator's hand on accounts, `signet user …`, beside a service that runs.

use std::{collections::BTreeMap, time::Duration};

use chrono::DateTime;
use entity::{consent, session, user};
use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    guessing::{self, WRONG, a_stranger_tries, counting_place, told_to_wait},
    harness::{
        Ask, NEW_PASSWORD, PASSWORD, Person, TestApp, TestEnv, TestEnvBuilder, Tokens, eventually, jwt, register,
        stories, stories_on, test_env::Client,
    },
};

/// The longest time until a process learns of a change by another.
const BOUND: Duration = Duration::from_secs(5);

/// The access token is refused at every kind of endpoint within the bound, and the refresh token at once.
async fn is_shut_out_soon(person: &Person, introspector: &Client, tokens: &Tokens) {
    person.refreshes(tokens).await.refused("invalid_grant");
    // Introspection asks no database, so that it alone tells whether the end has been heard of.
    eventually(BOUND, "the end is known here", async || {
        introspector.introspects(&person.site, &tokens.access).await.is(200).json()["active"] == false
    })
    .await;
    introspector.introspects(&person.site, &tokens.access).await.inactive();
    person.is_shut_out(tokens).await;
}

/// A client that may introspect tokens for this service.
async fn introspector(signet: &TestApp) -> Client {
    signet.registers_service(&["--audience", &signet.issuer]).await
}

/// Makes an account with these options of `signet user create`.
pub(crate) async fn creates(env: &TestEnv, options: &[&str]) -> Value {
    env.runs_on(PASSWORD, &[&["user", "create"], options].concat()).await.well().json()
}

async fn shows(env: &TestEnv, name: &str) -> Value {
    env.runs(&["user", "show", name, "--json"]).await.well().json()
}

fn roles(tokens: &Tokens) -> Value {
    jwt::claims(&tokens.access)["roles"].clone()
}

async fn a_disabled_account_is_shut_out(signet: TestApp) {
    let (ada, bob, introspector) =
        (signet.registers("ada").await, signet.registers("bob").await, introspector(&signet).await);
    let (first, second, other) = (ada.logs_in().await, ada.logs_in().await, bob.logs_in().await);
    let wrong = ada.tries(NEW_PASSWORD).await;
    let wrong_session = ada.tries_a_session(NEW_PASSWORD).await;
    let ended = signet.runs(&["user", "disable", "ADA"]).await.with(0, &["ada is disabled", "2 sessions ended"]);
    assert_eq!(ended.out, "");

    let tried = ada.tries(PASSWORD).await;
    assert_eq!((tried.status, tried.json()), (wrong.status, wrong.json()), "it answers as a wrong password does");
    assert_eq!(ada.tries_a_session(PASSWORD).await.status, wrong_session.status);
    for tokens in [&first, &second] {
        is_shut_out_soon(&ada, &introspector, tokens).await;
    }
    bob.is_logged_in(&other).await;
    assert!(shows(&signet, "ada").await["disabled_at"].is_string());
}

/// The operator lets a person in whose attempts are used up, at a service that runs.
async fn an_operator_lets_a_locked_out_person_in(builder: TestEnvBuilder) {
    let signet = counting_place(builder).open().await;
    let mut ada = signet.registers("ada").await;
    signet.registers("bob").await;
    let tries = async |name: &str, password: &str| guessing::log_in(&signet.site, name, password).answer().await;
    assert_eq!(shows(&signet, "ada").await["locked_until"], Value::Null);
    for way in ["unlock", "enable", "set-password"] {
        for name in ["ada", "bob"] {
            // Bob has no attempts left from the round before.
            while tries(name, WRONG).await.status == 401 {}
            told_to_wait(&tries(name, PASSWORD).await);
        }
        let shown = shows(&signet, "ada").await;
        assert!(DateTime::parse_from_rfc3339(shown["locked_until"].as_str().expect("a time")).is_ok(), "{shown}");
        assert_eq!(shown["locked_everywhere"], false);
        let input = if way == "set-password" { NEW_PASSWORD } else { "" };
        signet.runs_on(input, &["user", way, "ada"]).await.well();
        assert_eq!(shows(&signet, "ada").await["locked_until"], Value::Null);
        if way == "set-password" {
            NEW_PASSWORD.clone_into(&mut ada.password);
        }
        eventually(BOUND, "she is let in", async || tries("ada", &ada.password).await.status == 200).await;
        told_to_wait(&tries("bob", PASSWORD).await);
    }
    signet.runs(&["user", "unlock", "nobody"]).await.with(1, &["no such account"]);
}

/// The same where an attack from many networks has shut every stranger out.
async fn an_operator_sees_and_ends_a_lock_of_all_networks(builder: TestEnvBuilder) {
    let signet = guessing::behind_a_proxy(builder).await;
    signet.registers("ada").await;
    guessing::strangers_hammer(&signet.site, "ada").await;
    told_to_wait(&a_stranger_tries(&signet.site, "ada", PASSWORD).await);
    let shown = shows(&signet, "ada").await;
    assert!(shown["locked_until"].is_string() && shown["locked_everywhere"] == true, "{shown}");
    signet.runs(&["user", "unlock", "ada"]).await.with(0, &["ada may try passwords again"]);
    eventually(BOUND, "she is let in", async || a_stranger_tries(&signet.site, "ada", PASSWORD).await.status == 200)
        .await;
}

async fn an_account_that_is_enabled_again_logs_in(signet: TestApp) {
    let (ada, introspector) = (signet.registers("ada").await, introspector(&signet).await);
    let before = ada.logs_in().await;
    signet.runs(&["user", "disable", "ada"]).await.well();
    let since = shows(&signet, "ada").await["disabled_at"].clone();
    signet.runs(&["user", "disable", "ada"]).await.well();
    assert_eq!(shows(&signet, "ada").await["disabled_at"], since, "it stays disabled since then");
    signet.runs(&["user", "enable", "ada"]).await.well();
    assert_eq!(shows(&signet, "ada").await["disabled_at"], Value::Null);
    is_shut_out_soon(&ada, &introspector, &before).await;
    ada.is_logged_in(&ada.logs_in().await).await;
}

/// A concurrent login is either refused or ended with the other sessions.
async fn no_log_in_slips_past(signet: TestApp) {
    for (command, input) in [("disable", ""), ("set-password", NEW_PASSWORD), ("delete", "")] {
        let ada = signet.registers(command).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let tries = (0..8).map(|_| {
            let (ada, stopped) = (ada.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut given = Vec::new();
                while !*stopped.borrow() {
                    let answer = ada.tries(PASSWORD).await;
                    assert!([200, 400].contains(&answer.status), "{answer:?}");
                    if answer.status == 200 {
                        given.push(answer.granted());
                    }
                }
                given
            })
        });
        let tries: Vec<_> = tries.collect();
        eventually(BOUND, "they log in", async || {
            shows(&signet, command).await["sessions"].as_u64().is_some_and(|n| n > 8)
        })
        .await;
        signet.runs_on(input, &["user", command, command]).await.well();
        ada.tries(PASSWORD).await.refused("invalid_grant");
        stop.send(true).expect("they listen");
        let mut given = Vec::new();
        for tried in join_all(tries).await {
            given.extend(tried.expect("none failed"));
        }
        assert!(!given.is_empty());
        for tokens in given {
            ada.refreshes(&tokens).await.refused("invalid_grant");
        }
    }
}

/// Nobody keeps an account alive by having more sessions than one transaction ends.
async fn an_account_with_very_many_sessions_is_disabled(signet: TestApp) {
    const MANY: usize = 6_000;
    let (ada, introspector) = (signet.registers("ada").await, introspector(&signet).await);
    let tokens = ada.logs_in().await;
    let store = signet.store().await;
    let row = session::Entity::find().one(&store).await.expect("the database answers").expect("one");
    let taken = row.status_index;
    let rows: Vec<_> = (0..)
        .filter(|index| *index != taken)
        .take(MANY)
        .map(|index| session::Model { id: Uuid::new_v4(), status_index: index, ..row.clone() }.into_active_model())
        .collect();
    for some in rows.chunks(500) {
        session::Entity::insert_many(some.to_vec()).exec(&store).await.expect("they are new");
    }
    assert_eq!(shows(&signet, "ada").await["sessions"], MANY + 1);
    signet.runs(&["user", "disable", "ada"]).await.with(0, &["6001 sessions ended"]);
    assert_eq!(shows(&signet, "ada").await["sessions"], 0);
    let rows = session::Entity::find().all(&store).await.expect("the database answers");
    let mut together = BTreeMap::new();
    for row in rows {
        *together.entry(row.ended_at).or_insert(0) += 1;
    }
    let most = together.values().max().expect("some have ended");
    assert!((1_000..=5_000).contains(most), "{most} ended in one transaction");
    is_shut_out_soon(&ada, &introspector, &tokens).await;
}

async fn a_deleted_account_is_gone(signet: TestApp) {
    let (ada, introspector) = (signet.registers("ada").await, introspector(&signet).await);
    let tokens = ada.logs_in().await;
    signet.runs(&["user", "disable", "ada"]).await.well(); // which is no reason to keep it
    signet.runs(&["user", "delete", "ada"]).await.with(0, &["ada is deleted"]);
    is_shut_out_soon(&ada, &introspector, &tokens).await;
    ada.tries(PASSWORD).await.refused("invalid_grant");
    signet.runs(&["user", "delete", "ada"]).await.with(1, &["no such account", "signet user list"]);

    let namesake = signet.registers("ada").await;
    assert_ne!(namesake.id, ada.id);
    is_shut_out_soon(&ada, &introspector, &tokens).await;
    namesake.is_logged_in(&namesake.logs_in().await).await;
}

async fn nothing_is_kept_of_what_a_deleted_account_consented_to(signet: TestApp) {
    let store = signet.store().await;
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let tokens = bob.logs_in().await;
    for person in [&ada, &bob] {
        let row = consent::Model {
            user_id: Uuid::parse_str(&person.id).expect("an id"),
            client_id: "photos".into(),
            resources: "[]".into(),
            scope: "openid".into(),
            given_at: DateTime::UNIX_EPOCH,
        };
        consent::Entity::insert(row.into_active_model()).exec_without_returning(&store).await.expect("it is new");
    }
    signet.runs(&["user", "delete", "ada"]).await.well();
    let password = Some(json!({"password": PASSWORD}));
    bob.sends(Method::DELETE, "/v1/users/me", &tokens, password).await.is(204);
    let left = consent::Entity::find().all(&store).await.expect("the database answers");
    assert!(left.is_empty(), "{left:?}");
}

async fn another_password_ends_every_session(signet: TestApp) {
    let (mut ada, introspector) = (signet.registers("ada").await, introspector(&signet).await);
    let tokens = [ada.logs_in().await, ada.logs_in().await];
    signet.runs_on(&format!("{NEW_PASSWORD}\n"), &["user", "set-password", "ada"]).await.with(0, &["2 sessions ended"]);
    for tokens in &tokens {
        is_shut_out_soon(&ada, &introspector, tokens).await;
    }
    ada.tries(PASSWORD).await.refused("invalid_grant");
    NEW_PASSWORD.clone_into(&mut ada.password);
    ada.is_logged_in(&ada.logs_in().await).await;

    signet.runs(&["user", "disable", "ada"]).await.well();
    signet.runs_on(PASSWORD, &["user", "set-password", "ada"]).await.well();
    ada.tries(PASSWORD).await.refused("invalid_grant"); // it is still disabled
    signet.runs(&["user", "enable", "ada"]).await.well();
    ada.tries(PASSWORD).await.granted();
}

async fn revoked_sessions_end_and_the_account_goes_on(signet: TestApp) {
    let (ada, bob, introspector) =
        (signet.registers("ada").await, signet.registers("bob").await, introspector(&signet).await);
    let (tokens, other) = (ada.logs_in().await, bob.logs_in().await);
    signet.runs(&["user", "revoke-sessions", "ada"]).await.with(0, &["1 session ended"]);
    is_shut_out_soon(&ada, &introspector, &tokens).await;
    bob.is_logged_in(&other).await;
    ada.is_logged_in(&ada.logs_in().await).await;
    signet.runs(&["user", "revoke-sessions", "ada"]).await.with(0, &["1 session ended"]);
    signet.runs(&["user", "revoke-sessions", "ada"]).await.with(0, &["0 sessions ended"]);
}

async fn roles_are_in_the_next_token(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let before = ada.logs_in().await;
    assert_eq!(roles(&before), Value::Null);
    for role in ["editor", "admin", "editor"] {
        signet.runs(&["user", "grant-role", "Ada", role]).await.with(0, &["the role", role]);
    }
    let refreshed = ada.refreshes(&before).await.granted();
    assert_eq!(roles(&refreshed), json!(["admin", "editor"]));
    assert_eq!(roles(&ada.logs_in().await), json!(["admin", "editor"]));
    assert_eq!(shows(&signet, "ada").await["roles"], json!(["admin", "editor"]));

    signet.runs(&["user", "revoke-role", "ada", "admin"]).await.well();
    let refreshed = ada.refreshes(&refreshed).await.granted();
    assert_eq!(roles(&refreshed), json!(["editor"]));
    signet.runs(&["user", "revoke-role", "ada", "admin"]).await.with(0, &["did not have"]);
    signet.runs(&["user", "revoke-role", "ada", "editor"]).await.well();
    assert_eq!(roles(&ada.refreshes(&refreshed).await.granted()), Value::Null);
}

/// Each reads the roles and writes them: none may undo another's.
async fn roles_granted_at_once_are_all_there(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let names: Vec<String> = (0..16).map(|n| format!("role-{n:02}")).collect();
    for some in names.chunks(4) {
        let grants = some.iter().map(|name| async { signet.runs(&["user", "grant-role", "ada", name]).await.well() });
        join_all(grants).await;
    }
    assert_eq!(roles(&ada.refreshes(&tokens).await.granted()), json!(names));
    signet.runs(&["user", "grant-role", "ada", "one-more"]).await.with(1, &["at most 16 roles"]);
    assert_eq!(shows(&signet, "ada").await["roles"], json!(names));
}

async fn an_account_is_made_whether_or_not_registration_is_open(mut signet: TestApp) {
    signet.restart_with(&[("registration", "closed")]).await;
    register(&signet.site, "ada", PASSWORD).await.blames_the_sender();
    let made = creates(&signet, &["Ada", "--role", "b", "--role", "a", "--role", "b"]).await;
    assert_eq!((&made["username"], &made["roles"]), (&json!("Ada"), &json!(["a", "b"])));
    assert_eq!((&made["email"], &made["email_verified"]), (&Value::Null, &json!(false)));
    let taken = signet.runs_on(PASSWORD, &["user", "create", "ADA"]).await.with(1, &["taken"]);
    assert_eq!(taken.out, "");
    let ada = Person {
        username: "ada".into(),
        password: PASSWORD.into(),
        id: made["id"].as_str().expect("an id").into(),
        site: signet.site.clone(),
    };
    let tokens = ada.logs_in().await;
    assert_eq!((&jwt::claims(&tokens.access)["sub"], roles(&tokens)), (&made["id"], json!(["a", "b"])));
    let too_many: Vec<String> = (0..17).flat_map(|n| ["--role".to_owned(), format!("r{n}")]).collect();
    let too_many: Vec<&str> =
        ["user", "create", "bob"].into_iter().chain(too_many.iter().map(String::as_str)).collect();
    signet.runs_on(PASSWORD, &too_many).await.with(1, &["at most 16 roles"]);
    signet.runs(&["user", "show", "bob"]).await.with(1, &["no such account"]);
}

async fn a_verified_address_is_one_accounts(signet: TestApp) {
    const EMAIL: &str = "ada@example.org";
    // Somebody claims the address, and is known to the service by it.
    let body = json!({"username": "eve", "password": PASSWORD, "email": "ADA@example.org"});
    let id = signet.site.post("/v1/users").json(&body).answer().await.is(201).string("id");
    let eve = Person { username: "eve".into(), password: PASSWORD.into(), id, site: signet.site.clone() };
    let tokens = eve.logs_in().await;
    let claimed = async || signet.site.user_info(&tokens.access).await.is(200).json()["email"].clone();
    assert_eq!(claimed().await, "ADA@example.org");
    let by_email = Person { username: EMAIL.into(), ..eve.clone() };

    creates(&signet, &["unproved", "--email", EMAIL]).await;
    by_email.tries(PASSWORD).await.refused("invalid_grant");
    signet.runs(&["user", "show", EMAIL]).await.with(1, &["no such account"]);
    let made = creates(&signet, &["ada", "--email", EMAIL, "--email-verified"]).await;
    assert_eq!((&made["email"], &made["email_verified"]), (&json!(EMAIL), &json!(true)));
    assert_eq!(jwt::claims(&by_email.logs_in().await.access)["sub"], made["id"]);
    assert_eq!(shows(&signet, "Ada@Example.org").await["username"], "ada");
    for claimant in ["eve", "unproved"] {
        assert_eq!(shows(&signet, claimant).await["email"], Value::Null, "{claimant} has proved nothing");
    }
    eventually(BOUND, "the claim is forgotten", async || claimed().await == Value::Null).await;

    let second = ["user", "create", "bob", "--email", "ADA@example.org", "--email-verified"];
    let refused = signet.runs_on(PASSWORD, &second).await.with(1, &["another account has verified"]);
    assert_eq!(refused.out, "");
    signet.runs(&["user", "show", "bob"]).await.with(1, &["no such account"]);
    let eve = creates(&signet, &["third", "--email", EMAIL]).await; // a claim opens nothing
    assert_eq!(eve["email_verified"], false);
}

async fn an_account_is_called_by_its_id_too(signet: TestApp) {
    let ada = signet.registers("ada").await;
    assert_eq!(shows(&signet, &ada.id).await["username"], "ada");
    // A user whose name is the id of another, from before such names were refused, is not mistaken for that user.
    let eve = signet.registers("eve").await;
    let renamed = user::Entity::update_many()
        .col_expr(user::Column::Username, Expr::value(ada.id.as_str()))
        .col_expr(user::Column::UsernameKey, Expr::value(ada.id.as_str()))
        .filter(user::Column::UsernameKey.eq("eve"));
    renamed.exec(&signet.store().await).await.expect("it is SQL");
    for command in ["disable", "delete", "show"] {
        signet.runs(&["user", command, &ada.id]).await.with(1, &["one account", "another"]);
    }
    signet.runs(&["user", "grant-role", &ada.id, "admin"]).await.with(1, &["one account", "another"]);
    assert_eq!(shows(&signet, "ada").await["roles"], json!([]));
    assert_eq!(shows(&signet, &eve.id).await["username"], ada.id.as_str());
    signet.runs(&["user", "delete", &eve.id]).await.well();
    assert_eq!(shows(&signet, &ada.id).await["username"], "ada");
}

/// The log has the operator's commands and the accounts concerned.
async fn what_the_operator_did_is_logged(signet: TestApp) {
    let ada = signet.registers("ada").await;
    ada.logs_in().await;
    for (arguments, event, reason) in [
        (&["grant-role", "ada", "admin"][..], "role_grant", Value::Null),
        (&["revoke-role", "ada", "admin"], "role_revoke", Value::Null),
        (&["revoke-sessions", "ada"], "sessions_revoke", json!("operator")),
        (&["set-password", "ada"], "password_change", json!("operator")),
        (&["disable", "ada"], "account_disable", Value::Null),
        (&["enable", "ada"], "account_enable", Value::Null),
        (&["delete", "ada"], "account_delete", json!("operator")),
    ] {
        let ended = signet.runs_on(NEW_PASSWORD, &[&["user"], arguments].concat()).await.well();
        let lines = ended.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.into_iter().find(|line| line["event"] == event);
        let line = line.unwrap_or_else(|| panic!("{event} is not logged: {ended:?}"));
        assert_eq!((&line["outcome"], &line["reason"]), (&json!("done"), &reason), "{line}");
        assert_eq!(line["account"], ada.id.as_str(), "{line}");
    }
}

/// Two services on one database hear of it by notice.
async fn every_replica_hears_of_it_within_a_second(signet: TestApp) {
    let replica = signet.replica().await;
    let (ada, introspector) = (signet.registers("ada").await, introspector(&signet).await);
    for command in ["revoke-sessions", "disable"] {
        let tokens = ada.logs_in().await;
        for site in [&signet.site, &replica.site] {
            ada.at(site).is_let_in(&tokens).await;
        }
        signet.runs(&["user", command, "ada"]).await.well();
        for site in [&signet.site, &replica.site] {
            eventually(Duration::from_secs(1), "it refuses", async || {
                introspector.introspects(site, &tokens.access).await.is(200).json()["active"] == false
            })
            .await;
            ada.at(site).is_shut_out(&tokens).await;
        }
    }
    replica.stop().await;
}

stories![
    an_operator_lets_a_locked_out_person_in,
    an_operator_sees_and_ends_a_lock_of_all_networks,
    a_disabled_account_is_shut_out,
    an_account_that_is_enabled_again_logs_in,
    no_log_in_slips_past,
    an_account_with_very_many_sessions_is_disabled,
    a_deleted_account_is_gone,
    nothing_is_kept_of_what_a_deleted_account_consented_to,
    another_password_ends_every_session,
    revoked_sessions_end_and_the_account_goes_on,
    roles_are_in_the_next_token,
    roles_granted_at_once_are_all_there,
    an_account_is_made_whether_or_not_registration_is_open,
    a_verified_address_is_one_accounts,
    an_account_is_called_by_its_id_too,
    what_the_operator_did_is_logged,
];

stories_on![Postgres: every_replica_hears_of_it_within_a_second];
