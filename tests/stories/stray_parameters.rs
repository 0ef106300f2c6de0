//! Requests to the endpoints that programs call, with what stands beside the request: parameters that nobody reads, those
//! without a value, header fields of others, and the habits of HTTP libraries.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;

use crate::harness::{Answer, Ask, PASSWORD, TestApp, jwt, relying_party::RelyingParty, stories_on, test_env::Client};

const OWN: [(&str, &str); 1] = [("grant_type", "client_credentials")];
const FORM: &str = "application/x-www-form-urlencoded";

fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

async fn sends(signet: &TestApp, path: &str, body: String) -> Answer {
    signet.site.post(path).header("content-type", FORM).body(body).answer().await
}

/// A request to each endpoint that takes a form, and its status.
fn requests(client: &Client, app: &RelyingParty, token: &str) -> Vec<(&'static str, String, u16)> {
    let own = |form: &[(&str, &str)]| encoded(&client.in_form(form));
    vec![
        ("/oauth/token", own(&OWN), 200),
        ("/oauth/introspect", own(&[("token", token)]), 200),
        ("/oauth/revoke", own(&[("token", "a.b.c")]), 200),
        ("/oauth/par", encoded(&app.client.in_form(&app.pushed())), 201),
        ("/oauth/userinfo", encoded(&[("access_token", token)]), 200),
    ]
}

struct Scene {
    signet: TestApp,
    service: Client,
    app: RelyingParty,
    token: String,
}

async fn scene(signet: TestApp) -> Scene {
    let service = signet.registers_service(&["--resource", "https://a.example"]).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let token = signet.registers("ada").await.logs_in().await.access;
    Scene { signet, service, app, token }
}

/// RFC 6749 §3.1, §3.2: parameters that are not recognized are ignored.
async fn what_nobody_reads_is_passed_over(signet: TestApp) {
    let Scene { signet, service, app, token } = scene(signet).await;
    for (path, form, status) in requests(&service, &app, &token) {
        for more in [
            "x=1",
            "x=1&x=2",
            "audience=a&audience=b",
            "x=%ff",
            "x=%",
            "x=%zz&x=%zz",
            "%ff=1&%ff=1",
            "x=\u{e9}",
            "token_type_hint=a&token_type_hint=b",
            "token_type_hint=%ff",
            "&&",
            "&",
            "=",
            "=x&=y",
            "x",
            "utm_source=a&utm_source=a",
            "Client_Id=x&CLIENT_SECRET=y",
        ] {
            sends(&signet, path, format!("{form}&{more}")).await.is(status);
            sends(&signet, path, format!("{more}&{form}")).await.is(status);
            sends(&signet, &format!("{path}?{}", more.replace('\u{e9}', "%e9")), form.clone()).await.is(status);
        }
        sends(&signet, &format!("{path}?"), form.clone()).await.is(status);
        sends(&signet, &format!("{path}?client_id=other&client_id=x"), form).await.is(status);
    }
}

/// What decides is read once, or not at all.
async fn what_is_read_and_repeated_is_refused(signet: TestApp) {
    let Scene { signet, service, app, token } = scene(signet).await;
    for (path, form, _) in requests(&service, &app, &token) {
        let names: Vec<String> =
            url::form_urlencoded::parse(form.as_bytes()).map(|(name, _)| name.into_owned()).collect();
        for name in names {
            for more in [format!("{name}=x"), format!("{name}=%ff"), format!("{name}=%"), format!("{name}=x&{name}=x")]
            {
                let answer = sends(&signet, path, format!("{form}&{more}")).await.is(400);
                let code = if path == "/oauth/userinfo" { "invalid_request" } else { "" };
                let json = answer.json();
                assert!(
                    json["error"] == "invalid_request" || json["code"] == code || json["error"] == code,
                    "{answer:?}"
                );
            }
            let escaped = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
            sends(&signet, path, format!("{form}&{escaped}=x")).await.is(400);
        }
    }
    let wrong = encoded(&[("client_id", &service.id), ("client_secret", "guess"), OWN[0]]);
    sends(&signet, "/oauth/token", format!("{wrong}&x=1&x=2")).await.oauth_error(401, "invalid_client");
}

