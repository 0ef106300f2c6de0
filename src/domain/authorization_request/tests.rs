use super::*;

fn good() -> Parameters {
    Parameters {
        response_type: Some("code".into()),
        code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into()),
        code_challenge_method: Some("S256".into()),
        ..Parameters::default()
    }
}

fn target() -> RedirectTarget {
    RedirectTarget { uri: "https://a.example/".into(), is_implied: false }
}

fn read(parameters: Parameters) -> Result<AuthorizationRequest, &'static str> {
    read_of(Pkce::Required, parameters)
}

fn read_of(pkce: Pkce, parameters: Parameters) -> Result<AuthorizationRequest, &'static str> {
    let client = Client { pkce, ..Client::first_party() };
    let read = AuthorizationRequest::parse(&client, target(), ResponseMode::Query, parameters);
    read.map_err(|refusal| refusal.code.as_str())
}

#[test]
fn no_request_goes_without_a_code_challenge_of_s256() {
    assert!(read(good()).is_ok());
    for (challenge, method) in [
        (None, Some("S256")),
        (good().code_challenge, None),
        (good().code_challenge, Some("plain")),
        (good().code_challenge, Some("s256")),
        (Some("short".to_owned()), Some("S256")),
    ] {
        let bad = Parameters { code_challenge: challenge, code_challenge_method: method.map(Into::into), ..good() };
        assert_eq!(read(bad.clone()), Err("invalid_request"));
        assert_eq!(read_of(Pkce::Optional, bad), Err("invalid_request"), "half a challenge is none");
    }
    let without = Parameters { code_challenge: None, code_challenge_method: None, ..good() };
    assert_eq!(read(without.clone()), Err("invalid_request"));
    assert!(read_of(Pkce::Optional, without).is_ok_and(|request| request.code_challenge.is_none()));
}

#[test]
fn only_codes_are_given() {
    for other in ["token", "id_token", "code id_token", "code token", "none", "CODE"] {
        let bad = Parameters { response_type: Some(other.into()), ..good() };
        assert_eq!(read(bad), Err("unsupported_response_type"), "{other}");
    }
    assert_eq!(read(Parameters { response_type: None, ..good() }), Err("invalid_request"));
    assert_eq!(read(Parameters { request: Some("x".into()), ..good() }), Err("request_not_supported"));
    assert_eq!(read(Parameters { request_uri: Some("x".into()), ..good() }), Err("request_uri_not_supported"));
}

#[test]
fn prompts_are_words_of_the_protocol_and_none_stands_alone() {
    let prompt = |text: &str| read(Parameters { prompt: Some(text.into()), ..good() }).map(|request| request.prompt);
    assert!(prompt("login consent").is_ok_and(|prompt| prompt.login && prompt.consent && !prompt.none));
    assert_eq!(prompt(" login  consent "), prompt("login consent"));
    assert!(prompt("none").is_ok_and(|prompt| prompt.none));
    for bad in ["none login", "Login", "create", "login\tconsent"] {
        assert_eq!(prompt(bad), Err("invalid_request"), "{bad}");
    }
}

#[test]
fn max_age_is_a_number() {
    let max_age = |text: &str| read(Parameters { max_age: Some(text.into()), ..good() }).map(|request| request.max_age);
    assert_eq!(max_age("0"), Ok(Some(0)));
    assert_eq!(max_age("86400"), Ok(Some(86400)));
    assert_eq!((max_age("00"), max_age("007")), (Ok(Some(0)), Ok(Some(7))));
    assert_eq!((max_age("+5"), max_age(" 5"), max_age("5 ")), (Ok(Some(5)), Ok(Some(5)), Ok(Some(5))));
    let nines = "9".repeat(400);
    for long in
        ["1000000000", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", &nines]
    {
        assert_eq!(max_age(long), Ok(Some(MAX_AGE)), "{long}");
    }
    for bad in ["-1", "-0", "1.5", "++1", "+", " ", "1e3", "0x5", "1 2", "٥", "-9223372036854775809"] {
        assert_eq!(max_age(bad), Err("invalid_request"), "{bad}");
    }
}

#[test]
fn what_comes_back_is_bounded() {
    assert_eq!(read(Parameters { state: Some("x".repeat(2049)), ..good() }), Err("invalid_request"));
    assert_eq!(read(Parameters { nonce: Some("a\nb".into()), ..good() }), Err("invalid_request"));
    assert_eq!(read(Parameters { nonce: Some("x".repeat(513)), ..good() }), Err("invalid_request"));
    assert!(read(Parameters { nonce: Some("\"".repeat(512)), ..good() }).is_ok());
}

#[test]
fn what_travels_with_the_browser_is_bounded() {
    let of = |length: usize| Some("x".repeat(length));
    for (fits, most) in [(true, 0), (false, 1)] {
        let scope = Parameters { scope: of(1024 + most), ..good() };
        let resource = Parameters { resource: of(512 + most), ..good() };
        for parameters in [scope, resource] {
            let read = read(parameters).map(|_| ());
            assert_eq!(read, if fits { Ok(()) } else { Err("invalid_request") });
        }
    }
}

#[test]
fn hints_that_can_name_nobody_are_left_out() {
    for hint in ["a\nb", "\0", "\u{fffd}", &"x".repeat(255)] {
        let hints = Parameters { login_hint: Some(hint.into()), idp_hint: Some(hint.into()), ..good() };
        let request = read(hints).expect("it is no error");
        assert_eq!((request.login_hint, request.idp_hint), (None, None), "{hint:?}");
    }
    // It was sent, and must not count as not sent.
    let hint = |length: usize| read(Parameters { id_token_hint: Some("x".repeat(length)), ..good() });
    assert_eq!(hint(4096).expect("it is no error").id_token_hint.map(|hint| hint.len()), Some(4096));
    assert_eq!(hint(4097).expect("it is no error").id_token_hint, Some(String::new()));
}

#[test]
fn a_redirect_uri_may_be_left_out_where_there_is_one() {
    let with = |uris: &[&str]| Client {
        redirect_uris: uris.iter().map(ToString::to_string).collect(),
        ..Client::first_party()
    };
    let (one, two) = (with(&["https://a.example/cb"]), with(&["https://a.example/cb", "https://b.example/cb"]));
    let scoped = |scope: Option<&str>| Parameters { scope: scope.map(Into::into), ..good() };
    for scope in [None, Some("email"), Some("openidx"), Some("xopenid OPENID")] {
        let target = scoped(scope).redirect_target(&one);
        assert_eq!(target, Some(RedirectTarget { uri: "https://a.example/cb".into(), is_implied: true }), "{scope:?}");
        assert_eq!(scoped(scope).redirect_target(&two), None, "{scope:?}");
        assert_eq!(scoped(scope).redirect_target(&with(&[])), None, "{scope:?}");
    }
    for scope in ["openid", "email openid", " openid  email"] {
        assert_eq!(scoped(Some(scope)).redirect_target(&one), None, "{scope:?}");
    }
    // Perhaps it was repeated.
    assert_eq!(Parameters { malformed: true, ..good() }.redirect_target(&one), None);
    let named = |uri: &str| Parameters { redirect_uri: Some(uri.into()), ..good() };
    assert!(named("https://b.example/cb").redirect_target(&two).is_some_and(|target| !target.is_implied));
    assert_eq!(named("https://b.example/cb").redirect_target(&one), None);
}
