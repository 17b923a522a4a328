//! `kubectl purser` as a process.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::operator::Stage;

/// Every command here answers within this time, or waits for something that a test has forgotten.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// What a command said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: Output) -> Result<Self> {
        let Output { status, stdout, stderr } = output;
        Ok(Self { code: status.code(), out: String::from_utf8(stdout)?, err: String::from_utf8(stderr)? })
    }
}

/// Starts the program that cargo built beside this test.
pub(crate) fn start(kubeconfig: &Path, namespace: &str, arguments: &[&str]) -> Result<Child> {
    let program = std::env::current_exe()?.ancestors().nth(2).context("no target folder")?.join("kubectl-purser");
    let mut command = Command::new(&program);
    command.args(arguments).args(["-n", namespace]).env("KUBECONFIG", kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot start {}: cargo build --workspace --bins", program.display()))
}

pub(crate) async fn end_of(child: Child) -> Result<Said> {
    Said::of(tokio::time::timeout(LIMIT, child.wait_with_output()).await.context("the command does not end")??)
}

/// Runs a command to its end, as the administrator.
pub(crate) async fn purser(stage: &Stage, arguments: &[&str]) -> Result<Said> {
    end_of(start(&stage.plane.kubeconfig_path, &stage.namespace, arguments)?).await
}

pub(crate) async fn succeeds(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let said = purser(stage, arguments).await?;
    ensure!(said.code == Some(0) && said.err.is_empty(), "{arguments:?}: {said:?}");
    Ok(said.out)
}

/// It is refused, in one sentence with these words, and with nothing on standard output.
pub(crate) async fn is_refused(stage: &Stage, arguments: &[&str], words: &str) -> Result<()> {
    let said = purser(stage, arguments).await?;
    let is_sentence = said.err.lines().count() == 1 && said.err.starts_with("error: ") && said.out.is_empty();
    ensure!(said.code == Some(1) && is_sentence && said.err.contains(words), "{arguments:?}, {words:?}: {said:?}");
    Ok(())
}

/// The next line that a command says.
pub(crate) async fn line_of(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await.context("no line came")?;
    line?.context("the command has ended")
}
