//! HTTP/1.1 on one connection that stays open.

use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Failure;

/// A connection; it has one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Connects to `authority`, a host and a port.
    pub(crate) async fn open(authority: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body as JSON, of an answer with this status.
    pub(crate) fn json(&self, status: StatusCode) -> Result<Value, Failure> {
        if self.status == status {
            return Ok(serde_json::from_slice(&self.body)?);
        }
        Err(format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)).into())
    }
}

/// A string member of a JSON object.
pub(crate) fn member<'a>(json: &'a Value, name: &str) -> Result<&'a str, Failure> {
    json[name].as_str().ok_or_else(|| format!("no {name} in {json}").into())
}

/// Makes the requests for one server.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    authority: String,
}

impl Requests {
    pub(crate) fn to(authority: &str) -> Self {
        Self { authority: authority.to_owned() }
    }

    pub(crate) fn get(&self, path: &str, bearer: Option<&str>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = self.request(Method::GET, path);
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(request.body(Full::default())?)
    }

    /// A form, with HTTP Basic credentials if there are any. Names and values must need no encoding, but for spaces.
    pub(crate) fn form(
        &self,
        path: &str,
        basic: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let pairs: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
        let mut request =
            self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(credentials) = basic {
            request = request.header(header::AUTHORIZATION, format!("Basic {credentials}"));
        }
        Ok(request.body(Full::from(pairs.join("&")))?)
    }

    pub(crate) fn json(&self, path: &str, body: &Value) -> Result<Request<Full<Bytes>>, Failure> {
        let request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        Ok(request.body(Full::from(body.to_string()))?)
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(header::HOST, &self.authority)
    }
}
