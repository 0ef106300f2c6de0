//! Values that are not URLs: each function parses a text; its error says what the key must be.

use std::{
    fmt::{self, Display},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use chrono::TimeDelta;
use ipnet::IpNet;
use lettre::{Address, message::Mailbox};
use secrecy::SecretString;

use super::model::{ClientIdDocuments, ClientRegistration, LogFormat, RateLimit, RegistrationMode};
use crate::domain::{
    color::{Color, NotAColor},
    identity::ProviderKind,
    key_schedule::SHORTEST_LEAD,
    signing_key::SigningAlgorithm,
    username::Username,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
const TEN_YEARS: Duration = Duration::from_hours(24 * 3650);

impl Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, DurationText(self.per))
    }
}

/// Writes a duration as the configuration reads it, in the largest unit that holds it exactly.
pub(super) struct DurationText(pub(super) Duration);

impl Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        match units.into_iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{}{unit}", millis / size),
            None if millis == 0 => f.write_str("0s"),
            None => write!(f, "{millis}ms"),
        }
    }
}

/// An IP address and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// An IP address and a port, or `off`.
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => address(text).map(Some).map_err(|rule| rule + ", or off"),
    }
}

/// Whether only this machine can reach `ip`.
pub(super) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

/// A whole number in `range`.
pub(super) fn number<T: FromStr + PartialOrd + Display>(text: &str, range: &RangeInclusive<T>) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

/// A duration in `range`, to the millisecond: numbers with the units ms, s, m, h, d or w.
pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    // humantime accepts more texts. Capitals are refused because 10M would be ten months; fractions are refused too.
    // Long texts are refused because humantime panics when it adds seconds near 2^64 to other numbers.
    let plain = text.len() <= 20 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b' '));
    let read = plain.then(|| humantime::parse_duration(text).ok()).flatten();
    read.filter(|duration| range.contains(duration) && duration.subsec_nanos() % 1_000_000 == 0).ok_or_else(|| {
        let (from, to) = (DurationText(*range.start()), DurationText(*range.end()));
        format!("must be a duration from {from} to {to}, such as 90s, 10m, 12h or 30d")
    })
}

/// A lifetime of at most `longest`, in whole seconds, like the times in tokens (RFC 7519 §2).
pub(super) fn lifetime(text: &str, longest: Duration) -> Result<TimeDelta, String> {
    let read = duration(text, &(SECOND..=longest))?;
    let whole = i64::try_from(read.as_secs()).ok().and_then(TimeDelta::try_seconds);
    whole.filter(|_| read.subsec_nanos() == 0).ok_or_else(|| "must be a duration in whole seconds".to_owned())
}

/// How often keys are replaced; `None` if only the operator replaces them.
pub(super) fn key_rotation(text: &str) -> Result<Option<TimeDelta>, String> {
    match text {
        "off" => Ok(None),
        _ => lifetime(text, TEN_YEARS).map(Some).map_err(|why| format!("{why}, or off")),
    }
}

/// How long a key is published before it signs: verifiers may keep the key set for five minutes, and replicas need a
/// moment to see the file.
pub(super) fn key_lead_time(text: &str) -> Result<TimeDelta, String> {
    let lead = lifetime(text, TEN_YEARS)?;
    if lead < SHORTEST_LEAD {
        return Err("must be 6m or longer: verifiers may keep the key set for 5m, and replicas need 1m".to_owned());
    }
    Ok(lead)
}

/// A passphrase: one line.
pub(super) fn passphrase(text: &str) -> Result<SecretString, String> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.contains(char::is_control) {
        return Err("must be a passphrase on one line".to_owned());
    }
    Ok(text.into())
}

/// The content of key files.
pub(super) fn keys(text: &str) -> Result<SecretString, String> {
    if text.trim().is_empty() { Err("must hold keys".to_owned()) } else { Ok(text.into()) }
}

/// A grace of at most a minute; zero turns it off.
pub(super) fn grace(text: &str) -> Result<TimeDelta, String> {
    let read = duration(text, &(Duration::ZERO..=Duration::from_mins(1)))?;
    TimeDelta::from_std(read).map_err(|error| error.to_string())
}

/// `COUNT/DURATION`.
pub(super) fn rate_limit(text: &str) -> Result<RateLimit, String> {
    let read = text.split_once('/').and_then(|(count, per)| {
        Some(RateLimit { count: number(count, &(1..=1_000_000)).ok()?, per: duration(per, &(SECOND..=DAY)).ok()? })
    });
    read.ok_or_else(|| "must be COUNT/DURATION such as 60/1m, 1 to 1000000 within 1s to 1d".to_owned())
}

/// The name of a file or folder.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("must be a path, without control characters".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// The `alg` of access tokens.
pub(super) fn signing_algorithm(text: &str) -> Result<SigningAlgorithm, String> {
    SigningAlgorithm::parse(text).ok_or_else(|| one_of(SigningAlgorithm::ALL.map(SigningAlgorithm::as_str)))
}

