//! Authorization requests (RFC 6749 §4.1.1, OIDC Core §3.1.2.1): a client's request to a
//! user, sent through the user's browser.

use serde::{Deserialize, Serialize};

use super::{
    client::Client,
    ids::ClientId,
    pkce::{CodeChallenge, NotAChallenge, Pkce},
};

/// The parameters of a request, whether pushed, in the query or in a form. None is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The redirect URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_type: Option<String>,
    /// `query` or `form_post`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_mode: Option<String>,
    /// `state`: returned to the client unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The requested scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The requested resource (RFC 8707).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// `nonce`: repeated in the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The PKCE challenge of the code (RFC 7636).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge_method: Option<String>,
    /// The prompts to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The maximum age of the login, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// `login_hint`: the user who is probably logging in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
    /// An ID token of the user whom the client knows already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_hint: Option<String>,
    /// The provider to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp_hint: Option<String>,
    /// Parameters in a JWT, which are not supported (OIDC Core §6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Parameters that were pushed (RFC 9126).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_uri: Option<String>,
    /// Whether one of these parameters came twice or cannot be decoded. That parameter is left out.
    #[serde(skip)]
    pub malformed: bool,
}

impl Parameters {
    /// The names of the parameters that are read; all others have no effect.
    pub const NAMES: [&str; 17] = [
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "state",
        "scope",
        "resource",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "login_hint",
        "id_token_hint",
        "idp_hint",
        "request",
        "request_uri",
    ];

    /// The redirect URI of a request of `client`; `None` if the request names none that is valid. It may be left out where
    /// the client has one alone (RFC 6749 §3.1.2.3), but for an OpenID request (OIDC Core §3.1.2.1).
    #[must_use]
    pub fn redirect_target(&self, client: &Client) -> Option<RedirectTarget> {
        match &self.redirect_uri {
            Some(uri) => client.may_redirect_to(uri).then(|| RedirectTarget { uri: uri.clone(), is_implied: false }),
            // Perhaps it was sent twice.
            None if self.malformed || self.is_openid() => None,
            None => client.only_redirect_uri().map(|uri| RedirectTarget { uri: uri.to_owned(), is_implied: true }),
        }
    }

    /// The same without the hints that can name nobody. An ID token hint that is no token of ours stays one: it was sent.
    #[must_use]
    pub fn without_idle_hints(self) -> Self {
        let names_anybody = |hint: &String| {
            hint.len() <= MAX_HINT && !hint.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
        };
        Self {
            login_hint: self.login_hint.filter(names_anybody),
            idp_hint: self.idp_hint.filter(names_anybody),
            id_token_hint: self.id_token_hint.map(|hint| if hint.len() > MAX_TOKEN { String::new() } else { hint }),
            ..self
        }
    }

    fn is_openid(&self) -> bool {
        self.scope.as_deref().is_some_and(|scope| scope.split(' ').any(|word| word == "openid"))
    }

    /// Whether the client asks for no page. The rest of the request may be malformed.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.prompt.as_deref().is_some_and(|prompt| prompt.split(' ').any(|word| word == "none"))
    }
}

/// Where the response goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget {
    /// One of the client's redirect URIs.
    pub uri: String,
    /// Whether the request left it out.
    pub is_implied: bool,
}

/// How the response reaches the client (OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response Mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of its redirect URI.
    Query,
    /// As a form that the browser posts there.
    FormPost,
}

/// A required or forbidden page (OIDC Core §3.1.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the protocol, and any may be with any other")]
#[serde(default)]
pub struct Prompt {
    /// No page: a request that needs one is an error.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub none: bool,
    /// The login page, even if the user is logged in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub login: bool,
    /// The consent page, even if the user has consented.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub consent: bool,
    /// The choice of an account.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub select_account: bool,
}