/// RFC 6749 §3.1: a parameter without a value is treated as if it was not sent.
async fn what_has_no_value_was_not_sent(signet: TestApp) {
    let Scene { signet, service, app, token } = scene(signet).await;
    for (path, form, status) in requests(&service, &app, &token) {
        for more in [
            "scope=",
            "scope=&scope=",
            "scope&scope",
            "resource=",
            "resource=&resource=",
            "client_assertion=&client_assertion_type=",
            "grant_type=&grant_type=",
            "client_id=&client_secret=&client_id=",
            "token=&access_token=&redirect_uri=&code=",
            "request=&request_uri=&request_uri=",
        ] {
            sends(&signet, path, format!("{form}&{more}")).await.is(status);
            sends(&signet, path, format!("{more}&{form}")).await.is(status);
        }
    }
    let own = encoded(&service.in_form(&OWN));
    for resource in ["resource=&resource=https://a.example", "resource=https://a.example&resource=&resource"] {
        let tokens = sends(&signet, "/oauth/token", format!("{own}&{resource}")).await.granted();
        assert_eq!(jwt::claims(&tokens.access)["aud"], "https://a.example", "{resource}");
    }
    let everything = sends(&signet, "/oauth/token", own.clone()).await.granted().scope;
    for scope in ["scope=+", "scope=%20", "scope=++%20", "scope=%09", "scope=%0d%0a"] {
        assert_eq!(
            sends(&signet, "/oauth/token", format!("{own}&{scope}")).await.granted().scope,
            everything,
            "{scope}"
        );
    }
    let narrow = sends(&signet, "/oauth/token", format!("scope=&{own}&scope=read")).await.granted();
    assert_eq!(narrow.scope, "read");
}

/// Gateways, single sign-on of Windows, and `fetch` wrappers add a field to every request.
async fn another_field_is_no_attempt_to_authenticate(signet: TestApp) {
    let Scene { signet, service, app, token } = scene(signet).await;
    let public = signet.registers_public_client(&[]).await;
    let login = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let bearer = format!("Bearer {token}");
    for field in [
        "",
        "Basic",
        "Basic ",
        "Basic Og==",
        "basic  Og==",
        "Bearer x",
        &bearer,
        "bearer",
        "Negotiate YIIJvwYGKwYBBQUCoIIJszCC",
        "NTLM TlRMTVNTUAAB",
        "Digest username=\"x\"",
        "DPoP x",
        "undefined",
        "null",
    ] {
        for (path, form, status) in requests(&service, &app, &token) {
            if path != "/oauth/userinfo" {
                let request = signet.site.post(path).header("authorization", field).header("content-type", FORM);
                request.body(form).answer().await.is(status);
            }
        }
        for form in [&login[..], &public.in_form(&login)] {
            signet.site.token(form).header("authorization", field).answer().await.granted();
        }
        // It proves nothing either.
        let nobody = signet.site.token(&OWN).header("authorization", field).answer().await;
        nobody.oauth_error(400, "invalid_request");
        let named = [OWN[0], ("client_id", &service.id)];
        signet.site.token(&named).header("authorization", field).answer().await.oauth_error(401, "invalid_client");
        let request = signet.site.post("/oauth/introspect").form(&[("token", token.as_str())]);
        request.header("authorization", field).answer().await.oauth_error(401, "invalid_client");
    }
}

