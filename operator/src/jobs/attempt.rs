//! Whether a command runs, runs again, waits or is done. ★ Pure.

use jiff::{SignedDuration, Timestamp};
use runtime_contract::{JobReport, Outcome, Reason};

use super::Progress;
use crate::cluster::diagnosis::Trouble;

/// Annotation: which attempt a Job is.
pub const ATTEMPT: &str = "purser.dev/attempt";
/// Annotation: hash of all that decides whether the same command may end differently.
pub const INPUTS: &str = "purser.dev/inputs";

/// Longest wait between two attempts, in seconds.
const RETRY_SECONDS_MAX: i64 = 60;
/// Longest wait until what succeeded is done anew because nobody could read its report, in seconds: each time costs a backup, or
/// what else it was that was done.
const ANEW_SECONDS_MAX: i64 = 3600;

/// One Job that was started for a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Name of the Job.
    pub name: String,
    /// From 1.
    pub number: u32,
    /// When it was created.
    pub created: Timestamp,
    /// What it was started with.
    pub inputs: String,
    /// Where it stands.
    pub progress: Progress,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Start this attempt.
    Start(u32),
    /// The attempt runs, or would run if it could start.
    Wait(Option<Trouble>),
    /// The attempt failed; another one is due at that time.
    Later(JobReport, Timestamp),
    /// The attempt failed, and another one would fail as well until something changes.
    Stuck(JobReport),
    /// It is done.
    Done(JobReport),
}

/// The attempt that counts: the newest.
#[must_use]
pub fn latest(attempts: &[Attempt]) -> Option<&Attempt> {
    attempts.iter().max_by_key(|attempt| (attempt.created, attempt.number))
}

/// What comes next for a command with these inputs, given what was tried.
#[must_use]
pub fn next(attempts: &[Attempt], inputs: &str, now: Timestamp) -> Next {
    let Some(latest) = latest(attempts) else { return Next::Start(1) };
    let following = latest.number.saturating_add(1);
    let inputs_changed = latest.inputs != inputs;
    match &latest.progress {
        // A pod that runs is left to its end, for it may be in the midst of a migration; one that cannot start is not.
        Progress::Running(Some(_)) if inputs_changed => Next::Start(following),
        Progress::Running(trouble) => Next::Wait(trouble.clone()),
        Progress::Finished { report, .. } if report.outcome == Outcome::Succeeded => Next::Done(report.clone()),
        Progress::Finished { .. } if inputs_changed => Next::Start(following),
        Progress::Finished { report, at } => match retry_at(report, latest.number, *at) {
            None => Next::Stuck(report.clone()),
            Some(due) if due <= now => Next::Start(following),
            Some(due) => Next::Later(report.clone(), due),
        },
    }
}

/// What comes next where the newest attempt succeeded and its report does not say all that is needed. Something may remove each pod
/// before it is read: the pauses grow.
#[must_use]
pub fn anew(latest: &Attempt, now: Timestamp) -> Next {
    let Progress::Finished { report, at } = &latest.progress else { return Next::Wait(None) };
    let due = at.checked_add(pause(latest.number, ANEW_SECONDS_MAX)).unwrap_or(Timestamp::MAX);
    if due <= now {
        return Next::Start(latest.number.saturating_add(1));
    }
    let message = format!("its result is not known, so it is done anew: {}", report.message);
    Next::Later(JobReport::new(Outcome::Retry, Reason::Internal, message), due)
}

/// The wait after an attempt: longer each time.
fn pause(number: u32, seconds_max: i64) -> SignedDuration {
    SignedDuration::from_secs(2_i64.checked_pow(number).unwrap_or(i64::MAX).min(seconds_max))
}

