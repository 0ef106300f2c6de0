//! A service that accepts the access tokens of a Signet at `http://127.0.0.1:8080`, where `cargo run` starts one.
//!
//! ```sh
//! cargo run -p verifier --features poem --example poem_service
//!
//! curl -s http://127.0.0.1:8080/v1/users  --json '{"username": "ada", "password": "correct horse battery"}'
//! token=$(curl -s http://127.0.0.1:8080/v1/sessions \
//!     --json '{"username": "ada", "password": "correct horse battery"}' | jq -r .access_token)
//! curl -i http://127.0.0.1:8081/hello -H "Authorization: Bearer $token"
//! ```

use poem::{EndpointExt, Route, Server, get, handler, http::StatusCode, listener::TcpListener};
use verifier::{
    Verifier,
    poem::{BearerAuth, VerifiedToken},
};

/// The clients that may call this service. With an audience of its own, registered as their `--resource`, it would need no
/// such list; this one goes by the issuer, for which every client has tokens.
const CLIENTS: [&str; 1] = ["first-party"];

#[handler]
fn hello(token: &VerifiedToken) -> Result<String, StatusCode> {
    // The token is genuine and for this service. Whether this client may have this of this user, the service says.
    if !CLIENTS.contains(&token.client_id.as_str()) {
        return Err(StatusCode::FORBIDDEN);
    }
    let name = token.preferred_username.as_deref().unwrap_or(&token.sub);
    let role = if token.has_role("admin") { "administrator" } else { "user" };
    Ok(format!("Hello, {name}, {role}. Your token allows: {}\n", token.scope))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Where a client asks for no resource, tokens are for the issuer itself.
    let verifier = Verifier::builder("http://127.0.0.1:8080").audience("http://127.0.0.1:8080").build()?;
    let routes = Route::new().at("/hello", get(hello).with(BearerAuth::new(verifier).require_scope("profile")));
    println!("http://127.0.0.1:8081/hello");
    Server::new(TcpListener::bind("127.0.0.1:8081")).run(routes).await?;
    Ok(())
}
