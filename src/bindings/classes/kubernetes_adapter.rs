//! `KubernetesAdapter`.

use std::{
    ffi::CStr,
    path::{Path, PathBuf},
};

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;
use serde_json::{Map, Value};

use super::{
    super::convert::duration,
    service_adapter::{Config, ServiceAdapter},
};
use crate::{
    Error, Result,
    adapters::{
        Error as AdapterError, KubernetesAdapter as CoreKubernetesAdapter, KubernetesAdapterConfig,
    },
    error::SystemError,
};

/// Runs each command as a Job of a Kubernetes cluster: one pod, one go.
///
/// The cluster is that of `options.kubeconfigPath`, else that of `KUBECONFIG` or `~/.kube/config`, else the one this process
/// runs in. All Jobs of an adapter share one watch; what their containers write comes as they write it.
#[napi]
#[derive(Debug)]
pub struct KubernetesAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl KubernetesAdapter {
    /// Makes an adapter for Jobs with `options.image`. The cluster is not asked before the first command.
    ///
    /// Throws `KubernetesAdapter requires an image option`, Node's error (`ENOENT`…) when `options.kubeconfigPath` cannot be
    /// read, and a `TypeError` that names an option of a wrong type.
    #[napi(constructor, ts_args_type = "options: KubernetesAdapterOptions")]
    pub fn new(env: Env, this: This<'_>, options: Unknown<'_>) -> napi::Result<Self> {
        let class = c"KubernetesAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &options, |options, around| {
                Ok(CoreKubernetesAdapter::new(read(options)?, around))
            })?;
        Ok(Self { service })
    }

    /// Creates a Job with `job.command` and `job.args`, waits until its container has ended, and deletes it. `stdout` is the
    /// log of the container, which has standard error in it too; `onStdout` hears it as it is written. `job.timeout` is its
    /// deadline in the cluster, too. Of `job.env` go the variables that differ from those of this process, and those that
    /// `options.forwardEnv` names.
    ///
    /// Rejects with a `TypeError` that names a field of the job, and with what a callback throws. Every other failure is a
    /// result with the reason in `stderr`: with the exit code of the container where there is one, else 1, and with `retry`
    /// where the chunk itself has not failed. `Failed to create Job: …` and `Job monitoring failed: …` are those of the
    /// cluster, `Job aborted` and `Worker job timed out after ${ms}ms` the caller's own; both delete the Job at once.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}

/// Options that are fields of a pod, under the same names.
const POD: &[(&CStr, Kind)] = &[
    (c"nodeSelector", Kind::Object),
    (c"tolerations", Kind::Array),
    (c"volumes", Kind::Array),
    (c"imagePullSecrets", Kind::Array),
];
/// Options that are fields of a container.
const CONTAINER: &[(&CStr, Kind)] =
    &[(c"resources", Kind::Object), (c"volumeMounts", Kind::Array), (c"envFrom", Kind::Array)];

#[derive(Clone, Copy)]
enum Kind {
    Object,
    Array,
}

fn read(options: &Config<'_>) -> Result<KubernetesAdapterConfig> {
    let image = options.string(c"image")?.ok_or_else(|| {
        AdapterError::Incomplete("KubernetesAdapter requires an image option".to_owned())
    })?;
    let kubeconfig_path = options.string(c"kubeconfigPath")?;
    let kubeconfig_path = kubeconfig_path.map(|path| readable(Path::new(&path))).transpose()?;
    let mut container = fields(options, CONTAINER)?;
    container.insert("image".to_owned(), image.into());
    if let Some(folder) = options.string(c"workingDir")? {
        container.insert("workingDir".to_owned(), folder.into());
    }
    let mut pod = fields(options, POD)?;
    if let Some(account) = options.string(c"serviceAccountName")? {
        pod.insert("serviceAccountName".to_owned(), account.into());
    }
    let default = KubernetesAdapterConfig::default();
    let ttl =
        options.number(c"ttlSecondsAfterFinished")?.and_then(|seconds| duration(seconds * 1000.0));
    let poll = options.number(c"pollIntervalMs")?.and_then(duration);
    let scheduling = options.number(c"schedulingTimeoutMs")?.and_then(duration);
    let template =
        options.json(c"podTemplate")?.map(|it| checked(it, c"podTemplate", Kind::Object));
    Ok(KubernetesAdapterConfig {
        kubeconfig_path,
        namespace: options.string(c"namespace")?.unwrap_or(default.namespace),
        job_name_prefix: options.string(c"jobNamePrefix")?.unwrap_or(default.job_name_prefix),
        poll_interval: poll.unwrap_or(default.poll_interval),
        scheduling_timeout: scheduling.unwrap_or(default.scheduling_timeout),
        ttl_after_finished: ttl.unwrap_or(default.ttl_after_finished),
        forward_env: options.forward_env()?,
        container,
        pod,
        template: match template.transpose()? {
            Some(Value::Object(template)) => template,
            _ => default.template,
        },
    })
}

/// A file that is read when the cluster is first needed: that it can be is said at once.
fn readable(path: &Path) -> Result<PathBuf> {
    let system = |error| Error::System(SystemError::new(error, "open", path));
    std::fs::read(path).map_err(system)?;
    std::path::absolute(path).map_err(system)
}

/// Those of `wanted` that are there.
fn fields(options: &Config<'_>, wanted: &[(&CStr, Kind)]) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for &(name, kind) in wanted {
        if let Some(value) = options.json(name)? {
            fields.insert(name.to_string_lossy().into_owned(), checked(value, name, kind)?);
        }
    }
    Ok(fields)
}

fn checked(value: Value, name: &CStr, kind: Kind) -> Result<Value> {
    let name = name.to_string_lossy();
    match (kind, &value) {
        (Kind::Object, Value::Object(_)) | (Kind::Array, Value::Array(_)) => Ok(value),
        (Kind::Object, _) => Err(Error::invalid(name, "an object")),
        (Kind::Array, _) => Err(Error::invalid(name, "an array")),
    }
}
