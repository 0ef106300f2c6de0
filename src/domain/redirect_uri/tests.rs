use super::*;

const REGISTERED: &str = "https://app.example.com/callback?tenant=7";

fn takes(registered: &str, presented: &str) -> bool {
    is_registered(&[registered.to_owned()], presented)
}

#[test]
fn only_the_registered_bytes_will_do() {
    assert!(takes(REGISTERED, REGISTERED));
    for bad in [
        "",
        "https://app.example.com/callback",
        "https://app.example.com/callback?tenant=7&x=1",
        "https://app.example.com/callback?tenant=8",
        "https://app.example.com/callback?tenant=7#",
        "https://app.example.com/callback/?tenant=7",
        "https://app.example.com/Callback?tenant=7",
        "https://app.example.com/callback%3ftenant=7",
        "https://app.example.com/x/../callback?tenant=7",
        "https://app.example.com//callback?tenant=7",
        "https://app.example.com:443/callback?tenant=7",
        "https://APP.example.com/callback?tenant=7",
        "https://app.example.com./callback?tenant=7",
        "https://app.example.com@evil.example/callback?tenant=7",
        "https://app.example.com.evil.example/callback?tenant=7",
        "https://evil.example/https://app.example.com/callback?tenant=7",
        "https://app.example.com\\@evil.example/callback?tenant=7",
        "http://app.example.com/callback?tenant=7",
        "//app.example.com/callback?tenant=7",
        " https://app.example.com/callback?tenant=7",
        "https://app.example.com/callback?tenant=7 ",
        "https://app.example.com/callback?tenant=7\n",
        "https://app.example.com/callback?tenant=7\0",
        "javascript:alert(1)",
    ] {
        assert!(!takes(REGISTERED, bad), "{bad:?}");
    }
}

#[test]
fn of_a_loopback_address_the_port_alone_is_free() {
    for good in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"] {
        assert!(takes("http://127.0.0.1:4711/cb", good), "{good}");
        assert!(takes("http://127.0.0.1/cb", good), "{good}");
    }
    assert!(takes("http://[::1]/cb", "http://[::1]:4711/cb"));
    for good in ["http://127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1:4711", "http://127.0.0.1:4711/"] {
        assert!(takes("http://127.0.0.1", good) && takes("http://127.0.0.1:1/", good), "{good}");
    }
    for good in ["http://127.0.0.1?x", "http://127.0.0.1:1?x", "http://127.0.0.1:65535/?x", "http://127.0.0.1/?x"] {
        assert!(takes("http://127.0.0.1?x", good) && takes("http://127.0.0.1:7/?x", good), "{good}");
    }
    for bad in ["http://127.0.0.1?y", "http://127.0.0.1", "http://127.0.0.1:0?x", "http://127.0.0.1:@evil.example?x"] {
        assert!(!takes("http://127.0.0.1?x", bad), "{bad}");
    }
    for bad in
        ["http://127.0.0.1:", "http://127.0.0.1:1?x", "http://127.0.0.1.evil.example", "http://127.0.0.1@evil.example"]
    {
        assert!(!takes("http://127.0.0.1", bad), "{bad}");
    }
    for bad in [
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:080/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:4711",
        "http://127.0.0.1:4711/cb/",
        "http://127.0.0.1:4711/cb?x=1",
        "http://127.0.0.1:47x/cb",
        "http://127.0.0.1:@evil.example/cb",
        "http://127.0.0.1:1@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.2:4711/cb",
        "http://127.1:4711/cb",
        "http://localhost:4711/cb",
        "http://[::1]:4711/cb",
        "https://127.0.0.1:4711/cb",
    ] {
        assert!(!takes("http://127.0.0.1:4711/cb", bad), "{bad}");
    }
    assert!(!takes("http://localhost:1/cb", "http://localhost:2/cb"), "a name may be another machine's");
    assert!(!takes("https://app.example.com:1/cb", "https://app.example.com:2/cb"));
}

fn of(schemes: AppSchemes, uri: &str) -> Result<(), NotARedirectUri> {
    check(uri, Purpose::Redirect, schemes)
}

#[test]
fn what_can_be_registered_is_https_this_machine_or_an_app() {
    for good in [
        "https://app.example.com/cb?x=1",
        "https://app.example.com/cb?x=1,2",
        "https://App.Example.com:8443/cb",
        "https://[2001:db8::1]/cb",
        "http://localhost:3000/cb",
        "http://127.0.0.1",
        "http://[::1]:1/",
        "http://127.0.0.1?x",
        "http://[::1]",
        "HTTPS://App.Example.org/cb",
        "https://a.example/cb,",
        "https://a.example/cb;v=1?u=http://b.example/",
        "https://a.example/cb?x=%5B%5D",
    ] {
        assert_eq!(of(AppSchemes::None, good), Ok(()), "{good}");
    }
    for (uri, dot_or_host, any) in [
        ("com.example.app:/cb", true, true),
        ("cursor://anysphere.cursor-mcp/oauth/callback", true, true),
        ("app:/cb", false, true),
        ("app:///cb", false, true),
    ] {
        assert_eq!(of(AppSchemes::None, uri), Err(NotARedirectUri::Scheme), "{uri}");
        assert_eq!(of(AppSchemes::WithDotOrHost, uri).is_ok(), dot_or_host, "{uri}");
        assert_eq!(of(AppSchemes::Any, uri).is_ok(), any, "{uri}");
    }
}