/// A request whose client and redirect URI are valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    pub client: ClientId,
    /// The redirect URI: one of the client's, byte for byte.
    pub redirect_uri: String,
    /// Whether the request left the redirect URI out, so that the token request may too (RFC 6749 §4.1.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect_uri_implied: bool,
    pub response_mode: ResponseMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The requested scope, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The requested resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The PKCE challenge of the code; `None` only for a client whose [`Pkce`] is optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge: Option<String>,
    /// The prompts to show.
    pub prompt: Prompt,
    /// The maximum age of the login, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
    /// `login_hint`: the user who is probably logging in. A hint that can name nobody is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
    /// An ID token of the user whom the client knows already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_hint: Option<String>,
    /// The provider to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp_hint: Option<String>,
}

/// Error codes of the authorization endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationErrorCode {
    /// A parameter is missing or malformed (RFC 6749 §4.1.2.1).
    InvalidRequest,
    /// The client may not use the code flow.
    UnauthorizedClient,
    /// The user refused.
    AccessDenied,
    /// The response type is not `code`.
    UnsupportedResponseType,
    /// The scope is malformed or wider than registered.
    InvalidScope,
    /// This client may not request the resource (RFC 8707 §2).
    InvalidTarget,
    /// The user must log in, but no page may be shown (OIDC Core §3.1.2.6).
    LoginRequired,
    /// The user must consent, but no page may be shown.
    ConsentRequired,
    /// The user must confirm, but no page may be shown.
    InteractionRequired,
    /// Request objects are not supported.
    RequestNotSupported,
    /// A `request_uri` that was not pushed here is not supported.
    RequestUriNotSupported,
}

/// The refusal of a request, as the client receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorizationRefusal {
    /// The error code, for programs.
    pub code: AuthorizationErrorCode,
    /// The description, for developers: a fixed text.
    pub description: &'static str,
}

/// The longest `state`, in bytes: it must fit into a URL with all other parameters.
const MAX_STATE: usize = 2048;
/// The longest hint that can name anybody or anything here, in bytes: an email address has at most 254.
const MAX_HINT: usize = 254;
/// The longest `nonce`, in bytes: an ID token carries it, and JSON escapes may double its length.
const MAX_NONCE: usize = 512;
/// The longest `scope`, in bytes.
const MAX_SCOPE: usize = 1024;
/// The longest `resource`, in bytes.
const MAX_RESOURCE: usize = 512;
/// The longest `id_token_hint`, in bytes: Signet makes no longer token.
const MAX_TOKEN: usize = 4096;
/// The longest `max_age` that is told from a longer one, in seconds: no login lives for 30 years.
const MAX_AGE: i64 = 999_999_999;

impl AuthorizationErrorCode {
    /// The code as it is written on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
        }
    }
}

impl AuthorizationRefusal {
    /// A refusal with its reason.
    #[must_use]
    pub fn new(code: AuthorizationErrorCode, description: &'static str) -> Self {
        Self { code, description }
    }
}

impl ResponseMode {
    /// The response mode that a request names; the default for `code` is `query`.
    ///
    /// # Errors
    /// [`AuthorizationRefusal`] for any other mode.
    pub fn parse(text: Option<&str>) -> Result<Self, AuthorizationRefusal> {
        match text {
            None | Some("query") => Ok(Self::Query),
            Some("form_post") => Ok(Self::FormPost),
            Some(_) => Err(invalid("response_mode is query or form_post")),
        }
    }
}

impl Prompt {
    fn parse(text: Option<&str>) -> Result<Self, AuthorizationRefusal> {
        let mut prompt = Self::default();
        for word in text.into_iter().flat_map(|text| text.split(' ').filter(|word| !word.is_empty())) {
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err(invalid("prompt is none, login, consent or select_account")),
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err(invalid("prompt=none goes with no other"));
        }
        Ok(prompt)
    }
}

