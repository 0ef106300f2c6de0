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

use poem::{EndpointExt, Route, Server, get, handler, listener::TcpListener};
use verifier::{
    Verifier,
    poem::{BearerAuth, VerifiedToken},
};

#[handler]
fn hello(token: &VerifiedToken) -> String {
    let name = token.preferred_username.as_deref().unwrap_or(&token.client_id);
    format!("Hello, {name}. Your token allows: {}\n", token.scope)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Where a client asks for no other resource, tokens are for the issuer itself.
    let verifier = Verifier::builder("http://127.0.0.1:8080").audience("http://127.0.0.1:8080").build()?;
    let routes = Route::new().at("/hello", get(hello).with(BearerAuth::new(verifier).require_scope("openid")));
    println!("http://127.0.0.1:8081/hello");
    Server::new(TcpListener::bind("127.0.0.1:8081")).run(routes).await?;
    Ok(())
}
