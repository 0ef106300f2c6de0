//! What providers answer, in the shapes that they answer in.

use serde_json::json;

use crate::harness::{browser_session::BrowserSession, idp::Idp, stories_on, test_env::TestEnvBuilder};

/// Azure sends a number as text, others leave `token_type` out, call JSON plain text, or answer with a form.
async fn a_token_answer_is_taken_as_providers_send_it(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let json = "application/json";
    for (edit, kind) in [
        (json!({"expires_in": "3600", "ext_expires_in": "0"}), (200, json)),
        (json!({"token_type": null}), (200, json)),
        (json!({"token_type": "bearer", "scope": ["openid"], "refresh_token": null, "expires_in": -1.5}), (200, json)),
        (json!({}), (201, "text/plain; charset=utf-8")),
        (json!({"expires_in": null}), (200, "text/javascript")),
        (json!({}), (200, "application/x-www-form-urlencoded")),
    ] {
        (idp.script().token_answer, idp.script().token_type) = (edit.clone(), kind);
        let browser = BrowserSession::at(&signet);
        idp.lets_in(&browser).await;
        browser.opens("/account").await.is(200);
    }
    // Nothing that decides who it is got looser.
    for edit in [
        json!({"id_token": null}),
        json!({"id_token": "a.b.c"}),
        json!({"access_token": null}),
        json!({"access_token": 7}),
    ] {
        (idp.script().token_answer, idp.script().token_type) = (edit.clone(), (200, json));
        idp.lets_in(&BrowserSession::at(&signet)).await.is(502);
    }
}

stories_on![Sqlite: a_token_answer_is_taken_as_providers_send_it];
