//! One watch for the pods of all Jobs of an adapter.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::{
    cluster::Cluster,
    failure::{ANSWER_TIMEOUT, Failure},
    manifest::ADAPTER_LABEL,
    pod::Look,
};
use crate::model::RetryKind;

/// The label of the Job controller that says whose pod it is.
const JOB_LABEL: &str = "job-name";
/// How long the API lets one watch last; then the next goes on where it ended.
const PERIOD: Duration = Duration::from_mins(1);
/// How much later than that the end of a watch may be noticed. Then its connection is dead.
const SLACK: Duration = Duration::from_secs(15);
/// The pause before a watch that broke is begun again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A watch that lasts so long is one that works.
const LASTING: Duration = Duration::from_secs(15);
/// So many failures in a row are the end of all who wait.
const ATTEMPTS: u32 = 30;

/// What was last seen of a Job's pod.
#[derive(Clone, Debug, Default)]
pub(super) enum Seen {
    /// There was none yet.
    #[default]
    Nothing,
    /// This.
    Pod(Arc<Look>),
    /// There was one, and it is gone.
    Gone,
    /// Nobody looks any more.
    Failed(Failure),
}

/// Watches as long as somebody wants to know.
#[derive(Debug)]
pub(super) struct PodWatch {
    cluster: Arc<Cluster>,
    selector: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<String, watch::Sender<Seen>>,
    task: Option<AbortOnDropHandle<()>>,
}

impl PodWatch {
    /// Watches the pods with the label of `adapter`.
    pub(super) fn new(cluster: Arc<Cluster>, adapter: &str) -> Self {
        let selector = format!("{ADAPTER_LABEL}={adapter}");
        Self { cluster, selector, state: Mutex::default() }
    }

    /// Looks for the pod of a Job from now on.
    pub(super) fn subscribe(self: &Arc<Self>, job: &str) -> Subscription {
        let (sender, seen) = watch::channel(Seen::default());
        let watching = Arc::clone(self);
        self.change(|state| {
            state.jobs.insert(job.to_owned(), sender);
            state.task.get_or_insert_with(|| {
                AbortOnDropHandle::new(tokio::spawn(async move { watching.run().await }))
            });
        });
        Subscription { watch: Arc::clone(self), job: job.to_owned(), seen }
    }

    /// Does something with the state, which a panic elsewhere leaves usable.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists and follows, again and again. Where watching is not allowed, or does not last, that is a poll.
    async fn run(&self) {
        let (mut failures, mut pause, mut has_listed) = (0, FIRST_PAUSE, false);
        loop {
            let started = Instant::now();
            let failure = match self.list().await {
                Ok(version) => {
                    (failures, has_listed) = (0, true);
                    self.follow(version).await
                }
                Err(failure) => {
                    failures += 1;
                    failure
                }
            };
            if started.elapsed() >= LASTING {
                pause = FIRST_PAUSE;
            }
            // What was allowed before is refused also while rights are given anew, or logins renewed.
            let is_hopeless = !has_listed && failure.retry.kind == RetryKind::Fatal;
            if (failures > 0 && is_hopeless) || failures >= ATTEMPTS {
                return self.give_up(&failure);
            }
            debug!(why = %failure, failures, "the watch is begun again");
            let wait = failure.retry.after.unwrap_or_else(|| pause.min(self.cluster.pause));
            sleep(wait).await;
            pause = (pause * 2).min(self.cluster.pause);
        }
    }

