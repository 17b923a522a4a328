//! The served document against the running API: schemathesis sends what the document allows and what it does not, walks
//! along its links, and looks for answers that the document does not name. It is no program of ours, and shares no line.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod stage;
mod support;

use std::process::Command;

use runtime::processor::Options;
use stage::{Provider, Stage, provider};
use support::gateway::{merchant, payer, start};

/// Where the program `schemathesis` is; without it nothing is tested here.
const PROGRAM: &str = "PURSER_SCHEMATHESIS";
/// What is looked for. A value that the document allows may still be refused, as a user that does not exist is.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

#[tokio::test(flavor = "multi_thread")]
async fn no_request_meets_an_answer_that_is_not_documented() {
    let Ok(program) = std::env::var(PROGRAM) else {
        println!("left out: {PROGRAM} does not say where schemathesis is");
        return;
    };
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let _processor = stage.processor(Options::default());
    let (id, key) = merchant(stage.pool()).await;
    payer(stage.pool(), id).await;
    let url = start(stage.test.app.clone()).await;
    let mut command = Command::new(program);
    command.args(["run", &format!("{url}/v1/openapi.json"), "--checks", CHECKS, "--seed", "1", "--max-examples", "15"]);
    command.args([
        "--header",
        &format!("Authorization: Bearer {key}"),
        "--exclude-path-regex",
        "/v1/(admin|provider-webhooks)/",
    ]);
    command.args(["--request-timeout", "40", "--workers", "2"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
