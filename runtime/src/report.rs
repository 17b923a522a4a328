//! The report that a command leaves behind for the operator.

use std::path::PathBuf;

use runtime_contract::{JobReport, Outcome, Reason, commands};

/// A report; a long sentence is cut, since Kubernetes would cut the JSON around it.
#[must_use]
pub fn report(outcome: Outcome, reason: Reason, message: &str) -> JobReport {
    let end = (0..=JobReport::MESSAGE_BYTES_MAX.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
    let message = message[..end.unwrap_or(0)].to_owned();
    JobReport::new(outcome, reason, message)
}

/// Writes the report to the termination log, where there is one, and to standard output.
///
/// # Errors
/// When the termination log exists, or was asked for, and cannot be written.
pub fn write(report: &JobReport) -> std::io::Result<()> {
    println!("{}", serde_json::to_string(report)?);
    leave(report)
}

/// The same for a command that has something else to print.
///
/// # Errors
/// As [`write`].
pub fn leave(report: &JobReport) -> std::io::Result<()> {
    let json = serde_json::to_string(report)?;
    let asked = std::env::var_os(commands::TERMINATION_LOG_ENV).map(PathBuf::from);
    let given = Some(PathBuf::from(commands::TERMINATION_LOG)).filter(|path| path.exists());
    match asked.or(given) {
        Some(path) => std::fs::write(path, json),
        // By hand, outside of a cluster: standard output is all there is.
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let report = report(Outcome::Failed, Reason::Internal, &"é".repeat(3000));
        assert!(report.message.len() <= JobReport::MESSAGE_BYTES_MAX && report.message.starts_with('é'));
        assert!(serde_json::to_string(&report).unwrap().len() < 4096);
    }
}
