//! CSRF protection (OWASP ASVS 5.0, 3.5.1): a cookie holds an id of the browser, and each form carries a code for that
//! id that nobody else can compute.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    crypto::{
        digest,
        keys::ring::{Keyring, Purpose},
        mac,
        random::Random,
    },
    domain::clock::Clock,
};

/// Computes and checks the codes of forms.
#[derive(Debug, Clone)]
pub struct Csrf {
    /// All replicas derive the same codes from its root secrets.
    pub keyring: Arc<Keyring>,
    pub random: Random,
    pub clock: Arc<dyn Clock>,
}

/// A browser's id: 128 random bits, 22 characters of base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserId(String);

/// The length of a browser's id, in characters.
const BROWSER_ID: usize = 22;

impl BrowserId {
    /// Parses the cookie's value; `None` if it cannot be an id of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ours = text.len() == BROWSER_ID && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok();
        ours.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Csrf {
    /// An id for a browser that has none yet.
    #[must_use]
    pub fn new_browser_id(&self) -> BrowserId {
        BrowserId(self.random.token_id())
    }

    /// The code of `form` for this browser: 43 characters of base64url. It is valid for no other form.
    #[must_use]
    pub fn code(&self, browser: &BrowserId, form: &str) -> String {
        let keys = self.keyring.current();
        let root = keys.active_root_secret(self.clock.now());
        // Without a root secret the service does not start; an empty code is refused.
        let code = root.map(|root| mac::code(&root.derive(Purpose::Csrf), &parts(browser, form)));
        code.map(|code| BASE64_URL_SAFE_NO_PAD.encode(code)).unwrap_or_default()
    }

    /// Whether `code` is the code of `form` for this browser, under any root secret that is still kept.
    #[must_use]
    pub fn is_good(&self, browser: &BrowserId, form: &str, code: &str) -> bool {
        let Ok(code) = BASE64_URL_SAFE_NO_PAD.decode(code) else { return false };
        let keys = self.keyring.current();
        let mut roots = keys.root_secrets().iter();
        roots.any(|root| digest::equal(&mac::code(&root.key.derive(Purpose::Csrf), &parts(browser, form)), &code))
    }
}

fn parts<'a>(browser: &'a BrowserId, form: &'a str) -> [&'a [u8]; 2] {
    [browser.0.as_bytes(), form.as_bytes()]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        crypto::keys::{
            files::{self as key_files, KeyKind},
            source::KeySource,
        },
        domain::clock::SystemClock,
    };

    fn csrf() -> (TempDir, Csrf) {
        let dir = TempDir::new().unwrap();
        key_files::create(dir.path(), KeyKind::RootSecret, DateTime::UNIX_EPOCH).unwrap();
        let keyring =
            Arc::new(Keyring::new(KeySource::folder(dir.path().to_owned()), key_files::read(dir.path()).unwrap()));
        (dir, Csrf { keyring, random: Random, clock: Arc::new(SystemClock) })
    }

    #[test]
    fn a_code_is_good_for_its_form_and_its_browser_alone() {
        let (_dir, csrf) = csrf();
        let (ada, eve) = (csrf.new_browser_id(), csrf.new_browser_id());
        let code = csrf.code(&ada, "login");
        assert!(csrf.is_good(&ada, "login", &code));
        assert!(!csrf.is_good(&eve, "login", &code));
        assert!(!csrf.is_good(&ada, "logout", &code));
        for bad in ["", "A", &code[1..], &code.to_lowercase(), &format!("{code}A")] {
            assert!(!csrf.is_good(&ada, "login", bad), "{bad}");
        }
    }

    #[test]
    fn a_code_stays_good_while_its_root_secret_is_kept() {
        let (dir, csrf) = csrf();
        let browser = csrf.new_browser_id();
        let code = csrf.code(&browser, "login");
        key_files::create(dir.path(), KeyKind::RootSecret, DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1)).unwrap();
        assert!(csrf.keyring.reload().unwrap());
        assert_ne!(csrf.code(&browser, "login"), code);
        assert!(csrf.is_good(&browser, "login", &code));
    }

    #[test]
    fn a_browser_has_a_name_that_we_could_have_given() {
        let (_dir, csrf) = csrf();
        let name = csrf.new_browser_id();
        assert_eq!(BrowserId::parse(name.as_str()), Some(name));
        for bad in ["", "short", "AAAAAAAAAAAAAAAAAAAAA;", "AAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(BrowserId::parse(bad), None, "{bad}");
        }
    }
}
