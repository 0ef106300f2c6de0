//! The arguments of `signet client`.

use std::path::PathBuf;

use clap::Subcommand;

/// An action on clients.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ClientAction {
    /// Register a client; prints its id and secret as JSON, the secret this once
    Create(Box<NewClient>),
    /// Print all clients as a JSON array
    List {
        /// Print JSON (it always is)
        #[arg(long)]
        json: bool,
    },
    /// Print a client as JSON
    Show {
        /// Its id
        id: String,
        /// Print JSON (it always is)
        #[arg(long)]
        json: bool,
    },
    /// Change a client and print it as JSON, with its secret if it gets one. Properties that are not named stay; a list
    /// replaces the whole list, and '' removes a value. The client's sessions go on
    Update(Box<ChangedClient>),
    /// Give a client another secret and print it as JSON, only now; the old one is refused from now on
    RotateSecret {
        /// Its id
        id: String,
        /// Print JSON (it always is)
        #[arg(long)]
        json: bool,
    },
    /// Delete a client; its sessions end
    Delete {
        /// Its id
        id: String,
        /// Refuse it from now on, if its id is the URL of a document; deleting it again ends that
        #[arg(long)]
        block: bool,
    },
}

/// The client to register.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NewClient {
    /// Its display name
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// Its id; generated if left out
    #[arg(long)]
    pub(in crate::cli) id: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) options: ClientOptions,
    /// Print JSON (it always is)
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The client to change.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ChangedClient {
    /// Its id
    pub(in crate::cli) id: String,
    /// Its display name
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) options: ClientOptions,
    /// Print JSON (it always is)
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The properties of a client.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct ClientOptions {
    /// A redirect URI for codes (repeatable)
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub(in crate::cli) redirect_uris: Vec<String>,
    /// A URI that a logout may return to (repeatable)
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    pub(in crate::cli) post_logout_redirect_uris: Vec<String>,
    /// A grant that it may use: `password`, `refresh_token`, `authorization_code`, `client_credentials` (repeatable)
    #[arg(long = "grant")]
    pub(in crate::cli) grants: Vec<String>,
    /// A scope that it may ask for (repeatable, or several in one); the default for a new client of the code flow is
    /// `openid profile email`
    #[arg(long = "scope")]
    pub(in crate::cli) scopes: Vec<String>,
    /// The resource server that it is, for introspection (repeatable)
    #[arg(long = "audience")]
    pub(in crate::cli) audiences: Vec<String>,
    /// A resource that it may request tokens for (repeatable)
    #[arg(long = "resource", value_name = "URI")]
    pub(in crate::cli) resources: Vec<String>,
    /// How it authenticates: `client_secret_basic`, `client_secret_post`, `private_key_jwt`; without this option, its
    /// secret is accepted in either way
    #[arg(long = "auth-method", value_name = "METHOD", conflicts_with = "public")]
    pub(in crate::cli) authentication_method: Option<String>,
    /// Its public keys, a JWK set: P-256, Ed25519, or RSA of 2048 bits and more
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) jwks: Option<PathBuf>,
    /// The algorithm of its ID tokens: `RS256`, `ES256`, `EdDSA`
    #[arg(long = "id-token-alg", value_name = "ALG")]
    pub(in crate::cli) id_token_algorithm: Option<String>,
    /// Whether PKCE protects each of its codes: `required` (the default), or `optional` for a confidential client that
    /// cannot send a challenge
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) pkce: Option<String>,
    /// The URI that receives logout tokens: https, or http to a loopback host
    #[arg(long = "backchannel-logout-uri", value_name = "URI")]
    pub(in crate::cli) backchannel_logout_uri: Option<String>,
    /// It cannot keep a secret, and gets none
    #[arg(long)]
    pub(in crate::cli) public: bool,
    /// It belongs to the operator: it may use the password grant, and its users' tokens are valid at `/v1`
    #[arg(
        long = "first-party",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(in crate::cli) first_party: Option<bool>,
}
