//! Servers that give one fixed answer: the least that an answer costs with a library.

use std::{convert::Infallible, net::SocketAddr, path::Path};

use http_body_util::Full;
use hyper::{Response, body::Bytes, header::CONTENT_TYPE, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use poem::{EndpointExt as _, IntoResponse as _, Route, Server, get, handler, listener::TcpListener, web::Data};

use crate::{Failure, options::Bare};

const JSON: &str = "application/json";
/// The path of the answer.
pub(crate) const PATH: &str = "/.well-known/jwks.json";

/// Serves the file `body` until the process ends.
pub(crate) fn serve(kind: Bare, address: SocketAddr, body: &Path) -> Result<(), Failure> {
    let body = Bytes::from(std::fs::read(body)?);
    // As the service: a thread for each core.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match kind {
        Bare::Hyper => runtime.block_on(with_hyper(address, body)),
        Bare::Poem => runtime.block_on(with_poem(address, body)),
    }
}

async fn with_hyper(address: SocketAddr, body: Bytes) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |_| {
                let mut response = Response::new(Full::new(body.clone()));
                response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(JSON));
                async { Ok::<_, Infallible>(response) }
            });
            // It fails when the driver hangs up.
            http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.ok();
        });
    }
}

async fn with_poem(address: SocketAddr, body: Bytes) -> Result<(), Failure> {
    let routes = Route::new().at(PATH, get(fixed)).data(body);
    Ok(Server::new(TcpListener::bind(address.to_string())).run(routes).await?)
}

#[handler]
fn fixed(Data(body): Data<&Bytes>) -> poem::Response {
    body.clone().with_content_type(JSON).into_response()
}
