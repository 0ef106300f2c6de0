//! The health checks of orchestrators: whether the process is alive, and whether it can do its work.

use poem_openapi::{
    ApiResponse, Object, OpenApi,
    payload::Json,
    types::{Example, ToJSON},
};

use crate::{http::openapi::docs::Tag, services::readiness};

/// Where a process says that it is alive.
pub(super) const LIVE: &str = "/livez";

/// The answer there.
pub(super) fn alive() -> String {
    Health::ok().to_json_string()
}

/// The health routes.
pub(super) struct HealthApi {
    pub(super) readiness: readiness::Readiness,
}

/// How the service is.
#[derive(Debug, Object)]
#[oai(rename = "Health", example)]
struct Health {
    /// `ok` or `unavailable`.
    status: String,
    /// Why it is not ready.
    #[oai(skip_serializing_if_is_none)]
    reason: Option<String>,
}

impl Example for Health {
    fn example() -> Self {
        Self { status: "unavailable".to_owned(), reason: Some("the database cannot be reached".to_owned()) }
    }
}

impl Health {
    fn ok() -> Self {
        Self { status: "ok".to_owned(), reason: None }
    }
}

/// Whether the service can do its work.
#[derive(ApiResponse)]
enum Readiness {
    /// It can.
    #[oai(status = 200)]
    Ready(Json<Health>),
    /// It cannot, and why.
    #[oai(status = 503)]
    NotReady(Json<Health>, #[oai(header = "Retry-After")] u32),
}

/// For operators.
#[OpenApi(tag = "Tag::Operations")]
impl HealthApi {
    /// Is the process alive
    #[expect(clippy::unused_async, reason = "handlers are async, whether they wait or not")]
    #[oai(path = "/livez", method = "get", operation_id = "live")]
    async fn live(&self) -> Json<Health> {
        Json(Health::ok())
    }

    /// Can it do its work
    #[oai(path = "/readyz", method = "get", operation_id = "ready")]
    async fn ready(&self) -> Readiness {
        match self.readiness.check().await {
            Ok(()) => Readiness::Ready(Json(Health::ok())),
            Err(why) => {
                let reason = Some(why.to_string());
                Readiness::NotReady(Json(Health { status: "unavailable".to_owned(), reason }), 2)
            }
        }
    }
}