/// `open` or `closed`.
pub(super) fn registration(text: &str) -> Result<RegistrationMode, String> {
    match text {
        "open" => Ok(RegistrationMode::Open),
        "closed" => Ok(RegistrationMode::Closed),
        _ => Err(one_of(["open", "closed"])),
    }
}

/// `off` or `open`.
pub(super) fn client_registration(text: &str) -> Result<ClientRegistration, String> {
    match text {
        "off" => Ok(ClientRegistration::Off),
        "open" => Ok(ClientRegistration::Open),
        _ => Err(one_of(["off", "open"])),
    }
}

/// `off` or `on`.
pub(super) fn client_id_documents(text: &str) -> Result<ClientIdDocuments, String> {
    match text {
        "off" => Ok(ClientIdDocuments::Off),
        "on" => Ok(ClientIdDocuments::On),
        _ => Err(one_of(["off", "on"])),
    }
}

/// A token for an `Authorization` field (RFC 6750 §2.1), too long to be guessed.
pub(super) fn token(text: &str) -> Result<SecretString, String> {
    let text = text.trim_end_matches('\n');
    if (32..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.into());
    }
    Err("must be 32 to 1024 characters of printable ASCII without spaces".to_owned())
}

/// A display name: one line of at most 40 characters.
pub(super) fn title(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 40 || name.chars().any(char::is_control) {
        return Err("must be 1 to 40 characters on one line".to_owned());
    }
    Ok(name.to_owned())
}

/// A colour as `#rrggbb`.
pub(super) fn color(text: &str) -> Result<Color, String> {
    Color::parse(text).map_err(|why: NotAColor| why.to_string())
}

/// `text` or `json`.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(one_of(["text", "json"])),
    }
}

/// The preset that a provider follows.
pub(super) fn provider_kind(text: &str) -> Result<ProviderKind, String> {
    let kind = ProviderKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.ok_or_else(|| one_of(ProviderKind::ALL.map(ProviderKind::as_str)))
}

fn one_of<const N: usize>(words: [&str; N]) -> String {
    format!("must be one of {}", words.join(", "))
}

/// An identifier that others compare byte by byte: an audience, a client id.
pub(super) fn identifier(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|b| matches!(b, b' '..=b'~')) && text.trim() == text;
    if !printable || !(1..=200).contains(&text.len()) {
        return Err("must be 1 to 200 printable ASCII characters, without spaces at its ends".to_owned());
    }
    Ok(text.to_owned())
}

/// A client secret.
pub(super) fn client_secret(text: &str) -> Result<SecretString, String> {
    if !(1..=4096).contains(&text.len()) || text.contains(char::is_control) {
        return Err("must be 1 to 4096 bytes, without control characters".to_owned());
    }
    Ok(text.into())
}

/// A private key in PKCS#8 as PEM (RFC 7468 §10), as Apple gives it in a `.p8` file. The setup of the provider checks
/// whether the key can sign.
pub(super) fn private_key(text: &str) -> Result<SecretString, String> {
    let pem = text.trim();
    let framed = pem.starts_with("-----BEGIN PRIVATE KEY-----") && pem.ends_with("-----END PRIVATE KEY-----");
    if !framed || pem.len() > 4096 || pem.contains(|c: char| c.is_control() && !c.is_ascii_whitespace()) {
        return Err("must be the private key that Apple gave, a PEM text (the content of its .p8 file)".to_owned());
    }
    Ok(pem.into())
}

/// Networks, separated by commas or spaces; an address alone is the network of that one host.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let network = |word: &str| word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
    let networks = words(text).map(|word| network(word).map(|network| network.trunc())).collect::<Option<_>>();
    networks.ok_or_else(|| "must be networks such as 10.0.0.0/8, fd00::/8, parted by commas".to_owned())
}

/// Usernames, separated by commas or spaces.
pub(super) fn usernames(text: &str) -> Result<Vec<Username>, String> {
    words(text).map(|word| Username::parse(word).map_err(|why| format!("{word} is no username: it {why}"))).collect()
}

/// Scopes, separated by commas or spaces (their characters: RFC 6749 §3.3, less the comma).
pub(super) fn scopes(text: &str) -> Result<Vec<String>, String> {
    let well_formed = |word: &str| word.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
    if text.len() > 1024 || !words(text).all(well_formed) {
        return Err("must be scopes parted by commas or spaces, 1024 bytes at most".to_owned());
    }
    Ok(words(text).map(str::to_owned).collect())
}

/// The values of a list, separated by commas or spaces.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|word| !word.is_empty())
}

