//! What is to be seen of a pod.

use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{super::service::Reply, manifest::CONTAINER, soon};
use crate::{
    cloud::failure::{FATAL, TRANSIENT},
    model::RetryHint,
};

/// A pod as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) name: String,
    /// Tells a pod from the one that takes its place.
    pub(super) uid: String,
    /// Whether it is being deleted.
    pub(super) is_leaving: bool,
    pub(super) stage: Stage,
}

/// How far a pod has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    /// It has no node yet, for that reason.
    Unscheduled(Option<String>),
    /// It has a node, which prepares its container.
    Preparing,
    /// Its container cannot start.
    Stuck(Reply),
    /// Its container has started.
    Running,
    /// Its container has ended, or never will have run.
    Ended {
        reply: Reply,
        /// Whether there may be a log.
        has_run: bool,
    },
}

/// Why kubelet cannot start a container, with what to make of it. It would try for ever.
const STUCK: &[(&str, RetryHint)] = &[
    ("InvalidImageName", FATAL),
    ("ErrImageNeverPull", FATAL),
    ("CreateContainerConfigError", FATAL),
    ("ErrImagePull", TRANSIENT),
    ("ImagePullBackOff", TRANSIENT),
    ("ImageInspectError", TRANSIENT),
    ("RegistryUnavailable", TRANSIENT),
    ("CreateContainerError", TRANSIENT),
    ("RunContainerError", TRANSIENT),
];

/// Why the cluster takes a pod away. The chunk is not to blame.
const TAKEN_AWAY: &[&str] = &[
    "Evicted",
    "Preempting",
    "Preempted",
    "NodeLost",
    "NodeShutdown",
    "Shutdown",
    "Terminated",
    "NodeAffinity",
    "OutOfcpu",
    "OutOfmemory",
    "OutOfpods",
    "OutOfephemeral-storage",
    "UnexpectedAdmissionError",
];

impl Look {
    /// What is to be seen of `pod`.
    pub(super) fn at(pod: &Pod) -> Self {
        let ObjectMeta { name, uid, deletion_timestamp, .. } = &pod.metadata;
        Self {
            name: name.clone().unwrap_or_default(),
            uid: uid.clone().unwrap_or_default(),
            is_leaving: deletion_timestamp.is_some(),
            stage: stage(pod),
        }
    }
}

fn stage(pod: &Pod) -> Stage {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let worker = status.container_statuses.iter().flatten().find(|it| it.name == CONTAINER);
    let state = worker.and_then(|worker| worker.state.as_ref());
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        return Stage::Ended { reply: ended_with(ended, status), has_run: true };
    }
    match status.phase.as_deref() {
        Some("Succeeded") => {
            return Stage::Ended { reply: Reply::default(), has_run: true };
        }
        Some("Failed") => return Stage::Ended { reply: failed(status), has_run: false },
        _ => {}
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return Stage::Running;
    }
    let all = [&status.init_container_statuses, &status.container_statuses];
    if let Some(reply) = all.into_iter().flatten().flatten().find_map(stuck) {
        return Stage::Stuck(reply);
    }
    if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
        return Stage::Preparing;
    }
    let scheduled = status.conditions.iter().flatten().find(|it| it.type_ == "PodScheduled");
    let why = scheduled.filter(|it| it.status == "False");
    Stage::Unscheduled(why.map(|it| said([it.reason.as_deref(), it.message.as_deref()])))
}

fn stuck(container: &ContainerStatus) -> Option<Reply> {
    let ContainerState { waiting: Some(waiting), .. } = container.state.as_ref()? else {
        return None;
    };
    let reason = waiting.reason.as_deref()?;
    let (_, retry) = STUCK.iter().find(|(stuck, _)| *stuck == reason)?;
    Some(Reply::failed(said([Some(reason), waiting.message.as_deref()]), Some(*retry)))
}

