//! Names that a stranger's client may not have.

use crate::{
    domain::{client::Client, client_name, client_registration::NotRegistrable},
    services::Unavailable,
    store::{Database, clients},
};

/// Whatever the operator calls the service, this is its name, too.
const PRODUCT: &str = "Signet";

/// The names by which a stranger's client would pass for this service, or for a client of the operator.
pub(super) async fn taken(db: &Database, service_name: &str) -> Result<Vec<String>, Unavailable> {
    let mut names = clients::names_by_operator(db).await?;
    names.extend([PRODUCT.to_owned(), service_name.to_owned(), Client::first_party().name]);
    Ok(names)
}

/// Refuses a stranger's client with a name that looks like one of `taken`.
pub(super) fn check(client: &Client, taken: &[String]) -> Result<(), NotRegistrable> {
    let is_taken = client.self_registered && taken.iter().any(|name| client_name::look_alike(name, &client.name));
    if is_taken { Err(NotRegistrable::NameTaken) } else { Ok(()) }
}
