//! Identities at other providers, and the effect of a login with one (OIDC Core §5.7).
//!
//! The pair of issuer and subject identifies a user at a provider. An email address never does: email addresses get new
//! owners, and any provider may claim any of them.

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{email::EmailAddress, ids::UserId, username::Username};

/// The name of a provider, from the configuration: 1 to 64 of `a-z`, `0-9` and `-`, because it is part of paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderName(String);

/// The text is not a provider name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a provider is 1 to 64 of a-z, 0-9 and '-'")]
pub struct NotAProviderName;

/// The preset of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    Google,
    Facebook,
    Github,
    /// Microsoft Entra ID.
    Microsoft,
    /// Sign in with Apple.
    Apple,
    /// Any other OpenID provider with discovery.
    Oidc,
}

/// A user at a provider (OIDC Core §2: `iss` and `sub` together never identify another user).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
}

/// The text is not a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject is 1 to 255 printable ASCII characters")]
pub struct NotASubject;

/// A provider's statements about a user, besides the identity. All of them may be wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The email address.
    pub email: Option<String>,
    /// Whether the provider claims to have verified the email address.
    pub email_verified: bool,
    /// The public name there, such as `preferred_username`.
    pub handle: Option<String>,
    /// The real name, which the user may want to keep private.
    pub name: Option<String>,
}

/// The standard claims that ID tokens and user info share (OIDC Core §5.1). A claim of the wrong type counts as
/// missing.
#[derive(Debug, Default, Deserialize)]
pub struct ProfileClaims {
    email: Option<Value>,
    email_verified: Option<Value>,
    preferred_username: Option<Value>,
    nickname: Option<Value>,
    name: Option<Value>,
    given_name: Option<Value>,
}

/// The longest text of a profile, in bytes: the browser carries it while the user chooses a username.
const MAX_TEXT: usize = 320;

impl ProfileClaims {
    /// The profile, read by the rules for a provider of `kind`.
    #[must_use]
    pub fn read(&self, kind: ProviderKind) -> Profile {
        let text = |claim: &Option<Value>| {
            let text = claim.as_ref().and_then(Value::as_str);
            text.filter(|text| !text.is_empty() && text.len() <= MAX_TEXT).map(ToOwned::to_owned)
        };
        let verified = match &self.email_verified {
            Some(Value::Bool(verified)) => *verified,
            // Apple's documentation shows this claim as a boolean and as a string.
            Some(Value::String(text)) => kind == ProviderKind::Apple && text == "true",
            _ => false,
        };
        Profile {
            email: text(&self.email),
            email_verified: verified && kind.proves_addresses(),
            handle: text(&self.preferred_username).or_else(|| text(&self.nickname)),
            name: text(&self.name).or_else(|| text(&self.given_name)),
        }
    }
}

/// A suggested username for a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsernameSuggestion {
    /// The name is public at the provider, and may be used without asking.
    Handle(Username),
    /// The name is derived from the user's real name: ask first, because usernames are public here.
    FromName(Username),
    /// There is no suggestion.
    Nothing,
}

/// The effect of a login with a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkDecision {
    /// The account that this identity is linked to logs in.
    LogIn(UserId),
    /// The identity is linked to this account, whose owner proved the same email address, and logs in.
    Link(UserId),
    /// A new account is created.
    NewAccount(Option<Claim>),
}

/// The email address of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The provider says that the email address was proved, and the operator trusts the provider in this.
    Proved(EmailAddress),
    /// The email address is not proved yet; an email will ask its owner.
    Unproved(EmailAddress),
}