    /// Looks at all pods. Gives the version that watching can go on from.
    async fn list(&self) -> Result<String, Failure> {
        let pods = self.cluster.pods().await?;
        let params = ListParams::default().labels(&self.selector);
        let list =
            timeout(ANSWER_TIMEOUT, pods.list(&params)).await.map_err(|_| Failure::late())??;
        let mut latest: HashMap<&str, &Pod> = HashMap::new();
        for pod in &list.items {
            let Some(job) = pod.labels().get(JOB_LABEL) else { continue };
            let other = latest.entry(job).or_insert(pod);
            if pod.creation_timestamp() > other.creation_timestamp() {
                *other = pod;
            }
        }
        self.change(|state| {
            for (job, sender) in &state.jobs {
                match latest.get(job.as_str()) {
                    Some(pod) => see(sender, pod),
                    None => lose(sender, None),
                }
            }
        });
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    /// Passes on what changes, until that cannot be had any more.
    async fn follow(&self, mut version: String) -> Failure {
        let pods = match self.cluster.pods().await {
            Ok(pods) => pods,
            Err(failure) => return failure,
        };
        let seconds = u32::try_from(PERIOD.as_secs()).unwrap_or(u32::MAX);
        let params = WatchParams::default().labels(&self.selector).timeout(seconds);
        loop {
            let started = Instant::now();
            let events = match timeout(ANSWER_TIMEOUT, pods.watch(&params, &version)).await {
                Ok(Ok(events)) => events,
                Ok(Err(error)) => return error.into(),
                Err(_) => return Failure::late(),
            };
            let mut events = pin!(events);
            loop {
                let event = match timeout(PERIOD + SLACK, events.try_next()).await {
                    Ok(Ok(Some(event))) => event,
                    // Its time is over.
                    Ok(Ok(None)) => break,
                    Ok(Err(error)) => return error.into(),
                    Err(_) => return Failure::late(),
                };
                match event {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                        version = pod.resource_version().unwrap_or(version);
                        self.of_pod(&pod, |sender| see(sender, &pod));
                    }
                    WatchEvent::Deleted(pod) => {
                        version = pod.resource_version().unwrap_or(version);
                        self.of_pod(&pod, |sender| lose(sender, Some(&pod)));
                    }
                    WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                    // Such as 410: so much has changed that the version is not known any more.
                    WatchEvent::Error(status) => return kube::Error::Api(status).into(),
                }
            }
            if started.elapsed() < LASTING {
                return Failure::transient("the watch was ended early");
            }
        }
    }

    fn of_pod(&self, pod: &Pod, tell: impl FnOnce(&watch::Sender<Seen>)) {
        let Some(job) = pod.labels().get(JOB_LABEL) else { return };
        self.change(|state| state.jobs.get(job).map(tell));
    }

    /// Tells all who wait. Who comes later has it tried again.
    fn give_up(&self, failure: &Failure) {
        let task = self.change(|state| {
            for sender in state.jobs.values() {
                sender.send_replace(Seen::Failed(failure.clone()));
            }
            state.task.take()
        });
        // It is this one, which ends by itself.
        task.map(AbortOnDropHandle::detach);
    }
}

fn see(sender: &watch::Sender<Seen>, pod: &Pod) {
    let look = Look::at(pod);
    sender.send_if_modified(|seen| {
        let is_news = !matches!(seen, Seen::Pod(before) if **before == look);
        if is_news {
            *seen = Seen::Pod(Arc::new(look));
        }
        is_news
    });
}

/// The pod is gone: the given one, or whichever was seen.
fn lose(sender: &watch::Sender<Seen>, pod: Option<&Pod>) {
    sender.send_if_modified(|seen| {
        let Seen::Pod(before) = seen else { return false };
        if pod.is_some_and(|pod| pod.uid().as_deref() != Some(&before.uid)) {
            return false;
        }
        *seen = Seen::Gone;
        true
    });
}

/// Somebody who wants to know of one Job's pod.
#[derive(Debug)]
pub(super) struct Subscription {
    watch: Arc<PodWatch>,
    job: String,
    seen: watch::Receiver<Seen>,
}

impl Subscription {
    /// What was last seen.
    pub(super) fn now(&mut self) -> Seen {
        self.seen.borrow_and_update().clone()
    }

    /// Returns when there is something new.
    pub(super) async fn changed(&mut self) {
        if self.seen.changed().await.is_err() {
            // Its sender lives in the watch until this is dropped.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.watch.change(|state| {
            state.jobs.remove(&self.job);
            if state.jobs.is_empty() {
                state.task = None;
            }
        });
    }
}
