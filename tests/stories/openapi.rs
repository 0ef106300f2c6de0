//! Whether the service answers as its OpenAPI document says, tried by a fuzzer that reads the document.

use crate::harness::{TestEnv, stories_on, tools};

/// Every status, type, field and header of every answer is documented, whatever is sent. The first configuration offers
/// everything, to strangers and to somebody who is logged in; the second refuses what can be turned off.
async fn the_document_describes_every_answer(env: TestEnv) {
    let mut env = env;
    env.set("rate_limits.enabled", "false");
    env.set("client_registration", "open");
    env.set("client_id_documents", "on");
    let mut signet = env.open().await;
    let document = format!("{}/openapi.json", signet.site.base());
    tools::fuzzes(&document, &signet.folder, &[]).unwrap_or_else(|report| panic!("{report}"));
    let grace = signet.registers("grace").await;
    let field = format!("Authorization: Bearer {}", grace.logs_in().await.access);
    let as_grace = ["--header", &field, "--include-path-regex", "^/v1|userinfo"];
    tools::fuzzes(&document, &signet.folder, &as_grace).unwrap_or_else(|report| panic!("{report}"));

    let off = [
        ("registration", "closed"),
        ("client_registration", "off"),
        ("client_id_documents", "off"),
        ("rate_limits.enabled", "true"),
    ];
    signet.restart_with(&off).await;
    let document = format!("{}/openapi.json", signet.site.base());
    tools::fuzzes(&document, &signet.folder, &[]).unwrap_or_else(|report| panic!("{report}"));
}

stories_on![Sqlite: the_document_describes_every_answer];
