//! Adds to the OpenAPI document the parts that the library cannot derive: the browser endpoints, and rate limits.

use poem::http::Method;
use serde_json::{Value, json};

use crate::http::{oauth::check, openapi::answers::describe, routes};

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
        "400": {"description": "The client, its document or its redirect URI is not accepted: a page.", "content": html()},
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

/// An id, for examples.
const ID: &str = "01990b5e-6c00-7d3a-9f41-0c2d5e6f7a8b";

/// Adds forward authentication, whose endpoint takes every method.
pub(in crate::http) fn describe_check(document: &mut Value) {
    let parameter = |name: &str, description: &str, example: &str, schema: Value| json!({"name": name, "in": "query", "description": description, "example": example, "schema": schema});
    let words = || json!({"type": "array", "items": {"type": "string"}});
    let parameters = [
        parameter(
            "audience",
            "The audience that the token must have; by default the configured one.",
            "https://api.example.com",
            json!({"type": "string"}),
        ),
        parameter("scope", "A scope that the token must have; may be repeated.", "orders:read", words()),
        parameter("role", "A role that the token must have; may be repeated.", "admin", words()),
    ];
    let field =
        |text: &str, example: &str| json!({"description": text, "schema": {"type": "string"}, "example": example});
    let fields = json!({
        "X-Auth-Subject": field("`sub`: the user's id, or the client's for its own token.", ID),
        "X-Auth-Client": field("`client_id`.", "app"),
        "X-Auth-Scope": field("`scope`, with spaces between.", "openid orders:read"),
        "X-Auth-Session": field("`sid`, of a user's token.", ID),
        "X-Auth-Username": field("`preferred_username`, in UTF-8, where the token has it.", "ada"),
        "X-Auth-Roles": field("`roles`, with commas between, where the token has any.", "admin,clerk"),
    });
    let error = json!({"application/json": {"schema": {"$ref": "#/components/schemas/OAuthError"}}});
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let responses = json!({
        "200": {"description": "The token is valid now and meets the conditions.", "headers": fields},
        "400": {"description": "The conditions cannot be read.", "content": error},
        "401": {"description": "No token, or one that is not valid for this audience.", "content": either(&error, &problem)},
        "403": {"description": "The token lacks a scope or a role.", "content": problem},
        "503": {"description": describe(503), "content": problem},
    });
    let mut operations = serde_json::Map::new();
    for method in check::METHODS {
        let method = method.to_ascii_lowercase();
        let operation = json!({
            "tags": ["OAuth"],
            "operationId": format!("check_{method}"),
            "summary": "Forward authentication",
            "description": "For proxies that cannot verify a JWT: whether they may pass the request on.",
            "parameters": parameters,
            "responses": responses,
            "security": [{"access_token": []}],
        });
        operations.insert(method, operation);
    }
    document["paths"][check::PATH] = operations.into();
}

/// The content of a response that has one of two shapes.
fn either(one: &Value, other: &Value) -> Value {
    let mut both = one.clone();
    if let (Some(both), Some(other)) = (both.as_object_mut(), other.as_object()) {
        both.extend(other.clone());
    }
    both
}

/// Adds the token in the form, which only the POST of userinfo takes (RFC 6750 §2.2).
pub(in crate::http) fn describe_userinfo(document: &mut Value) {
    let operation = &mut document["paths"]["/oauth/userinfo"]["post"];
    operation["requestBody"] = json!({"required": false, "content": {"application/x-www-form-urlencoded": {"schema": {
        "type": "object", "properties": {"access_token": {"type": "string",
            "description": "The access token, where the `Authorization` field has none."}}}}}});
    // A form that cannot be read is answered as at the other endpoints of OAuth.
    let unreadable = json!({"application/json": {"schema": {"$ref": "#/components/schemas/OAuthError"}}});
    operation["responses"]["400"]["content"] = either(&operation["responses"]["400"]["content"], &unreadable);
    for status in [408, 413] {
        operation["responses"][status.to_string()] = json!({"description": describe(status), "content": unreadable});
    }
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