impl AuthorizationRequest {
    /// Parses a request of `client` to `target`, both of them already validated. The response uses `response_mode`.
    ///
    /// # Errors
    /// [`AuthorizationRefusal`], which goes to the redirect URI.
    pub fn parse(
        client: &Client,
        target: RedirectTarget,
        response_mode: ResponseMode,
        parameters: Parameters,
    ) -> Result<Self, AuthorizationRefusal> {
        use AuthorizationErrorCode::{RequestNotSupported, RequestUriNotSupported, UnsupportedResponseType};
        if parameters.malformed {
            return Err(invalid("a parameter came twice, or is not UTF-8"));
        }
        if parameters.request.is_some() {
            return Err(AuthorizationRefusal::new(RequestNotSupported, "request objects are not taken"));
        }
        if parameters.request_uri.is_some() {
            return Err(AuthorizationRefusal::new(
                RequestUriNotSupported,
                "a request_uri comes from this service's own endpoint",
            ));
        }
        match parameters.response_type.as_deref().map(str::trim_ascii) {
            Some("code") => {}
            Some(_) => return Err(AuthorizationRefusal::new(UnsupportedResponseType, "response_type is code")),
            None => return Err(invalid("response_type is required")),
        }
        let is_text = |text: &String, most| text.len() <= most && !text.chars().any(char::is_control);
        if !parameters.state.iter().all(|text| is_text(text, MAX_STATE)) {
            return Err(invalid("state is at most 2048 bytes without control characters"));
        }
        if !parameters.nonce.as_ref().is_none_or(|nonce| is_text(nonce, MAX_NONCE)) {
            return Err(invalid("nonce is at most 512 bytes without control characters"));
        }
        let is_longer = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.len() > most);
        if is_longer(&parameters.scope, MAX_SCOPE) || is_longer(&parameters.resource, MAX_RESOURCE) {
            return Err(invalid("scope has at most 1024 bytes, and resource 512"));
        }
        check_challenge(client.pkce, &parameters)?;
        let parameters = parameters.without_idle_hints();
        Ok(Self {
            client: client.id.clone(),
            redirect_uri: target.uri,
            redirect_uri_implied: target.is_implied,
            response_mode,
            state: parameters.state,
            scope: parameters.scope,
            resource: parameters.resource,
            nonce: parameters.nonce,
            code_challenge: parameters.code_challenge,
            prompt: Prompt::parse(parameters.prompt.as_deref())?,
            max_age: parameters.max_age.as_deref().map(max_age).transpose()?,
            login_hint: parameters.login_hint,
            id_token_hint: parameters.id_token_hint,
            idp_hint: parameters.idp_hint,
        })
    }
}

/// Parses `max_age`. In a query, `+5` is ` 5`.
fn max_age(text: &str) -> Result<i64, AuthorizationRefusal> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("max_age is a number of seconds"));
    }
    // Only a number that is too long for the type cannot be parsed.
    Ok(digits.parse().map_or(MAX_AGE, |seconds: i64| seconds.min(MAX_AGE)))
}

fn check_challenge(pkce: Pkce, parameters: &Parameters) -> Result<(), AuthorizationRefusal> {
    let method = parameters.code_challenge_method.as_deref();
    let Some(challenge) = &parameters.code_challenge else {
        // A method without a challenge: the challenge was lost, or an attacker removed it.
        return match (pkce, method) {
            (Pkce::Optional, None) => Ok(()),
            (Pkce::Optional, Some(_)) | (Pkce::Required, _) => Err(invalid("code_challenge is required (RFC 7636)")),
        };
    };
    // Without a method, RFC 7636 §4.3 assumes `plain`, which reveals the verifier to every reader of the request.
    if method != Some("S256") {
        return Err(invalid("code_challenge_method must be S256"));
    }
    CodeChallenge::parse(challenge).map(drop).map_err(|_: NotAChallenge| invalid("code_challenge is malformed"))
}

fn invalid(description: &'static str) -> AuthorizationRefusal {
    AuthorizationRefusal::new(AuthorizationErrorCode::InvalidRequest, description)
}

#[cfg(test)]
mod tests;
