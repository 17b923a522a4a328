//! The proofs, on all cores.

use std::num::NonZero;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use operator::sla::{Judgement, Limits, judge};

use super::platform::{BEFORE, Platform, RELEASE, Regression, limits};
use crate::chance::mix;

/// A release that is judged takes more payments than one in the night.
const TPS_OF_REGRESSIONS: u64 = 50;
/// Seconds of the window that a regression has to be caught within.
const WINDOW_S: u32 = 60;
/// Of ten thousand regressions.
const CAUGHT_MIN: f64 = 0.999;

/// What is simulated.
#[derive(Args, Clone, Copy, Debug)]
pub struct Options {
    /// Hours of a platform that is well, with noise, every second one with a canary: no verdict may be a breach.
    #[arg(long, default_value_t = 10_000)]
    hours: u64,
    /// Regressions, of which 999 of 1000 have to be caught within the window.
    #[arg(long, default_value_t = 10_000)]
    regressions: u64,
    /// Canaries that are slower than the release before, but not too slow for the SLA: each has to be caught within the window, and
    /// none may be acquitted before, since the next step may leave nothing to compare with.
    #[arg(long, default_value_t = 10_000)]
    canaries: u64,
    /// The same seed gives the same figures.
    #[arg(long, default_value_t = 20_261_124)]
    seed: u64,
}

/// Of the payments, a canary has so many at least.
const CANARY_SHARE_MIN: f64 = 0.1;

/// Runs all, and prints what was seen.
///
/// # Errors
/// When a platform that is well was convicted, too many regressions were not caught, or a slow canary was acquitted.
pub fn run(options: Options) -> Result<()> {
    let Options { hours, regressions, canaries, seed } = options;
    let convicted = on_all_cores(hours, |hour| healthy_hour(mix(seed ^ hour), hour))?;
    println!("{hours} hours of a platform that is well (seed {seed}): {} convictions", convicted.len());
    for words in convicted.iter().take(5) {
        println!("    {words}");
    }
    let delays = on_all_cores(regressions, |number| regression(mix(seed ^ mix(number)), number))?;
    let caught = delays.iter().filter(|delay| delay.1.is_some()).count();
    println!("{regressions} regressions: {caught} caught within {WINDOW_S} s");
    for kind in Regression::ALL {
        let of_kind = delays.iter().filter(|(of, _)| *of == kind).filter_map(|(_, seconds)| *seconds);
        println!("    {kind:?}: {}", delay_words(of_kind));
    }
    let compared = on_all_cores(canaries, |number| slow_canary(mix(seed ^ mix(!number)), number))?;
    let acquitted: Vec<_> = compared.iter().filter_map(|canary| canary.acquitted.as_ref()).collect();
    let not_caught = compared.iter().filter(|canary| canary.caught.is_none()).count();
    println!("{canaries} canaries slower than the release before, within the SLA: {} acquitted", acquitted.len());
    println!("    {not_caught} not caught; {}", delay_words(compared.iter().filter_map(|canary| canary.caught)));
    for words in acquitted.iter().take(5) {
        println!("    {words}");
    }
    if !convicted.is_empty() {
        bail!("{} healthy hours were convicted", convicted.len());
    }
    if share(caught, delays.len()) < CAUGHT_MIN {
        bail!("only {caught} of {regressions} regressions were caught within {WINDOW_S} s");
    }
    if !acquitted.is_empty() || share(compared.len() - not_caught, compared.len()) < CAUGHT_MIN {
        bail!("{} slow canaries were acquitted, {not_caught} not caught within {WINDOW_S} s", acquitted.len());
    }
    Ok(())
}

fn delay_words(seconds: impl Iterator<Item = u32>) -> String {
    let mut seconds: Vec<_> = seconds.collect();
    seconds.sort_unstable();
    let at = |part: usize| seconds.get(seconds.len() * part / 100).copied().unwrap_or(0);
    format!("caught after {} s (median), {} s (p99)", at(50), at(99))
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The conviction, if there was one.
fn healthy_hour(seed: u64, hour: u64) -> Result<Option<String>> {
    let limits = limits();
    let is_alone = hour.is_multiple_of(2);
    let tps = tps(seed, 2);
    let mut platform = if is_alone { Platform::new(seed, tps) } else { Platform::before_canary(seed, tps) };
    if !is_alone {
        platform.shift(0.01);
    }
    for second in 0..3_600 {
        platform.live()?;
        let (figures, before) = (platform.figures(), (!is_alone).then_some(BEFORE));
        let verdict = judge(&limits, Some(&figures), RELEASE, before, is_alone, platform.now_s());
        if let Judgement::Breached(breach) = verdict {
            return Ok(Some(format!("hour {hour}, second {second}: {}: {}", breach.figure, breach.message)));
        }
    }
    Ok(None)
}

/// What was wrong, and after how many seconds it was caught.
fn regression(seed: u64, number: u64) -> Result<Option<(Regression, Option<u32>)>> {
    let limits = limits();
    let mut platform = Platform::new(seed, tps(seed, TPS_OF_REGRESSIONS));
    for _ in 0..90 {
        platform.live()?;
    }
    let kind = Regression::ALL[usize::try_from(number % 3)?];
    platform.regression = Some(kind);
    for second in 1..=WINDOW_S {
        platform.live()?;
        let figures = platform.figures();
        let verdict = judge(&limits, Some(&figures), RELEASE, None, true, platform.now_s());
        if matches!(verdict, Judgement::Breached(_)) {
            return Ok(Some((kind, Some(second))));
        }
    }
    Ok(Some((kind, None)))
}

/// What became of a slow canary.
struct Compared {
    /// How many seconds after its first traffic it was convicted.
    caught: Option<u32>,
    /// When it was acquitted before that, in words.
    acquitted: Option<String>,
}

fn slow_canary(seed: u64, number: u64) -> Result<Option<Compared>> {
    let limits = Limits { average_us: None, p95_us: None, p99_us: None, failures: None, ..limits() };
    let mut platform = Platform::before_canary(seed, tps(seed, TPS_OF_REGRESSIONS));
    for _ in 0..90 {
        platform.live()?;
    }
    platform.shift(CANARY_SHARE_MIN);
    platform.regression = Some(Regression::Slower);
    let mut acquitted = None;
    for second in 1..=WINDOW_S {
        platform.live()?;
        let verdict = judge(&limits, Some(&platform.figures()), RELEASE, Some(BEFORE), false, platform.now_s());
        match verdict {
            Judgement::Breached(_) => return Ok(Some(Compared { caught: Some(second), acquitted })),
            Judgement::Healthy => acquitted = Some(format!("canary {number}, second {second}")),
            Judgement::Inconclusive(_) => {}
        }
    }
    Ok(Some(Compared { caught: None, acquitted }))
}

/// Payments per second to begin with, from `least` to 300 more.
fn tps(seed: u64, least: u64) -> f64 {
    f64::from(u32::try_from(least + mix(seed) % 300).unwrap_or(u32::MAX))
}

/// What each number gives, in no order.
fn on_all_cores<T: Send>(numbers: u64, work: impl Fn(u64) -> Result<Option<T>> + Sync) -> Result<Vec<T>> {
    let cores = u64::try_from(thread::available_parallelism().map_or(1, NonZero::get)).context("cores")?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|core| {
                let work = &work;
                scope.spawn(move || {
                    let mine = (core..numbers).step_by(usize::try_from(cores).unwrap_or(1));
                    mine.filter_map(|number| work(number).transpose()).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow!("a worker panicked"))??);
        }
        Ok(all)
    })
}
