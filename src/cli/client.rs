//! `signet client`

use std::{collections::BTreeSet, sync::Arc};

use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    Failure,
    arguments::{ClientAction, NewClient},
    print,
};
use crate::{
    app::{Office, establish_key_for},
    config::Config,
    domain::{
        client::{AuthenticationMethod, Client},
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        scope::Scope,
        signing_key::SigningAlgorithm,
    },
    flow::clients::{Clients, CreateClientError},
};

/// Registers, shows and deletes clients.
pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>, action: ClientAction) -> Result<(), Failure> {
    let Office { clients, .. } = Office::open(config, clock.clone()).await?;
    let failed = |trouble: &dyn ToString| Failure::Failed(trouble.to_string());
    match action {
        ClientAction::Create(new) => create(config, &clients, &clock, *new).await,
        ClientAction::List { json: _ } => {
            let all = clients.list().await.map_err(|trouble| failed(&trouble))?;
            print(&json!(all.iter().map(describe).collect::<Vec<_>>()).to_string());
            Ok(())
        }
        ClientAction::Show { id, json: _ } => {
            let id = parse_id(&id)?;
            let found = clients.find(&id).await.map_err(|trouble| failed(&trouble))?;
            print(&describe(&found.ok_or_else(|| unknown(&id))?).to_string());
            Ok(())
        }
        ClientAction::Delete { id } => {
            let id = parse_id(&id)?;
            if clients.delete(&id).await.map_err(|trouble| failed(&trouble))? { Ok(()) } else { Err(unknown(&id)) }
        }
    }
}

fn parse_id(id: &str) -> Result<ClientId, Failure> {
    ClientId::parse(id).map_err(|why| Failure::Usage(format!("{id:?}: {why}")))
}

fn unknown(id: &ClientId) -> Failure {
    Failure::Failed(format!("there is no client {id}; `signet client list` shows all"))
}

async fn create(config: &Config, clients: &Clients, clock: &Arc<dyn Clock>, new: NewClient) -> Result<(), Failure> {
    let without_effect = [
        (new.jwks.is_some(), "--jwks"),
        (new.authentication_method.as_deref() == Some("private_key_jwt"), "--auth-method private_key_jwt"),
    ];
    for (_, flag) in without_effect.into_iter().filter(|(given, _)| *given) {
        eprintln!("signet: {flag} is kept, and has no effect yet");
    }
    let client = read(clients, &**clock, new)?;
    let refused = |error| match error {
        CreateClientError::Invalid(why) => Failure::Usage(why),
        other => Failure::Failed(other.to_string()),
    };
    clients.check(&client).map_err(refused)?;
    // The key first: a client whose tokens nobody can sign would be found out by its users.
    establish_key_for(config, &client, clock).await.map_err(|error| Failure::Failed(error.to_string()))?;
    let secret = clients.create(&client).await.map_err(refused)?;
    let mut answer = json!({ "client_id": client.id.as_str() });
    if let Some(secret) = secret {
        answer["client_secret"] = secret.expose_secret().into();
    }
    print(&answer.to_string());
    Ok(())
}

/// What was typed, as a client.
fn read(clients: &Clients, clock: &dyn Clock, new: NewClient) -> Result<Client, Failure> {
    let usage = |why: &dyn ToString| Failure::Usage(why.to_string());
    let authentication = match new.authentication_method.as_deref() {
        _ if new.public => AuthenticationMethod::None,
        None => AuthenticationMethod::ClientSecretBasic,
        Some(name) => AuthenticationMethod::parse(name)
            .filter(|method| *method != AuthenticationMethod::None)
            .ok_or_else(|| usage(&"--auth-method is client_secret_basic, client_secret_post or private_key_jwt"))?,
    };
    let mut grants = new
        .grants
        .iter()
        .map(|name| {
            GrantType::parse(name)
                .ok_or_else(|| usage(&"--grant is password, refresh_token, authorization_code or client_credentials"))
        })
        .collect::<Result<BTreeSet<_>, _>>()?;
    if grants.is_empty() {
        grants = usual_grants(&new);
    }
    // A refresh token comes with every password log-in, so whoever may log in may refresh.
    if grants.contains(&GrantType::Password) {
        grants.insert(GrantType::RefreshToken);
    }
    let jwks = new.jwks.as_deref().map(read_jwks).transpose()?;
    Ok(Client {
        id: parse_id(&new.id.unwrap_or_else(|| clients.draw_id()))?,
        name: new.name,
        authentication,
        grants,
        scope: Scope::parse(&new.scopes.join(" ")).map_err(|why| usage(&why))?,
        audiences: new.audiences,
        resources: new.resources,
        redirect_uris: new.redirect_uris,
        post_logout_redirect_uris: new.post_logout_redirect_uris,
        backchannel_logout_uri: new.backchannel_logout_uri,
        id_token_algorithm: new
            .id_token_algorithm
            .map(|name| SigningAlgorithm::parse(&name).ok_or_else(|| usage(&"--id-token-alg is RS256, ES256 or EdDSA")))
            .transpose()?,
        jwks,
        first_party: new.first_party,
        created_at: clock.now(),
    })
}

/// The grants of a client that names none: what its other flags ask for.
fn usual_grants(new: &NewClient) -> BTreeSet<GrantType> {
    let mut grants = BTreeSet::new();
    if !new.redirect_uris.is_empty() {
        grants.extend([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    }
    if new.first_party {
        grants.insert(GrantType::Password);
    }
    if grants.is_empty() && !new.public {
        grants.insert(GrantType::ClientCredentials);
    }
    grants
}

/// A JWK set from a file (RFC 7517 §5), public keys alone.
fn read_jwks(path: &std::path::Path) -> Result<String, Failure> {
    let complain = |why: &dyn std::fmt::Display| Failure::Usage(format!("--jwks {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|why| complain(&why))?;
    let set: serde_json::Value = serde_json::from_str(&text).map_err(|why| complain(&why))?;
    let keys = set["keys"].as_array().ok_or_else(|| complain(&"it is no JWK set: it has no array \"keys\""))?;
    let private =
        |key: &serde_json::Value| ["d", "k", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| !key[name].is_null());
    if keys.iter().any(private) {
        return Err(complain(&"it holds private keys: give the public ones alone"));
    }
    Ok(set.to_string())
}

/// A client as JSON, in the words of RFC 7591.
fn describe(client: &Client) -> serde_json::Value {
    json!({
        "client_id": client.id.as_str(),
        "client_name": client.name,
        "token_endpoint_auth_method": client.authentication.as_str(),
        "grant_types": client.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "scope": client.scope.to_string(),
        "audiences": client.audiences,
        "resources": client.resources,
        "redirect_uris": client.redirect_uris,
        "post_logout_redirect_uris": client.post_logout_redirect_uris,
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "id_token_signed_response_alg": client.id_token_algorithm.map(SigningAlgorithm::as_str),
        "jwks": client.jwks.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()),
        "first_party": client.first_party,
        "created_at": client.created_at.to_rfc3339(),
    })
}