/// RFC 6749 §2.3: one method a request. The same proof in two places is one.
async fn two_proofs_that_differ_are_refused(signet: TestApp) {
    let any = signet.registers_service(&[]).await;
    let by_form = signet.registers_service(&["--auth-method", "client_secret_post"]).await;
    let by_field = signet.registers_service(&["--auth-method", "client_secret_basic"]).await;
    let asks = async |field: (&str, &str), form: &[(&str, &str)]| {
        let request = signet.site.token(&[&OWN[..], form].concat()).basic_auth(field.0, Some(field.1));
        request.answer().await
    };
    for client in [&any, &by_form, &by_field] {
        let (id, secret) = (client.id.as_str(), client.secret.as_str());
        asks((id, secret), &[("client_id", id), ("client_secret", secret)]).await.granted();
        asks((id, secret), &[("client_secret", "guess")]).await.refused("invalid_request");
        asks((id, "guess"), &[("client_id", id), ("client_secret", secret)]).await.refused("invalid_request");
        asks((id, "guess"), &[("client_id", id), ("client_secret", "guess")]).await.refused("invalid_client");
        asks((id, secret), &[("client_id", &any.id[1..]), ("client_secret", secret)]).await.refused("invalid_request");
        asks((id, secret), &[("client_assertion", "a.b.c")]).await.refused("invalid_request");
    }
    // Malformed, it is an attempt that failed.
    for field in ["Basic !", "Basic OnNlY3JldA==", "Basic YTpiOg", "Basic bm9jb2xvbg=="] {
        let answer = signet.site.token(&any.in_form(&OWN)).header("authorization", field).answer().await;
        assert!([400, 401].contains(&answer.status), "{field}: {answer:?}");
    }
    let twice =
        signet.site.token(&any.in_form(&OWN)).header("authorization", "Bearer x").header("authorization", "Basic Og==");
    twice.answer().await.refused("invalid_client");
}

/// Spellings of one and the same request.
async fn a_request_may_be_spelled_in_many_ways(signet: TestApp) {
    let Scene { signet, service, token, .. } = scene(signet).await;
    let credentials = |id: &str| STANDARD.encode(format!("{id}:{}", service.secret));
    let escaped = service.id.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    for field in [
        format!("Basic {}", credentials(&service.id)),
        format!("BASIC   {}  ", credentials(&service.id)),
        format!("basic\t{}", credentials(&service.id)),
        format!("Basic {}", credentials(&service.id).trim_end_matches('=')),
        format!("Basic {}", credentials(&escaped)),
        format!("Basic {}", credentials(&escaped.to_uppercase())),
    ] {
        signet.site.token(&OWN).header("authorization", &field).answer().await.granted();
    }
    let own = encoded(&service.in_form(&[]));
    for (grant, end) in [
        ("client_credentials", "\r\n"),
        ("client_credentials", "\n"),
        ("client_credentials", "&\r\n\r\n"),
        ("client_credentials", "&"),
        ("+client_credentials+", ""),
        ("client_credentials%0A", ""),
        ("client_credentials", "&token_type_hint=nonsense"),
    ] {
        sends(&signet, "/oauth/token", format!("grant_type={grant}&{own}{end}")).await.granted();
    }
    for grant in ["client credentials", "CLIENT_CREDENTIALS", "urn:ietf:params:oauth:grant-type:device_code"] {
        let answer = sends(&signet, "/oauth/token", format!("{}&{own}", encoded(&[("grant_type", grant)]))).await;
        answer.refused("unsupported_grant_type");
    }
    for kind in [
        "application/x-www-form-urlencoded;",
        "application/x-www-form-urlencoded; boundary=x",
        "APPLICATION/X-WWW-FORM-URLENCODED ; charset=\"iso-8859-1\"; q=1",
    ] {
        let request = signet.site.post("/oauth/token").header("content-type", kind);
        request.body(format!("grant_type=client_credentials&{own}")).answer().await.granted();
    }
    for accept in ["", "*/*", "text/html", "application/xml", "nonsense", "application/jwt;q=0"] {
        signet.site.token(&service.in_form(&OWN)).header("accept", accept).answer().await.granted();
        signet.site.get("/oauth/userinfo").bearer_auth(&token).header("accept", accept).answer().await.is(200);
    }
    for field in [format!("bearer {token}"), format!("BEARER   {token}  "), format!("Bearer {token} ")] {
        signet.site.get("/oauth/userinfo").header("authorization", field).answer().await.is(200);
        signet.site.get("/oauth/userinfo").bearer_auth(&token).header("origin", "null").answer().await.is(200);
    }
    // A body that is not there needs no type; then a parameter is missing, and not the type.
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/par"] {
        let request = signet.site.post(path).basic_auth(&service.id, Some(&service.secret));
        request.answer().await.oauth_error(400, "invalid_request");
    }
    let untyped = signet.site.post("/oauth/token").body(format!("grant_type=client_credentials&{own}"));
    untyped.answer().await.oauth_error(415, "invalid_request");
}

