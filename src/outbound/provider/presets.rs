//! What is known of each kind of provider beforehand, from their own documentation.

use crate::domain::identity::ProviderKind;

/// What holds for a kind of provider where the operator says nothing else.
#[derive(Debug, Clone, Copy)]
pub(in crate::outbound) struct Preset {
    /// Its issuer; empty where the operator must name it.
    pub(in crate::outbound) issuer: &'static str,
    /// How its endpoints are known.
    pub(in crate::outbound) endpoints: Endpoints,
    /// Origins beside the issuer's that its metadata may name endpoints at.
    pub(in crate::outbound) origins: &'static [&'static str],
    /// What is asked for.
    pub(in crate::outbound) scopes: &'static [&'static str],
    /// Whether it answers by a form that the browser posts, as Apple does whenever a scope is asked for.
    pub(in crate::outbound) form_post: bool,
    /// What has it ask whoever is logged in there again (OIDC Core §3.1.2.1), where it signs ID tokens.
    pub(in crate::outbound) fresh_prompt: &'static str,
}

/// How endpoints are known.
#[derive(Debug, Clone, Copy)]
pub(in crate::outbound) enum Endpoints {
    /// By metadata (OpenID Connect Discovery 1.0); who somebody is comes in an ID token.
    Discovered,
    /// By heart; who somebody is comes in an ID token.
    Signing {
        /// Authorization endpoint.
        authorize: &'static str,
        /// Token endpoint.
        token: &'static str,
        /// Where its keys are.
        jwks: &'static str,
    },
    /// By heart; who somebody is comes from the provider's own user-info endpoint.
    Known {
        /// Authorization endpoint.
        authorize: &'static str,
        /// Token endpoint.
        token: &'static str,
        /// User-info endpoint.
        userinfo: &'static str,
    },
}

/// The preset of a kind.
pub(in crate::outbound) fn of(kind: ProviderKind) -> Preset {
    let openid = Preset {
        issuer: "",
        endpoints: Endpoints::Discovered,
        origins: &[],
        scopes: OPENID,
        form_post: false,
        fresh_prompt: "login",
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
            fresh_prompt: "select_account",
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
            ..openid
        },
        ProviderKind::Oidc => openid,
    }
}

const OPENID: &[&str] = &["openid", "email", "profile"];
