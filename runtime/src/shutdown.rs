//! The end of a process, told by SIGTERM or Ctrl-C: it leaves first, where it has callers, and then finishes within [`DRAIN`].

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a process that others call goes on taking calls after it was told to stop: it is not ready any more, and so
/// long it takes until its address is forgotten everywhere.
pub const LEAVE: Duration = Duration::from_secs(4);
/// How long requests and payments in flight may take to finish.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// # Errors
/// When the process cannot receive signals.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut told = signals()?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        told.recv().await;
        tracing::info!("told to stop; finishing what is in flight");
        stop.cancel();
    });
    Ok(token)
}

/// Cancels `leaving` at the first SIGTERM or SIGINT, and `shutdown` so long after it, or at the second one.
///
/// # Errors
/// When the process cannot receive signals.
pub fn in_phases(leave: Duration, leaving: CancellationToken, shutdown: CancellationToken) -> io::Result<()> {
    tokio::spawn(follow(signals()?, leave, leaving, shutdown));
    Ok(())
}

async fn follow(
    mut told: mpsc::UnboundedReceiver<()>,
    leave: Duration,
    leaving: CancellationToken,
    shutdown: CancellationToken,
) {
    told.recv().await;
    leaving.cancel();
    if !leave.is_zero() {
        tracing::info!("told to stop; serving for {} s more until nobody calls", leave.as_secs());
        tokio::select! {
            () = tokio::time::sleep(leave) => {}
            _ = told.recv() => tracing::info!("told again; not waiting any longer"),
            () = shutdown.cancelled() => {}
        }
    }
    tracing::info!("stopping; finishing what is in flight");
    shutdown.cancel();
}

/// Says so at each SIGTERM and SIGINT, from now on.
fn signals() -> io::Result<mpsc::UnboundedReceiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if tell.send(()).is_err() {
                // Nobody listens after the end has begun; further signals change nothing.
                return;
            }
        }
    });
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// One that follows signals which the test sends.
    fn following(leave: Duration) -> (mpsc::UnboundedSender<()>, CancellationToken, CancellationToken) {
        let (tell, told) = mpsc::unbounded_channel();
        let (leaving, shutdown) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(follow(told, leave, leaving.clone(), shutdown.clone()));
        (tell, leaving, shutdown)
    }

    async fn cancelled(token: &CancellationToken) {
        tokio::time::timeout(PATIENCE, token.cancelled()).await.expect("it is cancelled");
    }

    #[tokio::test]
    async fn one_who_has_callers_leaves_before_it_stops() {
        let leave = Duration::from_millis(200);
        let (tell, leaving, shutdown) = following(leave);
        let begin = Instant::now();
        tell.send(()).unwrap();
        cancelled(&shutdown).await;
        assert!(leaving.is_cancelled() && begin.elapsed() >= leave, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_second_signal_ends_the_leaving() {
        let (tell, leaving, shutdown) = following(Duration::from_secs(3600));
        assert!(!leaving.is_cancelled(), "nobody told it");
        tell.send(()).unwrap();
        cancelled(&leaving).await;
        assert!(!shutdown.is_cancelled());
        tell.send(()).unwrap();
        cancelled(&shutdown).await;
    }

    #[tokio::test]
    async fn one_without_callers_stops_at_once() {
        let (tell, leaving, shutdown) = following(Duration::ZERO);
        tell.send(()).unwrap();
        cancelled(&leaving).await;
        cancelled(&shutdown).await;
    }
}
