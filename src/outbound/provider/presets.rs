//! Presets for each kind of provider, from the providers' own documentation.

use crate::domain::identity::ProviderKind;

/// The defaults of a kind of provider.
#[derive(Debug, Clone, Copy)]
pub(in crate::outbound) struct Preset {
    /// The issuer; empty if the operator must configure it.
    pub(in crate::outbound) issuer: &'static str,
    /// How the endpoints are known.
    pub(in crate::outbound) endpoints: Endpoints,
    /// Origins beside the issuer's that the metadata may name endpoints at.
    pub(in crate::outbound) origins: &'static [&'static str],
    /// The scopes to request.
    pub(in crate::outbound) scopes: &'static [&'static str],
    /// Whether the response comes as a form post, as Apple's does whenever a scope is requested.
    pub(in crate::outbound) form_post: bool,
    /// The parameters that make the provider authenticate again, or at least ask who it is.
    pub(in crate::outbound) fresh: &'static [(&'static str, &'static str)],
}

#[derive(Debug, Clone, Copy)]
pub(in crate::outbound) enum Endpoints {
    /// From metadata (OpenID Connect Discovery 1.0); the provider signs ID tokens.
    Discovered,
    /// Fixed; the provider signs ID tokens.
    Signing {
        authorize: &'static str,
        token: &'static str,
        /// JWKS.
        jwks: &'static str,
    },
    /// Fixed; identities come from the provider's own user-info endpoint.
    Known { authorize: &'static str, token: &'static str, userinfo: &'static str },
}

pub(in crate::outbound) fn of(kind: ProviderKind) -> Preset {
    let openid = Preset {
        issuer: "",
        endpoints: Endpoints::Discovered,
        origins: &[],
        scopes: OPENID,
        form_post: false,
        // With `max_age` the provider must say when the person authenticated (OIDC Core §3.1.2.1).
        fresh: &[("prompt", "login"), ("max_age", "0")],
    };
    match kind {
        ProviderKind::Google => Preset {
            issuer: "https://accounts.google.com",
            origins: &[
                "https://oauth2.googleapis.com",
                "https://openidconnect.googleapis.com",
                "https://www.googleapis.com",
            ],
            // It refuses words that it does not know, and `login` is none of its own.
            fresh: &[("prompt", "select_account"), ("max_age", "0")],
            ..openid
        },
        ProviderKind::Microsoft => Preset {
            issuer: "https://login.microsoftonline.com/common/v2.0",
            origins: &["https://graph.microsoft.com"],
            ..openid
        },
        // Their name comes once, unsigned, in the form; we do without. Their metadata have named another issuer than
        // their tokens, so that nothing is taken from there.
        ProviderKind::Apple => Preset {
            issuer: "https://appleid.apple.com",
            endpoints: Endpoints::Signing {
                authorize: "https://appleid.apple.com/auth/authorize",
                token: "https://appleid.apple.com/auth/token",
                jwks: "https://appleid.apple.com/auth/keys",
            },
            scopes: &["openid", "email"],
            form_post: true,
            ..openid
        },
        ProviderKind::Facebook => Preset {
            issuer: "https://www.facebook.com",
            endpoints: Endpoints::Known {
                authorize: "https://www.facebook.com/v23.0/dialog/oauth",
                token: "https://graph.facebook.com/v23.0/oauth/access_token",
                userinfo: "https://graph.facebook.com/v23.0/me?fields=id,name,email",
            },
            scopes: &["public_profile", "email"],
            fresh: &[("auth_type", "reauthenticate")],
            ..openid
        },
        ProviderKind::Github => Preset {
            issuer: "https://github.com",
            endpoints: Endpoints::Known {
                authorize: "https://github.com/login/oauth/authorize",
                token: "https://github.com/login/oauth/access_token",
                userinfo: "https://api.github.com/user",
            },
            scopes: &["user:email"],
            fresh: &[("prompt", "select_account")],
            ..openid
        },
        ProviderKind::Oidc => openid,
    }
}

const OPENID: &[&str] = &["openid", "email", "profile"];
