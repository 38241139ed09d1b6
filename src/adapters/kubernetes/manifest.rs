//! The Job that a chunk becomes.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::KubernetesAdapterConfig;
use crate::model::{ChunkId, json};

/// The container that runs the command, in the pods of all Jobs.
pub(super) const CONTAINER: &str = "worker";
/// Who made a Job: the labels of all of one adapter begin with these.
pub(super) const MANAGED_BY: (&str, &str) =
    ("app.kubernetes.io/managed-by", "helios-infrastructure");
/// Which adapter made a Job, and its pod.
pub(super) const ADAPTER_LABEL: &str = "helios-adapter";
/// Which chunk a Job renders.
const CHUNK_LABEL: &str = "helios-chunk";
/// The longest name of a Job: its pod has it as a label.
const LONGEST_NAME: usize = 63;
/// How many characters of a name are random.
const RANDOM: usize = 10;

/// What a Job is made of, beside what the adapter is told once.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) name: &'a str,
    pub(super) adapter: &'a str,
    pub(super) chunk: Option<ChunkId>,
    pub(super) command: &'a str,
    pub(super) args: &'a [String],
    pub(super) env: BTreeMap<String, String>,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
}

/// A new name: prefix, chunk, and what makes it nobody else's.
pub(super) fn name(prefix: &str, chunk: Option<ChunkId>) -> String {
    let random = Uuid::new_v4().simple().to_string();
    let chunk = chunk.map(|chunk| plain(&chunk.to_string())).unwrap_or_default();
    let end = [chunk.as_str(), &random[..RANDOM]];
    let end = end.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let mut prefix = plain(prefix);
    prefix.truncate(LONGEST_NAME - 1 - end.len());
    match prefix.trim_end_matches('-') {
        "" => format!("job-{end}"),
        prefix => format!("{prefix}-{end}"),
    }
}

/// A text with only what names may have in them: lower case, digits, and dashes between.
fn plain(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|it| it.to_ascii_lowercase())
        .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
        .collect();
    plain.trim_matches('-').to_owned()
}

/// The Job of an order. What the order and the adapter say goes before the template; what neither says is a default.
pub(super) fn job(config: &KubernetesAdapterConfig, order: &Order<'_>) -> Value {
    let mut labels = Map::new();
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    labels.insert(ADAPTER_LABEL.into(), order.adapter.into());
    if let Some(chunk) = order.chunk {
        labels.insert(CHUNK_LABEL.into(), plain(&json::number(chunk.get())).into());
    }
    let command: Vec<_> = [verbatim(order.command)].into();
    let args: Vec<_> = order.args.iter().map(|arg| verbatim(arg)).collect();
    let env: Vec<_> = order
        .env
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": verbatim(value) }))
        .collect();
    let defaults = json!({
        "terminationGracePeriodSeconds": seconds(order.grace),
        // The end of the log says why a container failed.
        "containers": [{ "name": CONTAINER, "terminationMessagePolicy": "FallbackToLogsOnError" }],
    });
    let own = json!({ "name": CONTAINER, "command": command, "args": args, "env": env });
    let container = merged(Value::Object(config.container.clone()), own);
    let pod = merged(
        Value::Object(config.pod.clone()),
        json!({ "restartPolicy": "Never", "containers": [container] }),
    );
    let template = merged(json!({ "spec": defaults }), Value::Object(config.template.clone()));
    let template = merged(template, json!({ "metadata": { "labels": labels }, "spec": pod }));
    let mut spec = json!({
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": seconds(config.ttl_after_finished),
        "template": template,
    });
    if let Some(timeout) = order.timeout {
        spec["activeDeadlineSeconds"] = seconds(timeout).into();
    }
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": order.name, "labels": labels },
        "spec": spec,
    })
}

/// Whole seconds, at least one: for Kubernetes none means "at once". It refuses more than 2³¹.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0 || duration.is_zero());
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// A text as Kubernetes will hand it over: it [replaces `$(NAME)`](https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/),
/// and takes two dollars for one.
fn verbatim(text: &str) -> String {
    text.replace('$', "$$")
}

/// `base` with all of `over` in it, but for what is null. In lists of objects those of the same name take the others' place,
/// containers are merged, and what has no name is put together; other lists are replaced.
fn merged(base: Value, over: Value) -> Value {
    merged_in("", base, over)
}

