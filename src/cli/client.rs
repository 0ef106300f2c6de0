//! `signet client`

use std::{collections::BTreeSet, path::Path, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    client_arguments::{ChangedClient, ClientAction, ClientOptions, NewClient},
    failure::Failure,
    output::{date, print},
};
use crate::{
    app::{CommandContext, MissingDatabase, establish_key_for},
    config::Config,
    domain::{
        client::{ApplicationType, AuthenticationMethod, Client},
        client_name,
        client_registration::{NotRegistrable, Revision},
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        pkce::Pkce,
        scope::Scope,
        signing_key::SigningAlgorithm,
    },
    services::clients::{Clients, Registered, RegistrationError},
};

/// Registers, shows, changes and deletes clients.
pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>, action: ClientAction) -> Result<(), Failure> {
    let missing = match action {
        ClientAction::Create(_) => MissingDatabase::Create,
        _ => MissingDatabase::Refuse,
    };
    let CommandContext { clients, .. } = CommandContext::open(config, clock.clone(), missing).await?;
    let failed = |unavailable: &dyn ToString| Failure::Failed(unavailable.to_string());
    match action {
        ClientAction::Create(new) => create(config, &clients, &clock, *new).await,
        ClientAction::List { json: _ } => {
            let all = clients.list().await.map_err(|unavailable| failed(&unavailable))?;
            print(&json!(all.iter().map(describe).collect::<Vec<_>>()).to_string());
            Ok(())
        }
        ClientAction::Show { id, json: _ } => {
            let id = parse_id(&id)?;
            let found = clients.find(&id).await.map_err(|unavailable| failed(&unavailable))?;
            print(&describe(&found.ok_or_else(|| unknown(&id))?).to_string());
            Ok(())
        }
        ClientAction::Update(changed) => update(config, &clients, &clock, *changed).await,
        ClientAction::RotateSecret { id, json: _ } => rotate_secret(&clients, &id).await,
        ClientAction::Delete { id, block: true } => clients.block(&parse_id(&id)?).await.map_err(refused),
        ClientAction::Delete { id, block: false } => {
            let id = parse_id(&id)?;
            if clients.delete(&id).await.map_err(|unavailable| failed(&unavailable))? {
                Ok(())
            } else {
                Err(unknown(&id))
            }
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
    let NewClient { name, id, options, json: _ } = new;
    let id = id.map_or_else(|| Ok(clients.draw_id()), |id| parse_id(&id))?;
    let grants = usual_grants(&options);
    let blank = Client {
        id,
        name: tidied(name),
        authentication: AuthenticationMethod::ClientSecret,
        scope: usual_scope(&grants),
        grants,
        first_party: false,
        created_at: clock.now(),
        ..Client::first_party()
    };
    let client = read(options)?.apply(blank);
    Clients::check(&client).map_err(refused)?;
    // Create the key first: without it, the users of the new client would meet errors at login.
    establish_key_for(config, &client, clock).await?;
    let Registered { client, secret } = clients.create(client).await.map_err(refused)?;
    print(&with_secret(json!({ "client_id": client.id.as_str() }), secret).to_string());
    Ok(())
}

async fn update(
    config: &Config,
    clients: &Clients,
    clock: &Arc<dyn Clock>,
    changed: ChangedClient,
) -> Result<(), Failure> {
    let ChangedClient { id, name, options, json: _ } = changed;
    let id = parse_id(&id)?;
    let revision = Revision { name: name.map(tidied), ..read(options)? };
    if revision == Revision::default() {
        return Err(Failure::Usage("name what to change; `signet client update --help` shows what can be".to_owned()));
    }
    let found = clients.find(&id).await.map_err(|unavailable| Failure::Failed(unavailable.to_string()))?;
    let client = revision.clone().apply(found.filter(|_| !id.is_built_in()).ok_or_else(|| unknown(&id))?);
    Clients::check(&client).map_err(refused)?;
    establish_key_for(config, &client, clock).await?;
    let changed = clients.change(&id, |client| revision.apply(client)).await.map_err(refused)?;
    let Registered { client, secret } = changed.ok_or_else(|| unknown(&id))?;
    print(&with_secret(describe(&client), secret).to_string());
    Ok(())
}

async fn rotate_secret(clients: &Clients, id: &str) -> Result<(), Failure> {
    let id = parse_id(id)?;
    let secret = clients.rotate_secret(&id).await.map_err(|why| Failure::Failed(why.to_string()))?;
    let secret = secret.ok_or_else(|| unknown(&id))?;
    print(&with_secret(json!({ "client_id": id.as_str() }), Some(secret)).to_string());
    Ok(())
}

/// The only function that prints a secret.
fn with_secret(mut answer: Value, secret: Option<SecretString>) -> Value {
    if let Some(secret) = secret {
        answer["client_secret"] = secret.expose_secret().into();
    }
    answer
}

fn refused(error: RegistrationError) -> Failure {
    match error {
        RegistrationError::Invalid(why) => Failure::Usage(match &why {
            NotRegistrable::RedirectUri { uri, .. }
            | NotRegistrable::ApplicationType { uri }
            | NotRegistrable::Uri { uri, .. } => format!("{uri}: {why}"),
            _ => why.to_string(),
        }),
        RegistrationError::Keys(why) => Failure::Usage(format!("--jwks {why}")),
        RegistrationError::Taken(_) | RegistrationError::Unavailable(_) => Failure::Failed(error.to_string()),
    }
}

/// A name with the typographic punctuation and the white space that a name has here. Symbols are the operator's to give.
fn tidied(name: String) -> String {
    client_name::tidied(&name).unwrap_or(name)
}

/// The options as a revision. A list that holds only '' stands for an empty list.
fn read(options: ClientOptions) -> Result<Revision, Failure> {
    let usage = |why: &dyn ToString| Failure::Usage(why.to_string());
    let list = |values: Vec<String>| {
        let trimmed = |value: String| Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        (!values.is_empty()).then(|| values.into_iter().filter_map(trimmed).collect::<Vec<_>>())
    };
    let authentication = match options.authentication_method.as_deref() {
        _ if options.public => Some(AuthenticationMethod::None),
        None => None,
        Some(name) => Some(
            AuthenticationMethod::parse(name)
                .filter(|method| *method != AuthenticationMethod::None)
                .ok_or_else(|| usage(&"--auth-method is client_secret_basic, client_secret_post or private_key_jwt"))?,
        ),
    };
    let grant = |name: &String| {
        GrantType::parse(name)
            .ok_or_else(|| usage(&"--grant is password, refresh_token, authorization_code or client_credentials"))
    };
    let mut grants =
        list(options.grants).map(|names| names.iter().map(grant).collect::<Result<BTreeSet<_>, _>>()).transpose()?;
    if let Some(grants) = &mut grants {
        complete(grants);
    }
    let algorithm = |name: String| match name.as_str() {
        "" => Ok(None),
        name => {
            SigningAlgorithm::parse(name).map(Some).ok_or_else(|| usage(&"--id-token-alg is RS256, ES256 or EdDSA"))
        }
    };
    let pkce = |word: &str| Pkce::parse(word).ok_or_else(|| usage(&"--pkce is required or optional"));
    let scope = |words: Vec<String>| {
        let words: Vec<&str> = words.iter().flat_map(|words| words.split_whitespace()).collect();
        Scope::parse(&words.join(" ")).map_err(|why| usage(&why))
    };
    Ok(Revision {
        name: None,
        authentication,
        grants,
        scope: list(options.scopes).map(scope).transpose()?,
        audiences: list(options.audiences),
        resources: list(options.resources),
        redirect_uris: list(options.redirect_uris),
        post_logout_redirect_uris: list(options.post_logout_redirect_uris),
        backchannel_logout_uri: options
            .backchannel_logout_uri
            .map(|uri| Some(uri.trim().to_owned()).filter(|uri| !uri.is_empty())),
        id_token_algorithm: options.id_token_algorithm.map(algorithm).transpose()?,
        jwks: options.jwks.as_deref().map(read_jwks).transpose()?,
        pkce: options.pkce.as_deref().map(pkce).transpose()?,
        first_party: options.first_party,
    })
}

/// The default grants of a client: those that its other flags imply.
fn usual_grants(options: &ClientOptions) -> BTreeSet<GrantType> {
    let mut grants = BTreeSet::new();
    if !options.redirect_uris.is_empty() {
        grants.extend([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    }
    if options.first_party == Some(true) {
        grants.insert(GrantType::Password);
    }
    if grants.is_empty() && !options.public {
        grants.insert(GrantType::ClientCredentials);
    }
    complete(&mut grants);
    grants
}

/// The default scope of a client: the data that a user who logs in there expects the client to see.
fn usual_scope(grants: &BTreeSet<GrantType>) -> Scope {
    let usual = if grants.contains(&GrantType::AuthorizationCode) { "openid profile email" } else { "" };
    Scope::parse(usual).unwrap_or_default()
}

/// The settings that are looser than the defaults, each with its danger.
fn looser_settings(client: &Client) -> Vec<&'static str> {
    match client.pkce {
        Pkce::Required => vec![],
        Pkce::Optional => {
            vec![
                "pkce = optional: a code that was asked for without a challenge is protected by the client's secret alone",
            ]
        }
    }
}

/// A password login always returns a refresh token, so the password grant includes the refresh grant.
fn complete(grants: &mut BTreeSet<GrantType>) {
    if grants.contains(&GrantType::Password) {
        grants.insert(GrantType::RefreshToken);
    }
}

/// The text of a file; `None` if the name is ''.
fn read_jwks(path: &Path) -> Result<Option<String>, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let complain = |why: &dyn std::fmt::Display| Failure::Usage(format!("--jwks {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|why| complain(&why))?;
    let set: Value = serde_json::from_str(&text).map_err(|why| complain(&why))?;
    Ok(Some(set.to_string()))
}

/// A client as JSON, with the member names of RFC 7591.
fn describe(client: &Client) -> Value {
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
        "jwks": client.jwks.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
        "first_party": client.first_party,
        "pkce": client.pkce.as_str(),
        "looser_settings": looser_settings(client),
        "application_type": client.application_type.map(ApplicationType::as_str),
        "self_registered": client.self_registered,
        "blocked": client.blocked,
        "document": client.document.map(|dates| {
            json!({ "fetched_at": date(dates.fetched_at), "fresh_until": date(dates.fresh_until) })
        }),
        "created_at": date(client.created_at),
    })
}