/// `identity` is no encoding (RFC 9110 §8.4.1), and an empty member of a list is none (§5.6.1.2).
async fn no_encoding_may_be_named_in_many_ways(signet: TestApp) {
    let service = signet.registers_service(&[]).await;
    let asks = |encoding: &str| {
        let request = signet.site.token(&service.in_form(&OWN)).header("content-encoding", encoding);
        request.answer()
    };
    for encoding in
        ["", " ", "identity", "Identity", "IDENTITY", "identity, identity", "identity,identity", ",", ", identity,"]
    {
        asks(encoding).await.granted();
        let request = signet.site.post("/v1/sessions").header("content-encoding", encoding);
        request.json(&serde_json::json!({"username": "x", "password": "y"})).answer().await.is(401);
    }
    for encoding in
        ["gzip", "br", "identity, gzip", "gzip, identity", "x-gzip", "identity;q=1", "utf-8", "chunked", "none"]
    {
        let answer = asks(encoding).await.oauth_error(415, "invalid_request");
        assert!(answer.string("error_description").contains("without a content encoding"), "{answer:?}");
        assert_eq!(answer.header("accept-encoding"), "identity", "{answer:?}");
        let request = signet.site.post("/v1/sessions").header("content-encoding", encoding).json(&());
        assert_eq!(request.answer().await.some_problem(415).header("accept-encoding"), "identity");
    }
}

/// RFC 6750 §2: a request brings its token in one way.
async fn a_token_comes_in_one_way(signet: TestApp) {
    let token = signet.registers("ada").await.logs_in().await.access;
    let (form, query) = ([("access_token", token.as_str())], format!("access_token={token}"));
    let userinfo = |method: Method, path: &str| signet.site.request(method, path).bearer_auth(&token);
    let in_query = format!("/oauth/userinfo?{query}");
    for request in [
        userinfo(Method::POST, "/oauth/userinfo").form(&form),
        userinfo(Method::POST, "/oauth/userinfo").form(&[("access_token", "other")]),
        userinfo(Method::GET, &in_query),
        userinfo(Method::GET, "/oauth/userinfo?access_token=other"),
        userinfo(Method::GET, "/oauth/userinfo?access_token=%ff"),
        userinfo(Method::POST, &in_query),
        userinfo(Method::GET, &format!("/v1/users/me?{query}")),
        userinfo(Method::GET, &format!("/v1/sessions?{query}")),
    ] {
        let answer = request.answer().await.problem(400, "invalid_request");
        assert!(answer.string("detail").contains("two ways"), "{answer:?}");
        answer.challenges(400, "invalid_request");
    }
    for (path, status) in
        [("/oauth/userinfo?access_token=", 200), ("/oauth/userinfo?x=1&x=2", 200), ("/v1/users/me", 200)]
    {
        userinfo(Method::GET, path).answer().await.is(status);
    }
    userinfo(Method::POST, "/oauth/userinfo")
        .form(&[("access_token", ""), ("x", "1"), ("x", "2")])
        .answer()
        .await
        .is(200);
    // Alone, the query is no way (RFC 6750 §2.3).
    signet.site.get(&in_query).answer().await.asks_for_a_token();
    signet.site.get(&format!("/v1/users/me?{query}")).answer().await.asks_for_a_token();
    // A field of another scheme is no second token.
    signet.site.post("/oauth/userinfo").header("authorization", "Negotiate x").form(&form).answer().await.is(200);
}

stories_on![Sqlite:
    what_nobody_reads_is_passed_over,
    what_is_read_and_repeated_is_refused,
    what_has_no_value_was_not_sent,
    another_field_is_no_attempt_to_authenticate,
    two_proofs_that_differ_are_refused,
    a_request_may_be_spelled_in_many_ways,
    no_encoding_may_be_named_in_many_ways,
    a_token_comes_in_one_way,
];
