//! The end of a process: told by SIGTERM or Ctrl-C, finished within [`DRAIN`].

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long requests and payments in flight may take to finish.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// # Errors
/// When the process cannot receive signals.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop; finishing what is in flight");
        told.cancel();
    });
    Ok(token)
}