impl ProviderName {
    /// The longest name, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// Reads a name.
    ///
    /// # Errors
    /// [`NotAProviderName`] for other characters and lengths.
    pub fn parse(text: &str) -> Result<Self, NotAProviderName> {
        let plain = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if plain && (1..=Self::MAX_LENGTH).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAProviderName)
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProviderName {
    type Error = NotAProviderName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ProviderName> for String {
    fn from(name: ProviderName) -> Self {
        name.0
    }
}

impl Borrow<str> for ProviderName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ProviderKind {
    pub const ALL: [Self; 6] = [Self::Google, Self::Facebook, Self::Github, Self::Microsoft, Self::Apple, Self::Oidc];

    /// The kind as the configuration names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Facebook => "facebook",
            Self::Github => "github",
            Self::Microsoft => "microsoft",
            Self::Apple => "apple",
            Self::Oidc => "oidc",
        }
    }

    /// Whether the provider's `email_verified` says that the address is that person's own mailbox. Facebook does not
    /// say so, and at Microsoft the administrator of any organization may write any address into its accounts.
    #[must_use]
    pub fn proves_addresses(self) -> bool {
        !matches!(self, Self::Facebook | Self::Microsoft)
    }
}

impl Identity {
    /// The longest subject, in bytes (OIDC Core §2).
    pub const MAX_SUBJECT: usize = 255;

    /// The identity of `subject` at `issuer`.
    ///
    /// # Errors
    /// [`NotASubject`] for values that no provider may give (OIDC Core §2).
    pub fn new(issuer: &str, subject: &str) -> Result<Self, NotASubject> {
        let printable = subject.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !printable || subject.trim().is_empty() || subject.len() > Self::MAX_SUBJECT {
            return Err(NotASubject);
        }
        Ok(Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }
}

impl Profile {
    /// The email address, if it is valid.
    #[must_use]
    pub fn address(&self) -> Option<EmailAddress> {
        self.email.as_deref().and_then(|text| EmailAddress::parse(text).ok())
    }

    /// The email address, if the provider says that it was proved and the operator trusts the provider in this.
    #[must_use]
    pub fn trusted_address(&self, trust_email: bool) -> Option<EmailAddress> {
        self.address().filter(|_| self.email_verified && trust_email)
    }

    /// A suggested username for a new account. No part of an email address becomes one: usernames are public, email
    /// addresses are not.
    #[must_use]
    pub fn proposal(&self) -> UsernameSuggestion {
        let name = |text: &Option<String>| text.as_deref().filter(|text| !text.contains('@')).and_then(username_of);
        let handle = name(&self.handle).map(UsernameSuggestion::Handle);
        handle.or_else(|| name(&self.name).map(UsernameSuggestion::FromName)).unwrap_or(UsernameSuggestion::Nothing)
    }
}

/// The username that is closest to `text`, if any is.
fn username_of(text: &str) -> Option<Username> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined: String = words.join(".").chars().take(Username::MAX_LENGTH).collect();
    Username::parse(&joined).ok()
}

/// The placeholder for the organization in the issuer of Microsoft's metadata for all organizations.
pub const TENANT: &str = "{tenantid}";

/// Whether `iss` is the issuer that metadata name as `issuer`, byte for byte. If `issuer` contains [`TENANT`], `iss`
/// must have the UUID of an organization in its place.
#[must_use]
pub fn is_issuer(issuer: &str, iss: &str) -> bool {
    let Some((before, after)) = issuer.split_once(TENANT) else { return issuer == iss };
    let tenant = iss.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    tenant.is_some_and(|tenant| tenant.len() == 36 && Uuid::parse_str(tenant).is_ok())
}