/// What a container has ended with.
fn ended_with(ended: &ContainerStateTerminated, status: &PodStatus) -> Reply {
    if ended.exit_code == 0 {
        return Reply::default();
    }
    // "Error" is what the code says already.
    let reason = ended.reason.as_deref().filter(|reason| *reason != "Error");
    let of_pod = [status.reason.as_deref(), status.message.as_deref()];
    let [one, other] = of_pod;
    let text = said([one, other, reason, ended.message.as_deref()]);
    Reply { exit_code: ended.exit_code, ..Reply::failed(text, taken_away(status)) }
}

/// What is to be said of a pod that failed, though nothing is known of its container.
fn failed(status: &PodStatus) -> Reply {
    let before = status.init_container_statuses.iter().flatten().find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| {
            let code = ended.exit_code;
            let text = format!("init container {} ended with exit code {code}", container.name);
            said([Some(&text), ended.message.as_deref()])
        })
    });
    let text = said([status.reason.as_deref(), status.message.as_deref(), before.as_deref()]);
    let text = if text.is_empty() { "the pod failed".to_owned() } else { text };
    Reply::failed(text, taken_away(status))
}

fn taken_away(status: &PodStatus) -> Option<RetryHint> {
    let has_reason = status.reason.as_deref().is_some_and(|it| TAKEN_AWAY.contains(&it));
    let is_disrupted = status
        .conditions
        .iter()
        .flatten()
        .any(|it| it.type_ == "DisruptionTarget" && it.status == "True");
    (has_reason || is_disrupted).then(soon)
}

