//! Providers that open an account: linked by who is logged in, unlinked, and never the last way in.

use std::sync::Arc;

use entity::{identity, user};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use tokio::sync::Barrier;

use crate::harness::{
    PASSWORD, Person, TestApp,
    browser_session::{BrowserSession, hidden, location, parameter},
    idp::{Idp, leaves},
    seconds, stories, stories_on,
    test_env::TestEnvBuilder,
};

const PAGE: &str = "/account/providers";

/// How many identities open this account.
async fn links(signet: &TestApp, person: &Person) -> u64 {
    let store = signet.store().await;
    let found = user::Entity::find().filter(user::Column::Username.eq(&person.username)).one(&store).await;
    let id = found.expect("it answers").expect("they are there").id;
    identity::Entity::find().filter(identity::Column::UserId.eq(id)).count(&store).await.expect("it answers")
}

/// Presses the button that links, and comes back from the provider.
async fn link(idp: &Idp, session_browser: &BrowserSession, more: &[(&str, &str)]) -> crate::harness::Answer {
    let page = session_browser.opens(PAGE).await.is(200);
    let leaving = session_browser.sends(&page, PAGE, &[&[("link", "idp"), ("unlink", "")], more].concat()).await;
    session_browser.opens(&idp.logs_in(&leaves(&leaving))).await
}

async fn who_is_logged_in_links_a_provider_and_unlinks_it(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    session_browser.logs_in_at("/login", "ada", PASSWORD).await;
    let answer = link(&idp, &session_browser, &[]).await;
    assert_eq!(location(&answer), "/account/providers?done=linked");
    assert_eq!(links(&signet, &ada).await, 1);
    // From now on it opens that account.
    let other = BrowserSession::at(&signet);
    idp.lets_in(&other).await;
    assert_eq!(user::Entity::find().count(&signet.store().await).await.expect("it answers"), 1);
    assert!(other.opens(PAGE).await.is(200).text().contains("Unlink idp"));

    let page = session_browser.opens(PAGE).await.is(200);
    let answer = session_browser.sends(&page, PAGE, &[]).await;
    assert_eq!(location(&answer), "/account/providers?done=unlinked");
    assert_eq!(links(&signet, &ada).await, 0);
    // Sessions that began with the unlinked provider have ended.
    assert!(location(&other.opens(PAGE).await).starts_with("/login"));
    session_browser.opens(PAGE).await.is(200);
}

async fn the_last_way_in_stays(builder: TestEnvBuilder) {
    let (idp, second) = (Idp::opens().await, Idp::opens().await);
    let signet = idp.open_app(second.configure(builder, "second", "oidc")).await;
    second.keeps_time_with(&signet);
    let session_browser = BrowserSession::at(&signet);
    idp.lets_in(&session_browser).await;
    let page = session_browser.opens(PAGE).await.is(200);
    assert!(page.text().contains("the only way into your account") && !page.text().contains("Unlink"), "{page:?}");
    let store = signet.store().await;
    let link = identity::Entity::find().one(&store).await.expect("it answers").expect("it is there").id.to_string();
    let refused = session_browser.sends(&page, PAGE, &[("link", ""), ("unlink", &link)]).await.is(409);
    assert!(refused.text().contains("the only way"), "{refused:?}");
    // With another one beside it, either may go, but not both.
    let leaving = session_browser.sends(&page, PAGE, &[("link", "second")]).await;
    second.script().claims = json!({"sub": "ada-at-second"});
    session_browser.opens(&second.logs_in(&leaves(&leaving))).await;
    let page = session_browser.opens(PAGE).await.is(200);
    let answer = session_browser.sends(&page, PAGE, &[("link", ""), ("unlink", &link)]).await;
    assert_eq!(location(&answer), "/account/providers?done=unlinked");
    let last = identity::Entity::find().one(&store).await.expect("it answers").expect("it is there").id.to_string();
    session_browser.sends(&page, PAGE, &[("link", ""), ("unlink", &last)]).await.is(409);
    assert_eq!(identity::Entity::find().count(&store).await.expect("it answers"), 1);
}

async fn an_identity_opens_one_account(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    idp.script().claims = json!({"preferred_username": "first"});
    idp.lets_in(&BrowserSession::at(&signet)).await;
    let grace = signet.registers("grace").await;
    let session_browser = BrowserSession::at(&signet);
    session_browser.logs_in_at("/login", "grace", PASSWORD).await;
    let answer = link(&idp, &session_browser, &[]).await.is(409);
    assert!(answer.text().contains("opens another account"), "{answer:?}");
    assert_eq!(links(&signet, &grace).await, 0);
}

