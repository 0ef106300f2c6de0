//! Requests as clients in the field send them: nothing that decides security depends on these details.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::harness::{Ask, PASSWORD, TestApp, jwt, stories, stories_on, test_env::Client};

const OWN: [(&str, &str); 1] = [("grant_type", "client_credentials")];

/// RFC 6749 §2.3.1 names both ways; libraries differ in which one they try first.
async fn a_secret_goes_either_way_unless_one_was_registered(signet: TestApp) {
    let any = signet.registers_service(&[]).await;
    signet.site.token(&any.in_form(&OWN)).answer().await.granted();
    any.posts(&signet.site, "/oauth/token", &OWN).await.granted();
    let guess = Client { secret: "guess".into(), ..any };
    signet.site.token(&guess.in_form(&OWN)).answer().await.oauth_error(401, "invalid_client");
    guess.posts(&signet.site, "/oauth/token", &OWN).await.oauth_error(401, "invalid_client");

    let basic = signet.registers_service(&["--auth-method", "client_secret_basic"]).await;
    signet.site.token(&basic.in_form(&OWN)).answer().await.oauth_error(401, "invalid_client");
    let form = signet.registers_service(&["--auth-method", "client_secret_post"]).await;
    form.posts(&signet.site, "/oauth/token", &OWN).await.oauth_error(401, "invalid_client");
}

/// golang.org/x/oauth2 tries `Basic ID:` first: an empty secret may be left out, so it is none (RFC 6749 §2.3.1).
async fn an_empty_secret_is_none(signet: TestApp) {
    let public = signet.registers_public_client(&[]).await;
    signet.registers("ada").await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let field = |id: &str| format!("Basic {}", STANDARD.encode(format!("{id}:")));
    let asks = async |id: &str, more: &[(&str, &str)]| {
        signet.site.token(&[&form[..], more].concat()).header("authorization", field(id)).answer().await
    };
    let tokens = asks(&public.id, &[]).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["client_id"], public.id.as_str());
    asks(&public.id, &[("client_id", &public.id), ("client_secret", "")]).await.granted();
    asks(&public.id, &[("client_id", "first-party")]).await.refused("invalid_request");
    let confidential = signet.registers_service(&[]).await;
    let answer = signet.site.token(&OWN).header("authorization", field(&confidential.id)).answer().await;
    answer.oauth_error(401, "invalid_client");
}

/// RFC 6749 §6 and RFC 7009 have no `client_id`: the token of a public client names its client.
async fn a_public_clients_token_names_its_client(signet: TestApp) {
    let public = signet.registers_public_client(&["--grant", "refresh_token"]).await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in_at(&public, &[]).await;
    let unnamed = async |token: &str| {
        signet.site.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).answer().await
    };
    let second = unnamed(&first.refresh).await.granted();
    assert_eq!(jwt::claims(&second.access)["client_id"], public.id.as_str());
    unnamed("a.b.c").await.refused("invalid_grant");
    signet.site.post("/oauth/revoke").form(&[("token", second.refresh.as_str())]).answer().await.is(200);
    unnamed(&second.refresh).await.refused("invalid_grant");
    signet.site.post("/oauth/revoke").form(&[("token", "a.b.c")]).answer().await.is(200);
}

/// A thief who holds a confidential client's token cannot use it without its secret, and learns nothing; the token
/// stays good for its client.
async fn a_confidential_clients_token_does_not_stand_for_its_secret(signet: TestApp) {
    let options = ["--name", "App", "--first-party", "--grant", "password", "--scope", "openid"];
    let client = signet.registers_client(&options).await;
    signet.registers("ada").await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let tokens = client.posts(&signet.site, "/oauth/token", &form).await.granted();
    for (path, form) in [
        ("/oauth/token", [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())]),
        ("/oauth/revoke", [("token", tokens.refresh.as_str()), ("token_type_hint", "refresh_token")]),
        ("/oauth/revoke", [("token", tokens.access.as_str()), ("token_type_hint", "access_token")]),
    ] {
        let answer = signet.site.post(path).form(&form).answer().await.oauth_error(400, "invalid_request");
        assert!(answer.string("error_description").contains("client_id"), "{answer:?}");
    }
    client.refreshes(&signet.site, &tokens).await.granted();
}

