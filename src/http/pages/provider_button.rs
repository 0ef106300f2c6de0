//! The buttons by which people log in with another provider.

use crate::domain::identity::{ProviderKind, ProviderName};

/// A provider on a page.
#[derive(Debug, Clone)]
pub(in crate::http) struct Button {
    /// The provider's name in our paths.
    pub(in crate::http) name: String,
    /// The provider's name for people.
    pub(in crate::http) title: String,
    /// The label, as the provider's guidelines require it.
    pub(in crate::http) label: String,
}

impl Button {
    /// The button of a provider.
    pub(in crate::http) fn of(name: &ProviderName, kind: ProviderKind) -> Self {
        let title = title(name, Some(kind));
        // Google's, Apple's and Microsoft's branding guidelines say "Sign in with", the others' "Continue with".
        let verb = match kind {
            ProviderKind::Google | ProviderKind::Apple | ProviderKind::Microsoft => "Sign in with",
            ProviderKind::Facebook | ProviderKind::Github | ProviderKind::Oidc => "Continue with",
        };
        Self { name: name.to_string(), label: format!("{verb} {title}"), title }
    }
}

/// A provider's name for people.
pub(in crate::http) fn title(name: &ProviderName, kind: Option<ProviderKind>) -> String {
    match kind {
        Some(ProviderKind::Google) => "Google".to_owned(),
        Some(ProviderKind::Facebook) => "Facebook".to_owned(),
        Some(ProviderKind::Github) => "GitHub".to_owned(),
        Some(ProviderKind::Microsoft) => "Microsoft".to_owned(),
        Some(ProviderKind::Apple) => "Apple".to_owned(),
        Some(ProviderKind::Oidc) | None => name.to_string(),
    }
}