/// A browser that was left open, a link from elsewhere, another account's page.
async fn only_the_owner_links_and_unlinks(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    assert_eq!(location(&session_browser.opens(PAGE).await), "/login?return_to=/account/providers");
    session_browser.logs_in_at("/login", "ada", PASSWORD).await;
    let page = session_browser.opens(PAGE).await.is(200);
    let csrf = hidden(&page.text(), PAGE).remove(0).1;
    // No form of another page or browser.
    session_browser.posts(PAGE, &[("link", "idp")]).await.is(403);
    let stranger = BrowserSession::at(&signet);
    stranger.opens("/login").await.is(200);
    stranger.posts(PAGE, &[("link", "idp"), ("csrf", &csrf)]).await.is(403);
    // After a while the password is asked for.
    signet.clock.advance(seconds(301));
    let page = session_browser.opens(PAGE).await.is(200);
    assert!(page.text().contains("Your current password"), "{page:?}");
    session_browser.sends(&page, PAGE, &[]).await.is(422);
    session_browser.sends(&page, PAGE, &[("current_password", "wrong wrong wrong")]).await.is(422);
    assert_eq!(idp.script().asked, Vec::<String>::new());
    assert_eq!(
        location(&link(&idp, &session_browser, &[("current_password", PASSWORD)]).await),
        "/account/providers?done=linked"
    );
    assert_eq!(links(&signet, &ada).await, 1);

    // The account that began the way must be the one that ends it.
    let grace = signet.registers("grace").await;
    let second = BrowserSession::at(&signet);
    second.logs_in_at("/login", "grace", PASSWORD).await;
    let page = second.opens(PAGE).await.is(200);
    let address = leaves(&second.sends(&page, PAGE, &[]).await);
    // Meanwhile somebody else logs in in that browser.
    idp.script().claims = json!({"sub": "another", "preferred_username": "another"});
    let form = second.opens("/register").await.is(200);
    idp.brings_back(&second, &form, "idp").await;
    let answer = second.opens(&idp.logs_in(&address)).await.is(403);
    assert!(answer.text().contains("not logged in any more"), "{answer:?}");
    assert_eq!(links(&signet, &grace).await, 0);
}

/// The session ends while the user is at the provider.
async fn a_session_that_ends_on_the_way_links_nothing(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let mut ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let thief = BrowserSession::at(&signet);
    thief.logs_in_at("/login", "ada", PASSWORD).await;
    let page = thief.opens(PAGE).await.is(200);
    let address = leaves(&thief.sends(&page, PAGE, &[("link", "idp"), ("unlink", "")]).await);
    assert_eq!(parameter(&address, "prompt"), "login", "it may be somebody else whom the provider knows");
    let back = idp.logs_in(&address);
    let gate = Arc::new(Barrier::new(2));
    idp.script().gate = Some(Arc::clone(&gate));
    let meanwhile = async {
        gate.wait().await;
        ada.changes_password(&tokens, "another correct horse").await;
        gate.wait().await;
    };
    let (answer, ()) = tokio::join!(thief.opens(&back), meanwhile);
    assert!(answer.is(403).text().contains("not logged in any more"));
    assert_eq!(links(&signet, &ada).await, 0);
}

/// The provider may log in anybody at the browser without asking.
async fn a_providers_word_does_not_stand_in_for_a_password(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    session_browser.logs_in_at("/login", "ada", PASSWORD).await;
    link(&idp, &session_browser, &[]).await;
    let other = BrowserSession::at(&signet);
    assert_eq!(location(&idp.lets_in(&other).await), "/account");
    let page = other.opens(PAGE).await.is(200);
    assert!(page.text().contains("Your current password"), "{page:?}");
    other.sends(&page, PAGE, &[]).await.is(422);
    assert_eq!(links(&signet, &ada).await, 1);
    let answer = other.sends(&page, PAGE, &[("current_password", PASSWORD)]).await;
    assert_eq!(location(&answer), "/account/providers?done=unlinked");
    assert_eq!(links(&signet, &ada).await, 0);
}

stories![
    a_session_that_ends_on_the_way_links_nothing,
    the_last_way_in_stays,
    who_is_logged_in_links_a_provider_and_unlinks_it,
];

stories_on![Sqlite:
    a_providers_word_does_not_stand_in_for_a_password,
    an_identity_opens_one_account,
    only_the_owner_links_and_unlinks,
];