/// The sender of emails: an email address, or `Name <address>`; the name may be in quotes.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text),
    };
    let name = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
    // A control character could start another header line.
    let named = name.len() <= 255 && !name.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | '"'));
    // An email address outside ASCII needs every server on the way to accept it (RFC 6531).
    let plain = address.is_ascii() && address.len() <= 254;
    let address = address.rsplit_once('@').and_then(|(local, domain)| Address::new(local, domain).ok());
    match address {
        Some(address) if named && plain => Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address)),
        _ => Err("must be an address such as no-reply@example.org, or Name <address>".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mail_sender_cannot_smuggle_headers() {
        for text in [
            "a@b\r\nBcc: c@d",
            "A\r\nBcc: c@d <a@b>",
            "A <a@b\n>",
            "A <a@b> <c@d>",
            "a@b, c@d",
            "A <>",
            "@b",
            "é@b",
            "a@b c",
        ] {
            assert!(mailbox(text).is_err(), "{text:?}");
        }
        for (text, name, address) in [
            ("Signet <no-reply@localhost>", Some("Signet"), "no-reply@localhost"),
            ("no-reply@example.org", None, "no-reply@example.org"),
            ("Zoë & Co. <z@example.org>", Some("Zoë & Co."), "z@example.org"),
            ("\"Acme, Inc.\" <a@b>", Some("Acme, Inc."), "a@b"),
            ("<a@b>", None, "a@b"),
        ] {
            let read = mailbox(text).unwrap();
            assert_eq!((read.name.as_deref(), read.email.to_string().as_str()), (name, address), "{text}");
        }
    }

    #[test]
    fn a_capital_m_is_not_taken_for_minutes_nor_for_months() {
        let most = Duration::MAX;
        for text in ["10M", "", "600", "1.5h", "-1s", "1h-1m", "s", "10 apples", "1µs", "1us", "18446744073709551616s"]
        {
            assert!(duration(text, &(Duration::ZERO..=most)).is_err(), "{text:?}");
        }
        // This number would overflow inside the library.
        assert!(duration("18446744073709551615s 1000ms", &(Duration::ZERO..=most)).is_err());
        for (text, seconds) in
            [("90s", 90), ("10m", 600), ("12h", 43_200), ("30d", 2_592_000), ("1h 30m", 5400), ("1h30m", 5400)]
        {
            assert_eq!(duration(text, &(SECOND..=most)), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn lifetimes_have_whole_seconds_and_bounds() {
        assert_eq!(lifetime("1d", DAY), Ok(TimeDelta::days(1)));
        for text in ["0s", "1500ms", "24h 1s", "2d"] {
            assert!(lifetime(text, DAY).is_err(), "{text}");
        }
        assert_eq!(grace("0s"), Ok(TimeDelta::zero()));
        assert_eq!(grace("500ms"), Ok(TimeDelta::milliseconds(500)));
        assert!(grace("61s").is_err());
    }

    #[test]
    fn words_are_taken_exactly_as_documented() {
        for text in ["True", "1", "yes", "on", "", " true"] {
            assert!(boolean(text).is_err(), "{text}");
        }
        for text in ["es256", "HS256", "none", ""] {
            assert!(signing_algorithm(text).is_err(), "{text}");
        }
        assert!(registration("Open").is_err() && log_format("xml").is_err());
        assert_eq!(
            provider_kind("gitlab"),
            Err("must be one of google, facebook, github, microsoft, apple, oidc".into())
        );
    }

    #[test]
    fn numbers_keep_to_their_range() {
        for text in ["0", "17", "-1", "1.0", "", "1e1", " 1", "99999999999999999999"] {
            assert_eq!(number(text, &(1..=16_u32)), Err("must be a whole number from 1 to 16".into()), "{text}");
        }
        assert_eq!(number("16", &(1..=16_u32)), Ok(16));
    }

    #[test]
    fn rate_limits_are_a_count_within_a_time() {
        assert_eq!(rate_limit("60/1m"), Ok(RateLimit { count: 60, per: Duration::from_mins(1) }));
        for text in ["60", "0/1m", "60/0s", "60/2d", "/1m", "60/", "60/1m/1m", "-1/1m", "1000001/1m"] {
            assert!(rate_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn proxies_are_networks_or_single_addresses() {
        let shown = |text| networks(text).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            shown("10.1.2.3/8, fd00::/8,192.0.2.1"),
            Ok(["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"].map(String::from).into())
        );
        assert_eq!(shown(""), Ok(Vec::new()));
        for text in ["10.0.0.0/33", "proxy.example.org", "*", "10.0.0"] {
            assert!(networks(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_audience_is_short_printable_ascii() {
        for text in ["", " a", "a ", "é", "a\nb", "a\u{7f}", &"a".repeat(256)] {
            assert!(identifier(text).is_err(), "{text:?}");
        }
        assert!(identifier(&"a".repeat(200)).is_ok());
    }

    proptest! {
        #[test]
        fn a_duration_is_read_as_it_is_written(millis in 0..=3650 * 86_400_000_u64) {
            let written = Duration::from_millis(millis);
            let text = DurationText(written).to_string();
            prop_assert_eq!(duration(&text, &(Duration::ZERO..=Duration::MAX)), Ok(written));
        }

        #[test]
        fn no_text_makes_a_value_panic(text in ".{0,40}|[0-9a-z ]{0,24}|[0-9]{0,20}[smhdwy][0-9]{0,20}(s|ms)") {
            let _ = (duration(&text, &(SECOND..=Duration::MAX)), rate_limit(&text), networks(&text), mailbox(&text));
            let _ = (lifetime(&text, Duration::MAX), grace(&text), scopes(&text), address(&text));
        }
    }
}
