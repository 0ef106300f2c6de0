//! The requests of each row.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes};
use serde_json::json;

use crate::{
    Failure,
    client::{Answer, Requests, member},
    drive::Workload,
    options::Row,
    service::{Fixtures, PASSWORD},
};

/// The most access tokens that are kept for the rows at first sight.
const MOST_TOKENS: usize = 200_000;

/// Access tokens that no request has used.
pub(crate) type FreshTokens = Rc<RefCell<Vec<String>>>;

/// The same request again and again.
struct Fixed {
    request: Request<Full<Bytes>>,
    /// What the body must contain.
    contains: &'static str,
}

/// The same request again and again, with an answer 200 that contains this text.
pub(crate) fn fixed(request: Request<Full<Bytes>>, contains: &'static str) -> Box<dyn Workload> {
    Box::new(Fixed { request, contains })
}

impl Workload for Fixed {
    fn next(&mut self) -> Result<Option<Request<Full<Bytes>>>, Failure> {
        Ok(Some(self.request.clone()))
    }

    fn take(&mut self, answer: &Answer) -> Result<(), Failure> {
        let wanted = self.contains.as_bytes();
        let found = wanted.is_empty() || answer.body.windows(wanted.len()).any(|window| window == wanted);
        if answer.status == StatusCode::OK && found {
            return Ok(());
        }
        Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into())
    }
}

/// The refreshes of one session: each answer has the token for the next.
pub(crate) struct RefreshChain {
    pub(crate) requests: Requests,
    /// HTTP Basic credentials of the client, if it has some.
    pub(crate) basic: Option<String>,
    pub(crate) path: &'static str,
    pub(crate) refresh_token: String,
    pub(crate) fresh: FreshTokens,
}

impl Workload for RefreshChain {
    fn next(&mut self) -> Result<Option<Request<Full<Bytes>>>, Failure> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &self.refresh_token)];
        self.requests.form(self.path, self.basic.as_deref(), &form).map(Some)
    }

    fn take(&mut self, answer: &Answer) -> Result<(), Failure> {
        let json = answer.json(StatusCode::OK)?;
        let next = member(&json, "refresh_token")?;
        if next == self.refresh_token {
            return Err("the refresh token was not rotated".into());
        }
        next.clone_into(&mut self.refresh_token);
        let mut fresh = self.fresh.borrow_mut();
        if fresh.len() < MOST_TOKENS {
            fresh.push(member(&json, "access_token")?.to_owned());
        }
        Ok(())
    }
}

/// User info, with a new token each time.
struct FirstSight {
    requests: Requests,
    fresh: FreshTokens,
}

impl Workload for FirstSight {
    fn next(&mut self) -> Result<Option<Request<Full<Bytes>>>, Failure> {
        let Some(token) = self.fresh.borrow_mut().pop() else { return Ok(None) };
        self.requests.get("/oauth/userinfo", Some(&token)).map(Some)
    }

    fn take(&mut self, answer: &Answer) -> Result<(), Failure> {
        member(&answer.json(StatusCode::OK)?, "sub").map(|_| ())
    }
}

/// Registrations of new accounts.
struct Registrations {
    requests: Requests,
}

impl Workload for Registrations {
    fn next(&mut self) -> Result<Option<Request<Full<Bytes>>>, Failure> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let username = format!("new_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.requests.json("/v1/users", &json!({"username": username, "password": PASSWORD})).map(Some)
    }

    fn take(&mut self, answer: &Answer) -> Result<(), Failure> {
        answer.json(StatusCode::CREATED).map(|_| ())
    }
}

/// Several workloads in turn.
struct Mix {
    parts: Vec<Box<dyn Workload>>,
    turns: &'static [usize],
    turn: usize,
}

impl Workload for Mix {
    fn next(&mut self) -> Result<Option<Request<Full<Bytes>>>, Failure> {
        self.turn = (self.turn + 1) % self.turns.len();
        self.parts[self.turns[self.turn]].next()
    }

    fn take(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.parts[self.turns[self.turn]].take(answer)
    }
}

/// What all workloads of the service need.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) requests: Requests,
    pub(crate) fixtures: Fixtures,
    /// Access token and refresh token of a session for each client.
    pub(crate) sessions: Vec<(String, String)>,
    pub(crate) fresh: FreshTokens,
}

impl Plan {
    /// The workload of one client in a row. The row of refreshes goes on with the sessions; each may be used once.
    pub(crate) fn workload(&self, row: Row, client: usize) -> Result<Box<dyn Workload>, Failure> {
        let requests = &self.requests;
        let (access, refresh) = &self.sessions[client];
        let basic = Some(self.fixtures.credentials.as_str());
        Ok(match row {
            Row::Login => {
                let username = &self.fixtures.usernames[client];
                let form = [("grant_type", "password"), ("username", username), ("password", PASSWORD)];
                fixed(requests.form("/oauth/token", None, &form)?, "refresh_token")
            }
            Row::Refresh => Box::new(RefreshChain {
                requests: requests.clone(),
                basic: None,
                path: "/oauth/token",
                refresh_token: refresh.clone(),
                fresh: Rc::clone(&self.fresh),
            }),
            Row::ClientCredentials => {
                let form = [("grant_type", "client_credentials")];
                fixed(requests.form("/oauth/token", basic, &form)?, "access_token")
            }
            Row::Introspect => {
                fixed(requests.form("/oauth/introspect", basic, &[("token", access)])?, r#""active":true"#)
            }
            Row::Userinfo => fixed(requests.get("/oauth/userinfo", Some(access))?, r#""sub":"#),
            Row::UserinfoFirst => Box::new(FirstSight { requests: requests.clone(), fresh: Rc::clone(&self.fresh) }),
            Row::Check => fixed(requests.get("/oauth/check", Some(access))?, ""),
            Row::Jwks => fixed(requests.get("/.well-known/jwks.json", None)?, r#""keys":"#),
            Row::Livez => fixed(requests.get("/livez", None)?, ""),
            Row::Register => Box::new(Registrations { requests: requests.clone() }),
            Row::Mix => self.mix(client)?,
        })
    }

    /// Of 100 requests: 1 login, 9 refreshes, 5 client credentials, 25 introspections, 20 checks, 25 user infos, 15 JWKS.
    fn mix(&self, client: usize) -> Result<Box<dyn Workload>, Failure> {
        const TURNS: &[usize] = &{
            const SHARES: [usize; 7] = [1, 9, 5, 25, 20, 25, 15];
            let mut turns = [0; 100];
            let (mut part, mut place) = (0, 0);
            while part < SHARES.len() {
                let mut count = 0;
                while count < SHARES[part] {
                    // 37 and 100 have no common factor: every place is filled once, and the parts are spread.
                    turns[place * 37 % 100] = part;
                    place += 1;
                    count += 1;
                }
                part += 1;
            }
            turns
        };
        let parts =
            [Row::Login, Row::Refresh, Row::ClientCredentials, Row::Introspect, Row::Check, Row::Userinfo, Row::Jwks];
        let parts = parts.iter().map(|part| self.workload(*part, client)).collect::<Result<Vec<_>, _>>()?;
        // The clients begin at different places, so that their logins do not fall together.
        Ok(Box::new(Mix { parts, turns: TURNS, turn: client * 41 % TURNS.len() }))
    }
}
