//! Answers of user-info endpoints, for each kind of provider.

use serde::Deserialize;

use crate::{
    domain::identity::{Profile, ProfileClaims, ProviderKind},
    outbound::provider::fetch::ProviderError,
};

/// A person's identity as a user-info endpoint gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The subject at the provider.
    pub subject: String,
    /// The other claims.
    pub profile: Profile,
}

const UNREADABLE: ProviderError = ProviderError::Garbage("user info");

/// Standard claims (OIDC Core §5.3.2).
#[derive(Debug, Deserialize)]
struct OpenId {
    sub: String,
    #[serde(flatten)]
    profile: ProfileClaims,
}

/// An account at GitHub. The email address comes from another endpoint, which says whether it is verified.
#[derive(Debug, Deserialize)]
struct GithubUser {
    id: u64,
    #[serde(flatten)]
    profile: ProfileClaims,
    login: String,
}

#[derive(Debug, Deserialize)]
struct GithubEmail {
    email: String,
    primary: bool,
    verified: bool,
}

/// An account at Facebook, which does not say whether the email address is verified.
#[derive(Debug, Deserialize)]
struct FacebookUser {
    id: String,
    #[serde(flatten)]
    profile: ProfileClaims,
}

/// Reads the answer of the user-info endpoint of a provider of `kind`.
///
/// # Errors
/// [`ProviderError::Garbage`] if it names no subject.
pub(in crate::outbound) fn read(kind: ProviderKind, json: &[u8]) -> Result<UserInfo, ProviderError> {
    let unreadable = |_| UNREADABLE;
    Ok(match kind {
        ProviderKind::Github => {
            let user: GithubUser = serde_json::from_slice(json).map_err(unreadable)?;
            // The email address of the public profile is free text.
            let profile = Profile { email: None, email_verified: false, ..user.profile.read(kind) };
            UserInfo { subject: user.id.to_string(), profile: Profile { handle: Some(user.login), ..profile } }
        }
        ProviderKind::Facebook => {
            let user: FacebookUser = serde_json::from_slice(json).map_err(unreadable)?;
            UserInfo { subject: user.id, profile: user.profile.read(kind) }
        }
        _ => {
            let user: OpenId = serde_json::from_slice(json).map_err(unreadable)?;
            UserInfo { subject: user.sub, profile: user.profile.read(kind) }
        }
    })
}

/// The primary email address of an account at GitHub, and whether it is verified.
///
/// # Errors
/// [`ProviderError::Garbage`] if it is no list of email addresses.
pub(in crate::outbound) fn primary_email(json: &[u8]) -> Result<Option<(String, bool)>, ProviderError> {
    let emails: Vec<GithubEmail> = serde_json::from_slice(json).map_err(|_| UNREADABLE)?;
    Ok(emails.into_iter().find(|email| email.primary).map(|email| (email.email, email.verified)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_names_people_in_its_own_words() {
        let github = read(ProviderKind::Github, br#"{"id":583231,"login":"octocat","name":"Mona","email":"x@y.zz"}"#);
        let github = github.unwrap();
        assert_eq!(github.subject, "583231");
        assert_eq!(github.profile.handle.as_deref(), Some("octocat"));
        assert_eq!((github.profile.email, github.profile.email_verified), (None, false), "anybody may write one there");
        let facebook = br#"{"id":"10","name":"Ada","email":"ada@example.org","email_verified":true}"#;
        let facebook = read(ProviderKind::Facebook, facebook).unwrap();
        assert_eq!(facebook.subject, "10");
        assert!(!facebook.profile.email_verified && facebook.profile.email.is_some());
        let openid = br#"{"sub":"s","email":"ada@example.org","email_verified":true}"#;
        let openid = read(ProviderKind::Oidc, openid).unwrap();
        assert!(openid.subject == "s" && openid.profile.email_verified);
    }

    #[test]
    fn a_user_who_is_not_named_is_nobody() {
        for (kind, json) in [
            (ProviderKind::Github, r#"{"id":"583231","login":"octocat"}"#),
            (ProviderKind::Github, r#"{"login":"octocat"}"#),
            (ProviderKind::Github, r#"{"message":"Bad credentials"}"#),
            (ProviderKind::Facebook, r#"{"id":10}"#),
            (ProviderKind::Facebook, r#"{"error":{}}"#),
            (ProviderKind::Oidc, r#"{"sub":1}"#),
            (ProviderKind::Oidc, r#"{"sub":"a","sub":"b"}"#),
            (ProviderKind::Oidc, "eyJhbGciOiJub25lIn0.e30."),
        ] {
            assert!(read(kind, json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn only_the_primary_address_counts() {
        let list = br#"[{"email":"a@b.cc","primary":false,"verified":true},{"email":"c@d.ee","primary":true,"verified":false}]"#;
        assert_eq!(primary_email(list).unwrap(), Some(("c@d.ee".to_owned(), false)));
        assert_eq!(primary_email(b"[]").unwrap(), None);
        assert!(primary_email(br#"{"message":"Not Found"}"#).is_err());
    }
}