#[test]
fn what_could_never_match_or_would_deceive_is_refused() {
    use NotARedirectUri::{
        Character, ForeignScheme, Fragment, List, Malformed, NoScheme, Pattern, Percent, Port, Reserved, Scheme,
        UserInformation,
    };
    for (bad, why) in [
        ("http://app.example.com/cb", Scheme),
        ("http://localhost.evil.example/cb", Scheme),
        ("javascript:alert(1)", ForeignScheme),
        ("JavaScript://x/cb", ForeignScheme),
        ("data:text/html,x", ForeignScheme),
        ("file:///etc/passwd", ForeignScheme),
        ("ftp://127.0.0.1/", ForeignScheme),
        ("httpz://a.example/", ForeignScheme),
        ("ms-settings:x", ForeignScheme),
        ("https://a.example/#", Fragment),
        ("https://user@a.example/", UserInformation),
        ("https://@a.example/", NotARedirectUri::Host),
        ("https://*.example.com/cb", Pattern),
        ("https://a.example/*", Pattern),
        ("https://a.example/cb,https://b.example/cb", List),
        ("https://x;sandbox/cb", NotARedirectUri::Host),
        ("https://a_b.example/cb", NotARedirectUri::Host),
        ("https://%61.example/cb", NotARedirectUri::Host),
        ("https://a.example/cb?x=1&code=2", Reserved("code")),
        ("https://a.example/cb?i%73s", Reserved("iss")),
        ("", Malformed),
        ("/cb", Malformed),
        ("https://", Malformed),
        ("https:a.example/cb", Malformed),
        ("https://a.example/ä", Malformed),
        ("https:\\\\a.example/", Character('\\')),
        ("https://a.example:x/", Port),
        ("https://a.example:65536/", Port),
        ("https://a.example:0/cb", Port),
        ("https://a.example:/cb", Port),
        ("http://localhost:/cb", Port),
        ("http://localhost:", Port),
        ("http://[::1]:/cb", Port),
        ("http://127.0.0.1:0", Port),
        ("app://host:0/cb", Port),
        ("localhost:3000/cb", NoScheme),
        ("localhost:3000", NoScheme),
        ("LOCALHOST:3000?x", NoScheme),
        ("localhost:", NoScheme),
        ("localhost:/cb", NoScheme),
        ("127.0.0.1:8080/cb", NoScheme),
        ("app.example.org:8443/cb", NoScheme),
        ("example.org:8080", NoScheme),
        ("example.org:8080?x=1#f", NoScheme),
        ("https://a.example/cb;https://b.example/cb", List),
        ("https://a.example/cb|https://b.example/cb", List),
        ("https://a.example/cb https://b.example/cb", List),
        ("https://a.example/cb\nhttps://b.example/cb", List),
        ("https://a.example/cb\t app://b", List),
        ("https://a.example/cb, http://127.0.0.1/cb", List),
        ("[\"https://a.example/cb\",\"https://b.example/cb\"]", List),
        ("com.example.app:/cb,com.example.other:/cb", List),
        ("[\"https://a.example/cb\"]", Character('[')),
        ("<https://a.example/cb>", Character('<')),
        ("https://a.example/{tenant}/cb", Character('{')),
        ("https://a.example/cb?x=}", Character('}')),
        ("https://a.example/cb?x=<y", Character('<')),
        ("https://a.example/cb?x=y>", Character('>')),
        ("https://a.example/a|b", Character('|')),
        ("https://a.example/a^b", Character('^')),
        ("https://a.example/\"", Character('"')),
        ("https://a.example/`", Character('`')),
        ("https://a.example/cb?x[]=1", Character('[')),
        ("https://a.example/x]", Character(']')),
        ("http://[::1]/[x", Character('[')),
        ("app://[::1]/]", Character(']')),
        ("https://a.example/100%", Percent),
        ("https://a.example/%zz", Percent),
        ("https://a.example/%4", Percent),
        ("https://a.example/cb?x=%2", Percent),
        ("app:/cb?%", Percent),
        ("https://a.example/\u{a0}", Malformed),
        (" https://a.example/cb", Malformed),
        ("https://a.example/cb ", Malformed),
    ] {
        assert_eq!(of(AppSchemes::Any, bad), Err(why), "{bad}");
    }
    let logout = |uri| check(uri, Purpose::PostLogout, AppSchemes::None);
    assert_eq!(logout("https://a.example/?code=1"), Ok(()));
    assert_eq!(logout("https://a.example/?state=1"), Err(Reserved("state")));
    assert_eq!(check("https://a.example/?state=1", Purpose::BackchannelLogout, AppSchemes::None), Ok(()));
}

#[test]
fn an_origin_is_what_a_policy_names() {
    assert_eq!(origin("https://app.example.com/cb?x=1").as_deref(), Some("https://app.example.com"));
    assert_eq!(origin("http://127.0.0.1:4711/cb").as_deref(), Some("http://127.0.0.1:4711"));
    assert_eq!(origin("com.example.app:/cb").as_deref(), Some("com.example.app:"));
}

#[test]
fn a_scheme_in_capitals_is_the_same_scheme() {
    for (uri, on_device) in [
        ("https://a.example/", false),
        ("HTTPS://a.example/", false),
        ("http://127.0.0.1/", true),
        ("httpsx://a/", true),
        ("https.app:/cb", true),
    ] {
        assert_eq!(is_on_device(uri), on_device, "{uri}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_refused_or_can_match(
        text in "(https?|HTTPS|app|com\\.app|localhost)?:?/{0,2}[a-z0-9.:\\[\\]@%/?#|,; {}*-]{0,24}|\\PC{0,24}",
    ) {
        for purpose in [Purpose::Redirect, Purpose::PostLogout, Purpose::BackchannelLogout] {
            if check(&text, purpose, AppSchemes::Any).is_err() {
                continue;
            }
            assert!(takes(&text, &text), "{text:?}");
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}<>|^\"`\\*#".contains(&byte)), "{text:?}");
            assert!(origin(&text).is_some(), "{text:?}");
        }
    }
}
