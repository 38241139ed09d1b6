//! `DockerAdapter`.

use std::{rc::Rc, sync::Arc};

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::realm::{Realm, RealmConsole, RealmEnvironment},
    service_adapter::{Config, ServiceAdapter},
};
use crate::{
    Result,
    adapters::{DockerAdapter as CoreDockerAdapter, DockerAdapterOptions, DockerSurroundings},
};

/// Runs each command in a container of its own, by the `docker` command on the `PATH`: `DOCKER_HOST`, contexts and logins
/// count.
///
/// Standard input is empty. The container is named `helios-worker-…`, is removed when it ends, and has the labels `helios.job`
/// (the id of a managed job, else one of its run), `helios.chunk` and `helios.owner` (the process it belongs to). What a
/// process that was killed leaves running is removed by `JobManager.recover()`, where a `DockerAdapter` is there by then.
#[napi]
#[derive(Debug)]
pub struct DockerAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl DockerAdapter {
    /// Makes an adapter for containers of `options.image`. Nothing is asked of Docker before the first command. Throws a
    /// `TypeError` for a missing image, for options of the wrong type, and for `--name` and `--detach` in `options.dockerArgs`.
    #[napi(constructor, ts_args_type = "options: DockerAdapterOptions")]
    pub fn new(env: Env, this: This<'_>, options: Unknown<'_>) -> napi::Result<Self> {
        let options = ("options", &options);
        let service =
            ServiceAdapter::constructing_alone(env, &this, c"DockerAdapter", options, |config| {
                CoreDockerAdapter::new(read(config)?, surroundings(config.realm))
            })?;
        Ok(Self { service })
    }

    /// Runs one command in a new container and gives its exit code and output, which callbacks hear while it is written.
    ///
    /// Of `job.env` the container gets what differs from `process.env`, and what `options.forwardEnv` names; values do not
    /// show in a list of processes. `job.cwd` is mounted under its own name, and is the folder the command runs in; see
    /// `options.mountJobDir`.
    ///
    /// When `job.signal` aborts, the container is killed and removed, and the promise resolves with Docker's exit code (137;
    /// 1 where it has none, and where nothing was started) and what was written until then. Rejects with `Worker job
    /// timed out after ${ms}ms` after `job.timeout`, when the container is gone likewise: this is waited for at most 5 s, or
    /// `killGraceMs` of a job; then there is a warning. Rejects as Node's `spawn` does when there is no `docker`. Where Docker
    /// itself fails (exit code 125, mostly), `retry` says whether the daemon or the network cannot be reached (`transient`), a
    /// registry wants to be asked less often (`throttled`), or image, command or arguments are wrong (`fatal`).
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}

fn read(config: &Config<'_>) -> Result<DockerAdapterOptions> {
    Ok(DockerAdapterOptions {
        image: config.string(c"image")?.unwrap_or_default(),
        docker_args: config.strings(c"dockerArgs")?,
        forward_env: config.forward_env()?,
        mount_job_dir: !config.is_off(c"mountJobDir")?,
    })
}

fn surroundings(realm: &Rc<Realm>) -> DockerSurroundings {
    DockerSurroundings {
        supervisor: Arc::clone(&realm.state.supervisor),
        environment: Rc::new(RealmEnvironment(Rc::clone(realm))),
        console: Rc::new(RealmConsole(Rc::clone(realm))),
        remains: realm.state.remains.clone(),
    }
}