fn merged_in(field: &str, base: Value, over: Value) -> Value {
    match (base, over) {
        (base, Value::Null) => base,
        (Value::Object(mut base), Value::Object(over)) => {
            for (name, value) in over {
                let value = match base.remove(&name) {
                    Some(below) => merged_in(&name, below, value),
                    None => value,
                };
                base.insert(name, value);
            }
            Value::Object(base)
        }
        (Value::Array(mut base), Value::Array(over))
            if base.iter().chain(&over).all(Value::is_object) =>
        {
            for value in over {
                let key = key(&value);
                match base.iter_mut().find(|below| key.is_some() && self::key(below) == key) {
                    Some(below) if field == "containers" => *below = merged(below.take(), value),
                    Some(below) => *below = value,
                    None => base.push(value),
                }
            }
            Value::Array(base)
        }
        (_, over) => over,
    }
}

/// What tells an element of a list from the others: a mount's place, else a name.
fn key(value: &Value) -> Option<String> {
    ["mountPath", "name"].iter().find_map(|field| value.get(field)?.as_str()).map(str::to_owned)
}

/// Whether Kubernetes takes a variable of that name.
pub(super) fn is_env_name(name: &str) -> bool {
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    !name.is_empty()
        && !name.starts_with(|it: char| it.is_ascii_digit())
        && name.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(container: &Value, pod: &Value, template: &Value) -> KubernetesAdapterConfig {
        let object = |value: &Value| value.as_object().unwrap().clone();
        KubernetesAdapterConfig {
            container: object(container),
            pod: object(pod),
            template: object(template),
            ..KubernetesAdapterConfig::default()
        }
    }

    fn order(args: &[String]) -> Order<'_> {
        Order {
            name: "helios-worker-0-abc",
            adapter: "me",
            chunk: Some(ChunkId::new(0.0)),
            command: "sh",
            args,
            env: BTreeMap::from([("PRICE".to_owned(), "$(5)".to_owned())]),
            timeout: None,
            grace: Duration::from_secs(5),
        }
    }

    proptest! {
        #[test]
        fn names_are_valid_and_different(prefix in ".{0,80}", id in any::<f64>(), has_id in any::<bool>()) {
            let chunk = has_id.then(|| ChunkId::new(id));
            let (one, other) = (name(&prefix, chunk), name(&prefix, chunk));
            prop_assert_ne!(&one, &other);
            prop_assert!(one.len() <= 63, "{one}");
            prop_assert!(one.starts_with(|it: char| it.is_ascii_alphanumeric()), "{one}");
            prop_assert!(one.ends_with(|it: char| it.is_ascii_alphanumeric()), "{one}");
            let is_fine = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
            prop_assert!(one.chars().all(is_fine), "{one}");
        }
    }

    #[test]
    fn names_say_what_they_are_of() {
        let long = "p".repeat(80);
        for (prefix, chunk, start) in [
            ("helios-worker", Some(0.0), "helios-worker-0-"),
            ("helios-worker", Some(1.5), "helios-worker-1-5-"),
            ("Render_Farm.", Some(12.0), "render-farm-12-"),
            ("helios-worker", None, "helios-worker-"),
            ("", Some(3.0), "job-3-"),
            (&long, Some(7.0), &format!("{}-7-", &long[..50])),
        ] {
            let name = name(prefix, chunk.map(ChunkId::new));
            assert_eq!(&name[..name.len() - RANDOM], start);
        }
    }

    #[test]
    fn job_runs_the_command_once() {
        let config = config(&json!({ "image": "render:1" }), &json!({}), &json!({}));
        let labels = json!({
            "app.kubernetes.io/managed-by": "helios-infrastructure",
            "helios-adapter": "me",
            "helios-chunk": "0",
        });
        let expected = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": "helios-worker-0-abc", "labels": labels },
            "spec": {
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": 3600,
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 5,
                        "containers": [{
                            "name": "worker",
                            "image": "render:1",
                            "command": ["sh"],
                            "args": ["-c", "echo $$(HOME) $$$$"],
                            "env": [{ "name": "PRICE", "value": "$$(5)" }],
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                        }],
                    },
                },
            },
        });
        let args = ["-c".to_owned(), "echo $(HOME) $$".to_owned()];
        assert_eq!(job(&config, &order(&args)), expected);
    }

    #[test]
    fn deadline_is_whole_seconds() {
        for (ms, seconds) in [(1, 1), (1000, 1), (1001, 2), (90_000, 90)] {
            let timeout = Some(Duration::from_millis(ms));
            let config = KubernetesAdapterConfig::default();
            let job = job(&config, &Order { timeout, ..order(&[]) });
            assert_eq!(job["spec"]["activeDeadlineSeconds"], seconds);
        }
    }

    #[test]
    fn template_is_merged_below_the_options() {
        let config = config(
            &json!({
                "image": "render:1",
                "volumeMounts": [{ "name": "jobs", "mountPath": "/jobs" }],
            }),
            &json!({
                "volumes": [{ "name": "jobs", "hostPath": { "path": "/jobs" } }],
                "tolerations": [{ "key": "gpu" }],
            }),
            &json!({
                "metadata": { "annotations": { "a": "b" }, "labels": { "team": "film", "helios-adapter": "x" } },
                "spec": {
                    "restartPolicy": "Always",
                    "hostNetwork": true,
                    "terminationGracePeriodSeconds": 60,
                    "tolerations": [{ "key": "spot" }],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }],
                    "containers": [
                        {
                            "name": "worker",
                            "image": "other",
                            "command": ["x", "y"],
                            "args": ["z"],
                            "imagePullPolicy": "Never",
                            "env": [{ "name": "PRICE", "value": "1" }, { "name": "A", "value": "2" }],
                            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                        },
                        { "name": "beside", "image": "log" },
                    ],
                },
            }),
        );
        let job = job(&config, &order(&[]));
        let template = &job["spec"]["template"];
        assert_eq!(template["metadata"]["annotations"]["a"], "b");
        assert_eq!(template["metadata"]["labels"]["team"], "film");
        assert_eq!(template["metadata"]["labels"]["helios-adapter"], "me");
        let spec = &template["spec"];
        assert_eq!(spec["restartPolicy"], "Never");
        assert_eq!(spec["hostNetwork"], true);
        assert_eq!(spec["terminationGracePeriodSeconds"], 60);
        assert_eq!(spec["tolerations"], json!([{ "key": "spot" }, { "key": "gpu" }]));
        let names = |list: &Value| {
            let names = list.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&spec["volumes"]), "tmp jobs");
        assert_eq!(names(&spec["containers"]), "worker beside");
        let worker = &spec["containers"][0];
        assert_eq!(worker["image"], "render:1");
        assert_eq!(worker["imagePullPolicy"], "Never");
        assert_eq!(names(&worker["env"]), "PRICE A");
        assert_eq!(worker["env"][0]["value"], "$$(5)");
        assert_eq!(names(&worker["volumeMounts"]), "tmp jobs");
        // Of the command nothing is left, not even below one without arguments.
        assert_eq!(worker["command"], json!(["sh"]));
        assert_eq!(worker["args"], json!([]));
    }

    #[test]
    fn names_take_the_place_of_names_and_null_that_of_nothing() {
        let base = json!({ "list": [{ "name": "a", "emptyDir": {} }], "spec": { "b": 1 }, "containers": [{ "name": "c", "d": 1 }] });
        let over = json!({ "list": [{ "name": "a", "nfs": {} }], "spec": null, "containers": [{ "name": "c", "e": 2 }] });
        let both = json!({ "list": [{ "name": "a", "nfs": {} }], "spec": { "b": 1 }, "containers": [{ "name": "c", "d": 1, "e": 2 }] });
        assert_eq!(merged(base, over), both);
        assert_eq!(
            merged(json!({ "args": ["a", "b"] }), json!({ "args": [] })),
            json!({ "args": [] })
        );
    }

    #[test]
    fn names_of_variables_are_told_from_others() {
        for (name, is_fine) in
            [("A_b-1.x", true), ("_", true), ("", false), ("1A", false), ("BASH_FUNC_x%%", false)]
        {
            assert_eq!(is_env_name(name), is_fine, "{name}");
        }
    }
}
