//! Renders each chunk by a Job of a Kubernetes cluster.

mod attempt;
mod client;
mod cluster;
mod failure;
mod log;
mod manifest;
mod pod;
mod watch;

use std::{
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use uuid::Uuid;

use self::{
    attempt::{Attempt, aborted},
    cluster::Cluster,
    manifest::Order,
    watch::PodWatch,
};
use super::{
    ForwardEnv, WorkerAdapter,
    service::{Reply, Surroundings, tell_one},
};
use crate::{
    Result,
    model::{RetryHint, RetryKind, Text, WorkerJob, WorkerResult},
    process::KILL_GRACE,
};

/// The pause after which a chunk whose pod the cluster took away is rendered again.
const SOON: Duration = Duration::from_secs(1);

/// What the cluster has taken away is rendered again, without a retry of the chunk.
fn soon() -> RetryHint {
    RetryHint { kind: RetryKind::Transient, after: Some(SOON) }
}

/// Which cluster renders the chunks, and in what.
#[derive(Clone, Debug)]
pub struct KubernetesAdapterConfig {
    /// The kubeconfig file; default `KUBECONFIG`, `~/.kube/config`, the service account of this pod.
    pub kubeconfig_path: Option<PathBuf>,
    /// Where Jobs are created.
    pub namespace: String,
    /// What the names of Jobs begin with.
    pub job_name_prefix: String,
    /// The longest pause between two requests that stand for a watch that is broken.
    pub poll_interval: Duration,
    /// The longest that a pod may have no node.
    pub scheduling_timeout: Duration,
    /// When a Job goes that nobody deletes, because this process is gone.
    pub ttl_after_finished: Duration,
    /// The variables that go to workers.
    pub forward_env: ForwardEnv,
    /// Fields of the container: image, resources, mounts.
    pub container: Map<String, Value>,
    /// Fields of the pod: service account, nodes, volumes.
    pub pod: Map<String, Value>,
    /// What the pod has beside that.
    pub template: Map<String, Value>,
}

impl Default for KubernetesAdapterConfig {
    fn default() -> Self {
        Self {
            kubeconfig_path: None,
            namespace: "default".to_owned(),
            job_name_prefix: "helios-worker".to_owned(),
            poll_interval: Duration::from_secs(2),
            scheduling_timeout: Duration::from_mins(5),
            ttl_after_finished: Duration::from_hours(1),
            forward_env: ForwardEnv::default(),
            container: Map::new(),
            pod: Map::new(),
            template: Map::new(),
        }
    }
}

/// Runs each command as a [Job](https://kubernetes.io/docs/concepts/workloads/controllers/job/) with one pod.
#[derive(Clone, Debug)]
pub struct KubernetesAdapter {
    config: Arc<KubernetesAdapterConfig>,
    /// The label of its Jobs.
    id: Arc<str>,
    cluster: Arc<Cluster>,
    watch: Arc<PodWatch>,
    around: Surroundings,
}

impl KubernetesAdapter {
    /// An adapter for one namespace. The cluster is not reached before the first command.
    pub fn new(config: KubernetesAdapterConfig, around: Surroundings) -> Self {
        let id: Arc<str> = Uuid::new_v4().to_string().into();
        let (file, namespace) = (config.kubeconfig_path.clone(), config.namespace.clone());
        let cluster = Arc::new(Cluster::new(file, namespace, config.poll_interval));
        let watch = Arc::new(PodWatch::new(Arc::clone(&cluster), &id));
        Self { config: Arc::new(config), id, cluster, watch, around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let (reply, output) = if job.cancel.is_cancelled() {
            (aborted(), Text::default())
        } else {
            self.attempt(&job).await
        };
        let result = WorkerResult { stdout: output, ..reply.into_result(&job, started) };
        job.stdout.flush();
        tell_one(&job.stderr, &result.stderr, &job.cancel).await;
        Ok(result)
    }

    /// Has an attempt made on the runtime, which goes on there until nothing is left of its Job, and keeps the process alive
    /// for so long. When this is dropped the attempt is aborted.
    async fn attempt(&self, job: &WorkerJob) -> (Reply, Text) {
        let attempt = self.new_attempt(job);
        let name = attempt.name.clone();
        let cancel = job.cancel.child_token();
        let stop = self.around.stop(&cancel, job.timeout);
        let guard = cancel.drop_guard();
        let (tell, told) = oneshot::channel();
        let work = tokio::spawn(attempt.run(stop, tell));
        let console = Rc::clone(&self.around.console);
        self.around.spawner.spawn(
            async move {
                if let Ok(Err(failure)) = work.await {
                    console.warn(&format!("Warning: Job {name} could not be deleted: {failure}"));
                }
            }
            .boxed_local(),
        );
        let outcome = told.await.expect("an attempt tells its outcome unless it panics");
        guard.disarm();
        outcome
    }

    fn new_attempt(&self, job: &WorkerJob) -> Attempt {
        let config = &self.config;
        let mut env = config.forward_env.pick(job.env.clone(), self.around.environment.snapshot());
        if matches!(config.forward_env, ForwardEnv::All) {
            // Shells have variables that Kubernetes would refuse the whole Job for.
            env.retain(|name, _| manifest::is_env_name(name));
        }
        let name = manifest::name(&config.job_name_prefix, job.chunk_id);
        let grace = job.kill_grace.unwrap_or(KILL_GRACE);
        let order = Order {
            name: &name,
            adapter: &self.id,
            chunk: job.chunk_id,
            command: &job.command,
            args: &job.args,
            env,
            timeout: job.timeout,
            grace,
        };
        Attempt {
            cluster: Arc::clone(&self.cluster),
            watch: Arc::clone(&self.watch),
            manifest: manifest::job(config, &order),
            stdout: job.stdout.clone(),
            max_output: job.max_output,
            scheduling_timeout: config.scheduling_timeout,
            grace,
            name,
        }
    }
}

impl WorkerAdapter for KubernetesAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }
}