async fn a_missing_client_is_named_as_such(signet: TestApp) {
    for (path, form) in [
        ("/oauth/token", &OWN[..]),
        ("/oauth/token", &[("grant_type", "authorization_code"), ("code", "x")]),
        ("/oauth/par", &[("response_type", "code")]),
    ] {
        let answer = signet.site.post(path).form(form).answer().await.oauth_error(400, "invalid_request");
        assert!(answer.string("error_description").contains("client_id"), "{answer:?}");
    }
    // Introspection is for clients that prove who they are (RFC 7662 §2.1).
    signet.site.post("/oauth/introspect").form(&[("token", "x")]).answer().await.oauth_error(401, "invalid_client");
}

/// The body of a form is percent-encoded ASCII, and JSON is UTF-8, whatever the parameter says (RFC 8259 §11).
async fn a_charset_changes_nothing(signet: TestApp) {
    let ada = json!({"username": "ada", "password": PASSWORD}).to_string();
    signet.site.post("/v1/users").json(&json!({"username": "ada", "password": PASSWORD})).answer().await.is(201);
    let form = format!("grant_type=password&username=ada&password={}", PASSWORD.replace(' ', "+"));
    for parameter in ["; charset=ISO-8859-1", ";charset=us-ascii", "; charset=utf8", "; Charset=\"UTF-8\"", ";", "; x"]
    {
        for path in ["/v1/sessions", "/users/auth"] {
            let request = signet.site.post(path).header("content-type", format!("Application/JSON{parameter}"));
            request.body(ada.clone()).answer().await.is(200);
        }
        let kind = format!("application/x-www-form-urlencoded{parameter}");
        signet.site.post("/oauth/token").header("content-type", kind).body(form.clone()).answer().await.granted();
    }
    let request = signet.site.post("/v1/sessions").header("content-type", "application/json; charset=ISO-8859-1");
    let latin_1 = [b"{\"username\": \"ad\xe9\", \"password\": \"", PASSWORD.as_bytes(), b"\"}"].concat();
    request.body(latin_1).answer().await.some_problem(400);
}

/// RFC 8259 §8.1 lets a reader ignore a byte order mark.
async fn a_byte_order_mark_is_passed_over(signet: TestApp) {
    signet.registers("ada").await;
    let json = format!("\u{feff}{}", json!({"username": "ada", "password": PASSWORD}));
    let sends = async |body: String| {
        signet.site.post("/v1/sessions").header("content-type", "application/json").body(body).answer().await
    };
    sends(json.clone()).await.is(200);
    sends(format!("\u{feff}{json}")).await.some_problem(400); // one
}

/// `identity` is no encoding (RFC 9110 §8.4.1).
async fn identity_is_no_encoding(signet: TestApp) {
    signet.registers("ada").await;
    let json = json!({"username": "ada", "password": PASSWORD});
    let sends = async |encoding: &str| {
        signet.site.post("/v1/sessions").header("content-encoding", encoding).json(&json).answer().await
    };
    sends("identity").await.is(200);
    sends("Identity").await.is(200);
    sends("gzip").await.some_problem(415);
    sends("identity, gzip").await.some_problem(415);
}

/// RFC 8707 §2 lets a client name several resources; a token here is for one.
async fn a_resource_may_be_repeated(signet: TestApp) {
    let service =
        signet.registers_service(&["--resource", "https://a.example", "--resource", "https://b.example"]).await;
    let asks = async |resources: [&str; 2]| {
        let form = [OWN[0], ("resource", resources[0]), ("resource", resources[1])];
        service.posts(&signet.site, "/oauth/token", &form).await
    };
    let tokens = asks(["https://a.example", "https://a.example"]).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["aud"], "https://a.example");
    asks(["https://a.example", "https://b.example"]).await.refused("invalid_target");
    let form = [OWN[0], ("scope", "read"), ("scope", "read")];
    service.posts(&signet.site, "/oauth/token", &form).await.refused("invalid_request");
}

stories![a_public_clients_token_names_its_client, a_confidential_clients_token_does_not_stand_for_its_secret];

stories_on![Sqlite:
    a_secret_goes_either_way_unless_one_was_registered,
    an_empty_secret_is_none,
    a_missing_client_is_named_as_such,
    a_charset_changes_nothing,
    a_byte_order_mark_is_passed_over,
    identity_is_no_encoding,
    a_resource_may_be_repeated,
];
