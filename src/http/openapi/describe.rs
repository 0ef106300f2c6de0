//! Adds to the OpenAPI document the parts that the library cannot derive: the browser endpoints, and rate limits.

use poem::http::Method;
use serde_json::{Value, json};

use crate::http::{openapi::answers::describe, routes};

/// The response of a page while the service is unavailable.
pub(in crate::http) fn trouble_page() -> Value {
    let retry_after = json!({"description": "Seconds.", "schema": {"type": "integer"}, "example": 2});
    json!({
        "description": "The service cannot do this at the moment: a page.",
        "headers": {"Retry-After": retry_after},
        "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}},
    })
}

/// Adds the refusals of a form that a browser posts, as pages.
fn with_form_refusals(mut responses: Value) -> Value {
    for status in [408, 413, 415] {
        responses[status.to_string()] =
            json!({"description": format!("{} A page.", describe(status)), "content": html()});
    }
    responses
}

fn html() -> Value {
    json!({"text/html; charset=utf-8": {"schema": {"type": "string"}}})
}

/// Adds the answer of the registration endpoints while registration is off.
pub(in crate::http) fn describe_registration(document: &mut Value) {
    for path in ["/oauth/register", "/oauth/register/{client_id}"] {
        for operation in document["paths"][path].as_object_mut().into_iter().flat_map(|methods| methods.values_mut()) {
            let mut off = operation["responses"]["400"].clone();
            off["description"] = "`client_registration` is off.".into();
            operation["responses"]["404"] = off;
        }
    }
}

/// The properties of answers that may be `null`: schema and property.
const NULLABLE: [(&str, &str); 3] = [("User", "email"), ("Session", "user_agent"), ("Session", "ip")];

/// Marks the properties that may be `null`, which the library cannot tell from those that may be left out.
pub(in crate::http) fn describe_nullable(document: &mut Value) {
    for (schema, property) in NULLABLE {
        if let Some(property) = document.pointer_mut(&format!("/components/schemas/{schema}/properties/{property}")) {
            property["nullable"] = true.into();
        }
    }
}

/// Adds the endpoint to the documentation: its parameters are those that can be pushed, without proof of who pushes.
pub(in crate::http) fn describe_authorize(document: &mut Value) {
    const SCHEMA: &str = "AuthorizationRequest";
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let Some(mut request) = schemas.get("PushedAuthorizationRequest").cloned() else { return };
    let Some(properties) = request.get_mut("properties").and_then(Value::as_object_mut) else { return };
    properties
        .insert("client_id".to_owned(), json!({"type": "string", "description": "The client.", "example": "app"}));
    let parameters: Vec<Value> = properties
        .iter()
        .map(|(name, property)| {
            let (description, example) = (&property["description"], &property["example"]);
            json!({"name": name, "in": "query", "description": description, "example": example, "schema": {"type": "string"}})
        })
        .collect();
    schemas.insert(SCHEMA.to_owned(), request);
    let responses = json!({
        "303": {"description": "On to the login page, to the consent page, or to the client with a code or an error."},
        "200": {"description": "With `response_mode=form_post`: a form that goes to the client.", "content": html()},
        "400": {"description": "The client or its redirect URI is not known: a page.", "content": html()},
        "503": trouble_page(),
    });
    let form = json!({"content": {"application/x-www-form-urlencoded": {
        "schema": {"$ref": format!("#/components/schemas/{SCHEMA}")}}}, "required": true});
    let described = |id: &str, summary: &str| {
        let description = "Leads the browser through login and consent, and back to the client.";
        json!({"tags": ["OAuth"], "operationId": id, "summary": summary, "description": description})
    };
    let mut get = described("authorize", "Authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2)");
    get["parameters"] = parameters.into();
    get["responses"] = responses.clone();
    let mut post = described("authorize_by_form", "Authorization endpoint, asked by a form");
    post["requestBody"] = form;
    post["responses"] = with_form_refusals(responses);
    document["paths"]["/oauth/authorize"] = json!({"get": get, "post": post});
}

/// The parameters (§2), each with what it does and an example.
const PARAMETERS: [(&str, &str, &str); 4] = [
    ("id_token_hint", "An ID token of the login, however old.", "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOi..."),
    ("client_id", "The client, where no hint names it.", "app"),
    ("post_logout_redirect_uri", "Where to go afterwards: one of the client's.", "https://app.example.com/goodbye"),
    ("state", "What goes back with it.", "af0ifjsldkj"),
];

/// Adds the endpoint to the documentation.
pub(in crate::http) fn describe_end_session(document: &mut Value) {
    let query = PARAMETERS.map(|(name, description, example)| {
        json!({"name": name, "in": "query", "description": description, "example": example,
            "schema": {"type": "string"}})
    });
    let properties: serde_json::Map<String, Value> = PARAMETERS
        .into_iter()
        .map(|(name, description, example)| {
            (name.to_owned(), json!({"type": "string", "description": description, "example": example}))
        })
        .collect();
    let responses = json!({
        "200": {"description": "Nobody is logged in any more: a page.", "content": html()},
        "303": {"description": "On to the page that asks, or back to the client."},
        "400": {"description": "The request cannot be read: a page.", "content": html()},
        "503": trouble_page(),
    });
    let summary = "End session endpoint (OIDC RP-Initiated Logout 1.0)";
    let description = "Logs the browser out where the hint is of its own login; asks the person otherwise.";
    let described = |id: &str| json!({"tags": ["OAuth"], "operationId": id, "summary": summary, "description": description, "responses": responses});
    let mut get = described("rp_initiated_logout");
    get["parameters"] = query.to_vec().into();
    let mut post = described("rp_initiated_logout_by_form");
    post["requestBody"] = json!({"required": true, "content": {"application/x-www-form-urlencoded": {
        "schema": {"type": "object", "properties": properties}}}});
    post["responses"] = with_form_refusals(post["responses"].take());
    document["paths"]["/oauth/logout"] = json!({"get": get, "post": post});
}

/// The fields of limited routes, for their documentation.
fn described_fields() -> Value {
    let described =
        |text: &str, example: &str| json!({ "description": text, "schema": { "type": "string" }, "example": example });
    json!({
        "RateLimit-Policy": described("`q` requests in `w` seconds.", r#""token";q=60;w=60"#),
        "RateLimit": described("`r` requests are left; in `t` seconds there is one more.", r#""token";r=59;t=1"#),
    })
}

/// Adds to a documented operation what its limit adds to its answers; 429 has the shape of the other refusals.
pub(in crate::http) fn describe_limit(method: &str, path: &str, operation: &mut Value) {
    let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else { return };
    if routes::find(path).class(&method).is_none() {
        return;
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if let Some(mut refused) = responses.get("503").cloned() {
        refused["description"] = describe(429).into();
        responses.insert("429".to_owned(), refused);
    }
    for (status, response) in responses.iter_mut() {
        if (status.starts_with('2') || status == "429")
            && let Some(response) = response.as_object_mut()
            && let Some(headers) = response.entry("headers").or_insert_with(|| json!({})).as_object_mut()
            && let Value::Object(fields) = described_fields()
        {
            headers.extend(fields);
        }
    }
}