/// Decides the effect of a login with an identity.
///
/// `linked` is the account that the identity is linked to; `owner` is the account that has verified `profile`'s email
/// address here. Unverified addresses count for nothing. An attacker who registered with a victim's address gains
/// nothing when the victim logs in with a provider; neither does a provider that claims the address for another user.
#[must_use]
pub fn decide(linked: Option<UserId>, owner: Option<UserId>, profile: &Profile, trust_email: bool) -> LinkDecision {
    if let Some(user) = linked {
        return LinkDecision::LogIn(user);
    }
    match (profile.trusted_address(trust_email), owner) {
        (Some(_), Some(owner)) => LinkDecision::Link(owner),
        (Some(address), None) => LinkDecision::NewAccount(Some(Claim::Proved(address))),
        (None, _) => LinkDecision::NewAccount(profile.address().map(Claim::Unproved)),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ADA: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));

    fn says(email: Option<&str>, email_verified: bool) -> Profile {
        Profile { email: email.map(str::to_owned), email_verified, ..Profile::default() }
    }

    #[test]
    fn a_linked_identity_logs_in_whatever_its_address_has_become() {
        for profile in [says(None, false), says(Some("bob@example.org"), true)] {
            assert_eq!(decide(Some(ADA), Some(BOB), &profile, true), LinkDecision::LogIn(ADA));
        }
    }

    #[test]
    fn an_account_is_linked_only_when_both_sides_proved_the_address_and_the_provider_is_trusted() {
        let ada = || EmailAddress::parse("ada@example.org").unwrap();
        let claimed = LinkDecision::NewAccount(Some(Claim::Unproved(ada())));
        let decision =
            |verified, trusted, owner| decide(None, owner, &says(Some("ada@example.org"), verified), trusted);
        assert_eq!(decision(true, true, Some(ADA)), LinkDecision::Link(ADA));
        for (verified, trusted) in [(true, false), (false, true), (false, false)] {
            assert_eq!(decision(verified, trusted, Some(ADA)), claimed, "{verified} {trusted}");
            assert_eq!(decision(verified, trusted, None), claimed, "{verified} {trusted}");
        }
        // No account has verified it here: an unverified claim does not make an owner.
        assert_eq!(decision(true, true, None), LinkDecision::NewAccount(Some(Claim::Proved(ada()))));
    }

    #[test]
    fn a_missing_or_malformed_address_is_fine() {
        for email in [None, Some(""), Some("not an address"), Some("a@b"), Some("ada@example.org\r\nBcc: x@y.z")] {
            assert_eq!(decide(None, None, &says(email, true), true), LinkDecision::NewAccount(None), "{email:?}");
        }
    }

    #[test]
    fn only_what_is_public_at_the_provider_becomes_a_name_unasked() {
        let proposal = |handle: Option<&str>, name: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Profile { handle: text(handle), name: text(name), ..Profile::default() }.proposal()
        };
        let name = |text| Username::parse(text).unwrap();
        assert_eq!(proposal(Some("ada"), Some("Ada Lovelace")), UsernameSuggestion::Handle(name("ada")));
        assert_eq!(proposal(None, Some("Ada Lovelace")), UsernameSuggestion::FromName(name("Ada.Lovelace")));
        assert_eq!(proposal(Some("ada@example.org"), Some("Ada")), UsernameSuggestion::FromName(name("Ada")));
        assert_eq!(proposal(Some("ada@example.org"), Some("ada@example.org")), UsernameSuggestion::Nothing);
        assert_eq!(proposal(Some("a/b"), Some("\u{202e}x")), UsernameSuggestion::Nothing);
        assert_eq!(proposal(Some(""), None), UsernameSuggestion::Nothing);
    }

    #[test]
    fn a_subject_is_short_and_printable() {
        for good in ["1", "248289761001", "auth0|5f7c8ec7c33c6c004bbafe82", &"x".repeat(255)] {
            assert!(Identity::new("https://id.example", good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a\0", "a\nb", "ä", &"x".repeat(256)] {
            assert_eq!(Identity::new("https://id.example", bad), Err(NotASubject), "{bad:?}");
        }
    }

    #[test]
    fn a_provider_is_named_for_a_path() {
        assert!(ProviderName::parse("my-idp2").is_ok());
        for bad in ["", "My", "a/b", "a.b", "a%2fb", "ä", &"x".repeat(65)] {
            assert_eq!(ProviderName::parse(bad), Err(NotAProviderName), "{bad:?}");
        }
    }
}
