//! Payments that come whether or not the ones before are answered, as in life. Each time is counted from when the payment
//! was due, so that a platform that falls behind is not forgiven for it (coordinated omission).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{sync::mpsc, task::JoinSet};

use super::{connection::Connection, load::Load, run::PROVIDER_MS, times::Times};
use crate::chance::Chance;

/// Payments come at random, `rate` a second on average, for a time. Returns the times of the answers, less what the provider
/// takes.
pub(super) async fn open_loop(load: Arc<Load>, rate: f64, time: Duration) -> Result<Times> {
    let (due, mut arrivals) = mpsc::unbounded_channel();
    // A thread of its own: the runtime's timers are a millisecond coarse, which would count as the platform's time.
    let clock = std::thread::spawn(move || schedule(rate, time, &due));
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let mut tasks = JoinSet::new();
    let mut number = 0;
    while let Some(due) = arrivals.recv().await {
        number += 1;
        let (load, idle) = (Arc::clone(&load), Arc::clone(&idle));
        tasks.spawn(async move {
            let ready = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match ready {
                Some(connection) => connection,
                None => Connection::open(load.port(number)).await?,
            };
            if load.pay(&mut connection).await {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            Ok::<_, anyhow::Error>(due.elapsed())
        });
    }
    clock.join().ok().context("the clock of the load broke")?;
    let mut own = Times::new();
    while let Some(time) = tasks.join_next().await {
        own.record(time??.saturating_sub(Duration::from_millis(PROVIDER_MS)));
    }
    Ok(own)
}

/// Arrivals of a Poisson process, the same in every run.
fn schedule(rate: f64, time: Duration, due: &mpsc::UnboundedSender<Instant>) {
    let begin = Instant::now();
    let mut at = Duration::ZERO;
    let mut arrivals = Chance::new(1);
    loop {
        // 53 bits, as many as a float has.
        #[expect(clippy::cast_precision_loss, reason = "chance needs no more")]
        let chance = (arrivals.next() >> 11) as f64 / (1_u64 << 53) as f64;
        at += Duration::from_secs_f64(-(1.0 - chance).ln() / rate);
        if at > time {
            return;
        }
        if let Some(early) = at.checked_sub(begin.elapsed()) {
            std::thread::sleep(early);
        }
        if due.send(begin + at).is_err() {
            return;
        }
    }
}