/// What is said, without what says nothing.
fn said<const N: usize>(parts: [Option<&str>; N]) -> String {
    let parts = parts.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::RetryKind;

    fn look(status: &Value) -> Look {
        let pod = json!({
            "metadata": { "name": "p", "uid": "u" },
            "spec": { "containers": [], "nodeName": "n" },
            "status": status,
        });
        Look::at(&serde_json::from_value(pod).unwrap())
    }

    fn worker(state: &Value) -> Value {
        json!([
            { "name": "beside", "state": { "running": {} }, "ready": true, "restartCount": 0, "image": "", "imageID": "" },
            { "name": "worker", "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": "" },
        ])
    }

    #[test]
    fn containers_that_ended_say_how() {
        let evicted = json!({ "reason": "Evicted", "message": "too little memory" });
        let drained = json!({ "conditions": [{ "type": "DisruptionTarget", "status": "True" }] });
        for (ended, more, code, text, kind) in [
            (json!({ "exitCode": 0, "reason": "Completed" }), &Value::Null, 0, "", None),
            (json!({ "exitCode": 0 }), &evicted, 0, "", None),
            (
                json!({ "exitCode": 3, "reason": "Error", "message": "no\nfont\n" }),
                &Value::Null,
                3,
                "no\nfont",
                None,
            ),
            (json!({ "exitCode": 3, "reason": "Error" }), &Value::Null, 3, "", None),
            (
                json!({ "exitCode": 137, "reason": "OOMKilled" }),
                &Value::Null,
                137,
                "OOMKilled",
                None,
            ),
            (
                json!({ "exitCode": 127, "reason": "ContainerCannotRun", "message": "not found" }),
                &Value::Null,
                127,
                "ContainerCannotRun: not found",
                None,
            ),
            (
                json!({ "exitCode": 137, "reason": "Error" }),
                &evicted,
                137,
                "Evicted: too little memory",
                Some(RetryKind::Transient),
            ),
            (
                json!({ "exitCode": 143, "reason": "Error" }),
                &drained,
                143,
                "",
                Some(RetryKind::Transient),
            ),
            (
                json!({ "exitCode": 137, "reason": "Error" }),
                &json!({ "reason": "DeadlineExceeded", "message": "was active too long" }),
                137,
                "DeadlineExceeded: was active too long",
                None,
            ),
        ] {
            let mut status = json!({ "phase": "Failed", "containerStatuses": worker(&json!({ "terminated": ended })) });
            for (name, value) in more.as_object().into_iter().flatten() {
                status[name] = value.clone();
            }
            let Stage::Ended { reply, has_run: true } = look(&status).stage else {
                panic!("{status} has ended");
            };
            assert_eq!((reply.exit_code, &*reply.stderr), (code, text));
            assert_eq!(reply.retry.map(|hint| hint.kind), kind, "{status}");
        }
    }

    #[test]
    fn pods_that_failed_without_a_word_of_their_container_say_why() {
        let init = json!([{
            "name": "fetch", "state": { "terminated": { "exitCode": 2, "message": "404" } },
            "ready": false, "restartCount": 0, "image": "", "imageID": "",
        }]);
        for (status, text, kind) in [
            (json!({}), "the pod failed", None),
            (json!({ "reason": "DeadlineExceeded" }), "DeadlineExceeded", None),
            (
                json!({ "reason": "OutOfcpu", "message": "Pod Node didn't have enough resource: cpu" }),
                "OutOfcpu: Pod Node didn't have enough resource: cpu",
                Some(RetryKind::Transient),
            ),
            (json!({ "reason": "NodeLost" }), "NodeLost", Some(RetryKind::Transient)),
            (
                json!({ "initContainerStatuses": init }),
                "init container fetch ended with exit code 2: 404",
                None,
            ),
        ] {
            let mut status = status;
            status["phase"] = "Failed".into();
            let Stage::Ended { reply, has_run: false } = look(&status).stage else {
                panic!("{status} has ended");
            };
            assert_eq!((reply.exit_code, &*reply.stderr), (1, text));
            assert_eq!(
                reply.retry.map(|hint| (hint.kind, hint.after.is_some())),
                kind.map(|it| (it, true))
            );
        }
    }

    #[test]
    fn containers_that_cannot_start_are_told_from_those_that_will() {
        for (reason, kind) in [
            ("ContainerCreating", None),
            ("PodInitializing", None),
            ("ErrImagePull", Some(RetryKind::Transient)),
            ("ImagePullBackOff", Some(RetryKind::Transient)),
            ("InvalidImageName", Some(RetryKind::Fatal)),
            ("ErrImageNeverPull", Some(RetryKind::Fatal)),
            ("CreateContainerConfigError", Some(RetryKind::Fatal)),
        ] {
            let waiting = json!({ "waiting": { "reason": reason, "message": "so it is" } });
            for field in ["containerStatuses", "initContainerStatuses"] {
                let stage = look(&json!({ "phase": "Pending", field: worker(&waiting) })).stage;
                match kind {
                    None => assert_eq!(stage, Stage::Preparing, "{reason}"),
                    Some(kind) => {
                        let Stage::Stuck(reply) = stage else { panic!("{reason} is stuck") };
                        assert_eq!(reply.stderr, format!("{reason}: so it is"));
                        assert_eq!(
                            reply.retry.map(|hint| (hint.kind, hint.after)),
                            Some((kind, None))
                        );
                    }
                }
            }
        }
        let running = worker(&json!({ "running": {} }));
        assert_eq!(look(&json!({ "containerStatuses": running })).stage, Stage::Running);
    }

    #[test]
    fn pods_without_a_node_say_why() {
        let pod = |status: Value| {
            let pod = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "status": status });
            Look::at(&serde_json::from_value(pod).unwrap())
        };
        let why = |status| {
            let look = pod(status);
            assert!(look.is_leaving);
            let Stage::Unscheduled(why) = look.stage else { panic!("it has no node") };
            why
        };
        assert_eq!(why(json!({ "phase": "Pending" })), None);
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes" });
        assert_eq!(
            why(json!({ "phase": "Pending", "conditions": [condition] })),
            Some("Unschedulable: 0/1 nodes".to_owned())
        );
    }
}
