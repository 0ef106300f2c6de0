//! Verifies an access token of Signet, read from standard input, and prints its claims.

use std::{env, error::Error, io, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;

/// The issuer's public keys. Fetch them at the start, every few minutes, and when a token names a key not among them.
pub(crate) async fn fetch_keys(issuer: &str) -> Result<JwkSet, Box<dyn Error>> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let answer = client.get(format!("{issuer}/.well-known/jwks.json")).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

/// The claims of `token`, if it is an access token of `issuer` for `audience`, and still good.
pub(crate) fn verify(token: &str, keys: &JwkSet, issuer: &str, audience: &str) -> Result<Value, Box<dyn Error>> {
    let header = decode_header(token)?;
    if header.typ.as_deref() != Some("at+jwt") {
        return Err("not an access token".into());
    }
    let key = header.kid.and_then(|kid| keys.find(&kid)).ok_or("not signed with a key of the issuer")?;
    let mut rules = Validation::new(Algorithm::ES256); // ours to say, never the token's
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[audience]);
    rules.leeway = 30;
    Ok(decode(token, &DecodingKey::from_jwk(key)?, &rules)?.claims)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (issuer, audience) = (env::var("ISSUER")?, env::var("AUDIENCE")?);
    let token = io::read_to_string(io::stdin())?;
    println!("{}", verify(token.trim(), &fetch_keys(&issuer).await?, &issuer, &audience)?);
    Ok(())
}
