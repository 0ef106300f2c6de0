//! The OpenAPI document and its Swagger UI, served by the binary itself.

use poem::Route;
use poem_openapi::{OpenApi, OpenApiService, Tags};
use serde_json::{Map, Value};

use crate::http::{openapi::describe, static_file};

/// An account's id, for examples.
pub(in crate::http) const EXAMPLE_ID: uuid::Uuid = uuid::Uuid::from_u128(0x0199_0b5e_6c00_7d3a_9f41_0c2d_5e6f_7a8b);

/// The parts of the API.
#[derive(Tags)]
pub(in crate::http) enum Tag {
    /// Accounts.
    Users,
    /// Logins of an account.
    Sessions,
    /// OAuth 2 and OpenID Connect.
    OAuth,
    /// The original service's routes.
    Original,
    /// For operators.
    Operations,
}

/// The document of an API, as JSON.
pub(in crate::http) fn document<T: OpenApi>(service: &OpenApiService<T, ()>) -> String {
    // The library's own output always parses; should it ever not, it is served as it is.
    let Ok(mut document) = serde_json::from_str::<Value>(&service.spec()) else { return service.spec() };
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.values_mut().filter_map(Value::as_object_mut).for_each(give_examples);
        for (schema, property, example) in ALONE {
            if let Some(property) = schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(property)) {
                property["example"] = example.into();
            }
        }
    }
    describe::describe_authorize(&mut document);
    describe::describe_end_session(&mut document);
    describe::describe_check(&mut document);
    describe::describe_userinfo(&mut document);
    describe::describe_registration(&mut document);
    describe::describe_nullable(&mut document);
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            describe::describe_limit(method, path, operation);
            for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
                if !parameter["example"].is_null() {
                    continue;
                }
                let example = match parameter["name"].as_str() {
                    Some("username") => "ada",
                    Some("list") => "0",
                    Some("client_id") => "c-QhMqFwIo8m5pXbW2xkNf0g",
                    Some("id") => "01990b5e-6c00-7d3a-9f41-0c2d5e6f7a8b",
                    _ => "\"24AEZnF2CGBgFAQfNA4qlyqrvklGKFCDs8Hp-X7qbjM\"",
                };
                parameter["example"] = example.into();
            }
            if let Some(operation) = operation.as_object_mut() {
                operation.entry("operationId").or_insert_with(|| operation_id(method, path).into());
            }
        }
    }
    document.to_string()
}

/// A name for an operation that shares its handler with another method, which the library cannot name twice.
fn operation_id(method: &str, path: &str) -> String {
    path.split('/').fold(method.to_owned(), |id, part| if part.is_empty() { id } else { format!("{id}_{part}") })
}

/// Examples of properties that the example of their object cannot have beside the others.
const ALONE: [(&str, &str, &str); 13] = [
    ("PasswordResetRequest", "email", "ada@example.com"),
    ("IntrospectionRequest", "token_type_hint", "access_token"),
    ("TokenRequest", "code", "SplxlOBeZQQYbYS6WxSbIASplxlOBeZQQYbYS6WxSbI"),
    ("TokenRequest", "code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ("TokenRequest", "redirect_uri", "https://app.example.com/callback"),
    ("Tokens", "id_token", "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOi..."),
    ("TokenRequest", "refresh_token", "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJpc3MiOi..."),
    ("TokenRequest", "resource", "https://orders.example.com"),
    ("ClientMetadata", "token_endpoint_auth_signing_alg", "ES256"),
    ("ClientMetadata", "client_id", "c-QhMqFwIo8m5pXbW2xkNf0g"),
    ("ClientMetadata", "client_secret", "43 characters, shown at registration"),
    ("Jwk", "n", "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"),
    ("Jwk", "e", "AQAB"),
];

/// Gives each property the example that its object has for it: the library knows examples of whole objects alone.
fn give_examples(schema: &mut Map<String, Value>) {
    let Some(example) = schema.get("example").and_then(Value::as_object).cloned() else { return };
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties.iter_mut() {
        if let (Some(property), Some(value)) = (property.as_object_mut(), example.get(name))
            // Beside a reference nothing else counts, and its schema has an example of its own.
            && !property.contains_key("$ref")
            && !value.is_null()
        {
            property.entry("example").or_insert_with(|| value.clone());
        }
    }
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Signet: API</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"#;

const START: &str = r##"SwaggerUIBundle({ url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null });
"##;

/// Swagger UI writes its own style attributes and draws its icons from `data:` URLs; scripts come from this folder alone.
pub(in crate::http) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The paths of the pages and files below `/docs`.
pub(in crate::http) const FILES: [&str; 4] = ["/docs", "/docs/start.js", "/docs/swagger-ui.js", "/docs/swagger-ui.css"];

/// The pages below `/docs`.
pub(in crate::http) fn routes<T: OpenApi + 'static>(service: &OpenApiService<T, ()>) -> Route {
    let (script, style) = assets(&service.swagger_ui_html());
    Route::new()
        .at(FILES[0], static_file::file("text/html; charset=utf-8", Some(POLICY), PAGE.to_owned()))
        .at(FILES[1], static_file::file("text/javascript; charset=utf-8", Some(POLICY), START.to_owned()))
        .at(FILES[2], static_file::file("text/javascript; charset=utf-8", Some(POLICY), script))
        .at(FILES[3], static_file::file("text/css; charset=utf-8", Some(POLICY), style))
}

/// The library has Swagger UI's files, but gives them only as one page with its script and style inline, which our
/// content security policy forbids: take them out of it.
fn assets(page: &str) -> (String, String) {
    let between = |start: &str, end: &str| {
        let from = page.find(start).map(|at| at + start.len())?;
        let to = page[from..].find(end).map(|at| at + from)?;
        Some(page[from..to].to_owned())
    };
    let style = between("<style charset=\"UTF-8\">", "</style>").unwrap_or_default();
    // The bundle has `</script>` in none of its strings, or the library's own page would break.
    let script = between("<script charset=\"UTF-8\">", "</script>").unwrap_or_default();
    (script, style)
}