fn retry_at(report: &JobReport, number: u32, ended: Timestamp) -> Option<Timestamp> {
    let pause = match (report.outcome, report.reason) {
        (Outcome::Retry | Outcome::Succeeded, _) => pause(number, RETRY_SECONDS_MAX),
        // A person may put these right in the database, where the operator sees no change.
        (
            Outcome::Failed,
            Reason::DatabaseUnreachable
            | Reason::DatabaseAuthenticationFailed
            | Reason::DatabaseMissing
            | Reason::DatabaseOwnedByAnother
            | Reason::MigrationLocked
            | Reason::OperatorSuperseded
            | Reason::BackupFailed
            | Reason::BackupStoreUnavailable
            | Reason::BackupCorrupt
            | Reason::NotDrained
            | Reason::ArchiveFailed
            | Reason::ArchiveCorrupt
            | Reason::CdcSlotLeft
            | Reason::Internal,
        ) => SignedDuration::from_secs(RETRY_SECONDS_MAX),
        (
            Outcome::Failed,
            Reason::Migrated
            | Reason::SettingsApplied
            | Reason::SettingsSuperseded
            | Reason::InvalidConfiguration
            | Reason::MigrationFailed
            | Reason::SchemaMismatch
            | Reason::BackedUp
            | Reason::BackupVerified
            | Reason::Restored
            | Reason::RestoreRefused
            | Reason::DryRunSucceeded
            | Reason::DryRunFailed
            | Reason::MigrationsPlanned
            | Reason::MigrationUnsafe
            | Reason::Drained
            | Reason::CacheWarmed
            | Reason::SmokePassed
            | Reason::SmokeFailed
            | Reason::LoadPassed
            | Reason::Archived
            | Reason::LoadFailed
            | Reason::CdcApplied
            | Reason::CdcRemoved
            | Reason::CdcFailed
            | Reason::ReplicaReady
            | Reason::ReplicaBehind
            | Reason::ReplicaWrong,
        ) => return None,
    };
    ended.checked_add(pause).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn report(outcome: Outcome, reason: Reason) -> JobReport {
        JobReport::new(outcome, reason, "")
    }

    fn attempt(number: u32, progress: Progress) -> Attempt {
        Attempt {
            name: format!("job-{number}"),
            number,
            created: at(i64::from(number)),
            inputs: "same".into(),
            progress,
        }
    }

    fn ended(number: u32, outcome: Outcome, reason: Reason) -> Attempt {
        attempt(number, Progress::Finished { report: report(outcome, reason), at: at(100) })
    }

    #[test]
    fn the_first_attempt_starts_at_once_and_a_running_one_is_waited_for() {
        assert_eq!(next(&[], "same", at(0)), Next::Start(1));
        assert_eq!(next(&[attempt(1, Progress::Running(None))], "same", at(0)), Next::Wait(None));
        assert_eq!(next(&[attempt(1, Progress::Running(None))], "other", at(0)), Next::Wait(None));
    }

    #[test]
    fn a_retry_waits_longer_each_time_up_to_a_minute() {
        for (number, seconds) in [(1, 2), (2, 4), (5, 32), (6, 60), (400, 60)] {
            let attempts = [ended(number, Outcome::Retry, Reason::DatabaseUnreachable)];
            assert!(
                matches!(next(&attempts, "same", at(99 + seconds)), Next::Later(_, due) if due == at(100 + seconds))
            );
            assert_eq!(next(&attempts, "same", at(100 + seconds)), Next::Start(number + 1));
        }
    }

    #[test]
    fn a_failed_migration_waits_for_a_change_and_a_wrong_password_is_tried_each_minute() {
        let failed = [ended(1, Outcome::Failed, Reason::MigrationFailed)];
        assert!(matches!(next(&failed, "same", at(1_000_000)), Next::Stuck(_)));
        assert_eq!(next(&failed, "other", at(100)), Next::Start(2));
        let refused = [ended(1, Outcome::Failed, Reason::DatabaseAuthenticationFailed)];
        assert!(matches!(next(&refused, "same", at(159)), Next::Later(..)));
        assert_eq!(next(&refused, "same", at(160)), Next::Start(2));
        assert_eq!(next(&refused, "other", at(101)), Next::Start(2));
    }

    #[test]
    fn the_newest_attempt_counts_and_success_is_the_end() {
        let attempts =
            [ended(2, Outcome::Succeeded, Reason::Migrated), ended(1, Outcome::Failed, Reason::MigrationFailed)];
        assert!(matches!(next(&attempts, "other", at(0)), Next::Done(_)));
    }

    #[test]
    fn what_nobody_could_read_is_done_anew_after_pauses_that_grow_to_an_hour() {
        for (number, seconds) in [(1, 2), (6, 64), (11, 2048), (12, 3600), (400, 3600)] {
            let unread = ended(number, Outcome::Succeeded, Reason::Migrated);
            let Next::Later(report, due) = anew(&unread, at(99 + seconds)) else { panic!("at once after {number}") };
            assert_eq!((report.outcome, due), (Outcome::Retry, at(100 + seconds)));
            assert_eq!(anew(&unread, due), Next::Start(number + 1));
        }
    }

    #[test]
    fn an_attempt_that_cannot_start_is_replaced_when_its_inputs_change() {
        let trouble = Trouble { reason: "ImagePullFailed", message: String::new() };
        let attempts = [attempt(1, Progress::Running(Some(trouble.clone())))];
        assert_eq!(next(&attempts, "same", at(0)), Next::Wait(Some(trouble)));
        assert_eq!(next(&attempts, "other", at(0)), Next::Start(2));
    }
}
