//! The arguments of `signet keys`.

use clap::{Subcommand, ValueEnum};

use crate::domain::signing_key::KeyKind;

/// An action on keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeysAction {
    /// Show every key with its state: published, active, retired, gone or revoked
    #[command(
        after_help = "Examples:\n  signet keys list\n  signet keys list --json | jq '.[] | select(.state == \"active\") | .kid'"
    )]
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Publish the next key; it signs once `key_lead_time` has passed. Running services read it within two seconds
    #[command(
        after_help = "Examples:\n  signet keys rotate               the next key of access tokens\n  signet keys rotate --alg RS256   the next key of ID tokens\n  signet keys rotate --alg root    the next root secret; nobody is logged out"
    )]
    Rotate {
        /// ES256, EdDSA, RS256, or root for the root secret [default: `signing_algorithm`]
        #[arg(long, value_parser = parse_kind)]
        alg: Option<KeyKind>,
        /// Print the key as JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete what no live token needs: private halves of keys that are gone, later their public halves, and old root
    /// secrets
    #[command(after_help = "Examples:\n  signet keys prune\n  signet keys prune --json")]
    Prune {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Drop a compromised key now, and with it every token that it signed. If it signs at present, the next published key
    /// takes its place at once, or a new one does
    #[command(
        after_help = "Examples:\n  signet keys revoke ZFBRZb4TVaF0n6jvgcIpVrmCx0RCtY2oM0jmqiQqWZU\n  signet keys revoke \"$(signet keys list --json | jq -r '.[] | select(.alg == \"root\" and .state == \"active\") | .kid')\""
    )]
    Revoke {
        /// The key's `kid`, as `signet keys list` shows it
        // A kid may begin with a dash.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the public keys that verify tokens now, for gateways that read no JWKS
    #[command(
        after_help = "Examples:\n  signet keys export > signet.pem\n  signet keys export --format jwk\n  signet keys export ZFBRZb4TVaF0n6jvgcIpVrmCx0RCtY2oM0jmqiQqWZU"
    )]
    Export {
        /// The `kid` of the one key to print [default: all]
        #[arg(allow_hyphen_values = true)]
        kid: Option<String>,
        /// PEM, or JWK (a JWK set where all are printed)
        #[arg(long, value_enum, default_value = "pem")]
        format: Format,
        /// Print JSON: the same as --format jwk
        #[arg(long)]
        json: bool,
    },
}

/// A format of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Pem,
    Jwk,
}

fn parse_kind(text: &str) -> Result<KeyKind, String> {
    KeyKind::parse(text).ok_or_else(|| "it is ES256, EdDSA, RS256 or root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_key_is_an_algorithm_or_the_root_secret() {
        for name in ["ES256", "EdDSA", "RS256", "root"] {
            assert_eq!(parse_kind(name).map(KeyKind::as_str), Ok(name));
        }
        assert!(parse_kind("HS256").is_err() && parse_kind("").is_err());
    }
}
