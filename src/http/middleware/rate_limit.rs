//! Rate limits in responses: the `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10), and 429 with
//! `Retry-After` (RFC 6585 §4, RFC 9110 §10.2.3). `routes` says which routes are limited.

use std::net::IpAddr;

use poem::{
    FromRequest, Request, RequestBody,
    http::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    domain::rate_limit::{Quota, QuotaState, RouteClass, whole_seconds},
    http::errors::failure::TooManyRequests,
    services::rate_limit::Limit,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The quota of emails that a network may cause, for requests that cause one only if they name an address.
#[derive(Debug, Clone)]
pub(in crate::http) struct MailQuota {
    limit: Limit,
    client: Option<IpAddr>,
}

impl MailQuota {
    pub(in crate::http) fn of(limit: &Limit, client: Option<IpAddr>) -> Self {
        Self { limit: limit.clone(), client }
    }

    /// Counts one email, beside the request itself. A request that is refused here has changed nothing.
    pub(in crate::http) fn count(&self) -> Result<(), TooManyRequests> {
        RateLimitDecision::of(&self.limit, Some(RouteClass::Mail), self.client).check()
    }
}

impl<'a> FromRequest<'a> for MailQuota {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        // The response layer gives one to every request.
        Ok(request.data::<Self>().cloned().unwrap_or_else(|| Self::of(&Limit::default(), None)))
    }
}

/// The state of the quota that a request counts against; `None` where its route is not limited.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RateLimitDecision(Option<(RouteClass, Quota, QuotaState)>);

impl RateLimitDecision {
    /// Counts a request of `class` that comes from `client`.
    pub(in crate::http) fn of(limit: &Limit, class: Option<RouteClass>, client: Option<IpAddr>) -> Self {
        let counted = |class| limit.run(class, client).map(|(quota, standing)| (class, quota, standing));
        Self(class.and_then(counted))
    }

    /// Whether the request may go on.
    pub(in crate::http) fn check(self) -> Result<(), TooManyRequests> {
        match self.0 {
            Some((_, _, QuotaState::Refused { wait })) => Err(TooManyRequests { retry_after: whole_seconds(wait) }),
            Some((_, _, QuotaState::Admitted { .. })) | None => Ok(()),
        }
    }

    /// The class that refuses the request, if one does.
    pub(in crate::http) fn refusing(self) -> Option<RouteClass> {
        self.0.filter(|(_, _, state)| matches!(state, QuotaState::Refused { .. })).map(|(class, ..)| class)
    }

    /// Adds the `RateLimit` fields to a response.
    pub(in crate::http) fn tell(self, headers: &mut HeaderMap) {
        let Some((class, quota, standing)) = self.0 else { return };
        // `r` requests are allowed now, and one more after at most `t` seconds.
        let (remaining, more) = match standing {
            QuotaState::Admitted { remaining } => (remaining, quota.interval()),
            QuotaState::Refused { wait } => (0, wait),
        };
        let policy = format!(r#""{}";q={};w={}"#, class.as_str(), quota.count, whole_seconds(quota.per));
        let now = format!(r#""{}";r={remaining};t={}"#, class.as_str(), whole_seconds(more));
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, now)] {
            // The names of classes are plain words, so this always is a value.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;

    fn headers(standing: QuotaState) -> [String; 2] {
        let quota = Quota { count: NonZeroU32::new(5).expect("some"), per: Duration::from_mins(6) };
        let mut headers = HeaderMap::new();
        RateLimitDecision(Some((RouteClass::Token, quota, standing))).tell(&mut headers);
        [RATE_LIMIT_POLICY, RATE_LIMIT].map(|name| headers[name].to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn the_fields_say_what_is_left_and_when_there_is_more() {
        let policy = r#""token";q=5;w=360"#;
        assert_eq!(headers(QuotaState::Admitted { remaining: 4 }), [policy, r#""token";r=4;t=72"#]);
        let wait = Duration::from_millis(11_001);
        assert_eq!(headers(QuotaState::Refused { wait }), [policy, r#""token";r=0;t=12"#]);
    }
}
