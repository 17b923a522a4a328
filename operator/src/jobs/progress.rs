//! Where a Job stands, from the Job and its pod. ★ Pure.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use runtime_contract::{JobReport, Outcome, Reason};

use crate::cluster::diagnosis::{self, Trouble};

/// Where a Job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// On its way; with the reason when its pod cannot start.
    Running(Option<Trouble>),
    /// Ended.
    Finished {
        /// What it said, or what its end tells.
        report: JobReport,
        /// When it ended.
        at: Timestamp,
    },
}

/// Reads a Job and its pods. The pod is asked first: it knows the report, and it knows it before the Job does.
#[must_use]
pub fn of(job: &Job, pods: &[&Pod]) -> Progress {
    if let Some((terminated, pod)) = pods.iter().find_map(|pod| Some((terminated(pod)?, pod))) {
        let at = terminated.finished_at.as_ref().map_or_else(|| created(pod), |time| time.0);
        return Progress::Finished { report: report(terminated), at };
    }
    match end(job) {
        Some((succeeded, message, at)) => Progress::Finished { report: report_of_end(succeeded, message), at },
        None => Progress::Running(pods.iter().find_map(|pod| diagnosis::of_pod(pod))),
    }
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.as_ref()?.terminated.as_ref()
}

fn created(pod: &Pod) -> Timestamp {
    pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn report(terminated: &ContainerStateTerminated) -> JobReport {
    let message = terminated.message.as_deref().unwrap_or_default();
    serde_json::from_str(message.trim()).unwrap_or_else(|_| {
        let words = diagnosis::last_words(message);
        let reason = terminated.reason.as_deref().unwrap_or("no reason");
        let code = terminated.exit_code;
        without_report(format!("it ended without a report ({reason}, exit code {code}): {words}"))
    })
}

/// Whether the Job succeeded, what Kubernetes says, and when it ended.
fn end(job: &Job) -> Option<(bool, String, Timestamp)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.status == "True").and_then(|condition| {
        let at = condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let message = condition.message.clone().unwrap_or_default();
        match condition.type_.as_str() {
            "Complete" | "SuccessCriteriaMet" => Some((true, message, at)),
            "Failed" | "FailureTarget" => Some((false, message, at)),
            _ => None,
        }
    })
}

/// A Job that is over while its pod is gone. A pod that succeeded always left a report, but nobody can read it now.
fn report_of_end(succeeded: bool, message: String) -> JobReport {
    if succeeded {
        let message = "the Job succeeded; its report is gone with its pod";
        return JobReport::new(Outcome::Succeeded, Reason::Migrated, message);
    }
    without_report(format!("the Job failed, and its report is gone with its pod: {message}"))
}

fn without_report(message: String) -> JobReport {
    JobReport::new(Outcome::Retry, Reason::Internal, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(state: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "containers": [{ "name": "purser", "image": "purser:0.1.0" }] },
            "status": { "containerStatuses": [{
                "name": "purser", "image": "purser:0.1.0", "imageID": "", "ready": false, "restartCount": 0,
                "state": state,
            }] },
        }))
        .unwrap()
    }

    #[test]
    fn the_report_is_read_from_the_termination_message() {
        let message = r#"{"outcome":"Succeeded","reason":"Migrated","message":"done","schemaVersion":7}"#;
        let pod =
            pod(json!({ "terminated": { "exitCode": 0, "message": message, "finishedAt": "2026-01-01T00:00:05Z" } }));
        let Progress::Finished { report, at } = of(&Job::default(), &[&pod]) else { panic!("not finished") };
        assert_eq!((report.outcome, report.schema_version), (Outcome::Succeeded, Some(7)));
        assert_eq!(at.to_string(), "2026-01-01T00:00:05Z");
    }

    #[test]
    fn a_container_that_was_killed_is_tried_again() {
        let pod = pod(json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } }));
        let Progress::Finished { report, .. } = of(&Job::default(), &[&pod]) else { panic!("not finished") };
        assert_eq!((report.outcome, report.reason), (Outcome::Retry, Reason::Internal));
        assert!(report.message.contains("OOMKilled, exit code 137"), "{}", report.message);
    }

    #[test]
    fn a_missing_image_is_trouble_but_no_end() {
        let pod = pod(json!({ "waiting": { "reason": "ImagePullBackOff" } }));
        let Progress::Running(Some(trouble)) = of(&Job::default(), &[&pod]) else { panic!("no trouble") };
        assert!(trouble.message.contains("purser:0.1.0"), "{}", trouble.message);
    }

    #[test]
    fn a_failed_job_whose_pod_is_gone_is_tried_again() {
        let job: Job = serde_json::from_value(json!({ "status": { "conditions": [{
            "type": "Failed", "status": "True", "message": "BackoffLimitExceeded", "lastTransitionTime": "2026-01-01T00:00:09Z",
        }] } }))
        .unwrap();
        let Progress::Finished { report, at } = of(&job, &[]) else { panic!("not finished") };
        assert_eq!(report.outcome, Outcome::Retry);
        assert_eq!(at.to_string(), "2026-01-01T00:00:09Z");
    }
}
