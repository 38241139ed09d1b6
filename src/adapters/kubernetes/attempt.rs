//! One Job, from its creation to its deletion.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::Value;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    super::service::{Call, Reply},
    cluster::{Cluster, NotCreated},
    failure::Failure,
    log,
    pod::{Look, Stage},
    soon,
    watch::{PodWatch, Seen, Subscription},
};
use crate::{
    error::exact_millis,
    model::{OutputTarget, Text},
    process::Capture,
};

/// How much longer than it may take to end a pod may be leaving, before it counts as lost with its node.
const LEAVING_SLACK: Duration = Duration::from_secs(10);

/// So many pauses of the watch a Job may be without a pod, before it is looked at itself.
const UNSEEN: u32 = 5;

/// One go at a chunk.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) cluster: Arc<Cluster>,
    pub(super) watch: Arc<PodWatch>,
    /// The name of its Job.
    pub(super) name: String,
    pub(super) manifest: Value,
    pub(super) stdout: OutputTarget,
    pub(super) max_output: Option<usize>,
    /// The longest that it may have no node.
    pub(super) scheduling_timeout: Duration,
    /// The longest that its container may take to end.
    pub(super) grace: Duration,
}

/// An attempt that nobody wants any more.
pub(super) fn aborted() -> Reply {
    Reply::failed("Job aborted", None)
}

/// Why an attempt ended before its time.
fn stopped(call: &Call<Infallible>) -> Reply {
    match call {
        Call::Answered(never) => match *never {},
        Call::Aborted => aborted(),
        Call::TimedOut(limit) => Reply::timed_out(*limit, ""),
    }
}

/// What an attempt came to, and what its container had written by then.
pub(super) type Outcome = (Reply, Text);

impl Attempt {
    /// Makes it, until it is over or has to `stop`. `tell` hears of the outcome as soon as the API has been asked to delete
    /// the Job; this ends when all that is to be done is done, and gives what went wrong with the deletion.
    pub(super) async fn run(
        self,
        stop: impl Future<Output = Call<Infallible>> + Send,
        tell: oneshot::Sender<Outcome>,
    ) -> Result<(), Failure> {
        let mut stop = pin!(stop.map(|call| stopped(&call)));
        let mut pods = self.watch.subscribe(&self.name);
        let (reply, output) = {
            let is_over = CancellationToken::new();
            let mut create = pin!(self.cluster.create(&self.manifest, &is_over));
            let created = tokio::select! {
                biased;
                reply = &mut stop => Err(reply),
                created = &mut create => Ok(created),
            };
            match created {
                Ok(Ok(())) => {
                    debug!(job = self.name, "Job created");
                    self.watch_until_over(stop, &mut pods).await
                }
                Ok(Err(NotCreated { failure, may_exist })) => {
                    let text = format!("Failed to create Job: {failure}");
                    let reply = Reply::failed(text, Some(failure.retry));
                    if !may_exist {
                        // Nobody waits any more when this fails.
                        let _ = tell.send((reply, Text::default()));
                        return Ok(());
                    }
                    (reply, Text::default())
                }
                Err(reply) => {
                    // Whether there is a Job is known when the API has answered, for which nobody has to wait.
                    let _ = tell.send((reply, Text::default()));
                    is_over.cancel();
                    return match create.await {
                        Err(NotCreated { may_exist: false, .. }) => Ok(()),
                        _ => self.cluster.delete(&self.name).await,
                    };
                }
            }
        };
        drop(pods);
        debug!(job = self.name, code = reply.exit_code, "Job is over, and is deleted");
        let mut delete = pin!(self.cluster.delete(&self.name));
        let deleted = timeout(self.grace, &mut delete).await;
        let _ = tell.send((reply, output));
        match deleted {
            Ok(deleted) => deleted,
            Err(_) => delete.await,
        }
    }

    async fn watch_until_over(
        &self,
        stop: impl Future<Output = Reply>,
        pods: &mut Subscription,
    ) -> Outcome {
        let mut capture = Capture::new(self.max_output);
        let reply = tokio::select! {
            biased;
            reply = stop => reply,
            reply = self.watch_and_hear(pods, &mut capture) => reply,
        };
        (reply, capture.into_text())
    }

    async fn watch_and_hear(&self, pods: &mut Subscription, capture: &mut Capture) -> Reply {
        let (start, started) = oneshot::channel();
        let ended = CancellationToken::new();
        let mut watch = pin!(self.watch_pod(pods, start, &ended));
        let mut log = pin!(log::hear(&self.cluster, started, &ended, &self.stdout, capture));
        let (mut reply, heard) = tokio::select! {
            reply = &mut watch => (reply, None),
            heard = &mut log => (watch.await, Some(heard)),
        };
        // Of a pod that is gone nothing is to be heard any more.
        let heard = match heard {
            None if ended.is_cancelled() => log.await,
            heard => heard.unwrap_or(Ok(())),
        };
        if let Err(failure) = heard {
            let problem = format!("the log could not be read: {failure}");
            let parts = [reply.stderr, problem];
            reply.stderr =
                parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n");
        }
        reply
    }

    /// Waits for what becomes of the pod. `start` hears its name when its container has started, `ended` when that has ended
    /// by itself.
    async fn watch_pod(
        &self,
        pods: &mut Subscription,
        start: oneshot::Sender<String>,
        ended: &CancellationToken,
    ) -> Reply {
        let unscheduled_until = Instant::now() + self.scheduling_timeout;
        let (mut start, mut known, mut leaving_until) = (Some(start), None::<Arc<Look>>, None);
        loop {
            let look = match pods.now() {
                Seen::Failed(failure) => return monitoring_failed(&failure),
                Seen::Gone => return self.lost().await,
                Seen::Nothing => None,
                Seen::Pod(look) => Some(look),
            };
            let until = match &look {
                None => Some(unscheduled_until.min(Instant::now() + self.cluster.pause * UNSEEN)),
                // Another one in its place: the cluster has taken the first away.
                Some(look) if known.as_ref().is_some_and(|known| known.uid != look.uid) => {
                    return self.lost().await;
                }
                Some(look) => {
                    if matches!(look.stage, Stage::Running | Stage::Ended { has_run: true, .. })
                        && let Some(start) = start.take()
                    {
                        // Nobody hears it where the log was given up.
                        let _ = start.send(look.name.clone());
                    }
                    match &look.stage {
                        Stage::Ended { reply, .. } if look.is_leaving && was_killed(reply) => {
                            return self.lost().await;
                        }
                        Stage::Ended { reply, has_run } => {
                            if *has_run {
                                ended.cancel();
                            }
                            return reply.clone();
                        }
                        Stage::Stuck(reply) => return reply.clone(),
                        _ if look.is_leaving && leaving_until.is_none() => {
                            if let Some(reply) = self.end_of_job().await {
                                return reply;
                            }
                            leaving_until = Some(Instant::now() + self.grace + LEAVING_SLACK);
                            leaving_until
                        }
                        _ if look.is_leaving => leaving_until,
                        Stage::Unscheduled(_) => Some(unscheduled_until),
                        Stage::Preparing | Stage::Running => None,
                    }
                }
            };
            known = look;
            tokio::select! {
                () = pods.changed() => continue,
                () = sleep_until_some(until) => {}
            }
            match known.as_deref() {
                Some(look) if look.is_leaving => return self.lost().await,
                None if Instant::now() < unscheduled_until => {
                    if let Some(reply) = self.end_of_job().await {
                        return reply;
                    }
                }
                look => return self.unscheduled(look).await,
            }
        }
    }

    /// What to make of a pod that is gone, or that something has ended.
    async fn lost(&self) -> Reply {
        let removed = || self.removed("it was evicted, or its node is gone");
        self.end_of_job().await.unwrap_or_else(removed)
    }

    fn removed(&self, why: &str) -> Reply {
        Reply::failed(format!("The pod of Job {} was removed: {why}", self.name), Some(soon()))
    }

    /// How the Job has ended, if it has, where its pod does not say.
    async fn end_of_job(&self) -> Option<Reply> {
        let deleted = || {
            let text = format!("Job {} was deleted by somebody else", self.name);
            Some(Reply::failed(text, None))
        };
        let job = match self.cluster.job(&self.name).await {
            Ok(Some(job)) if job.metadata.deletion_timestamp.is_none() => job,
            Ok(_) => return deleted(),
            Err(failure) => return Some(monitoring_failed(&failure)),
        };
        let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
        // A Job is `Failed` when its pods have ended, and a `FailureTarget` from when they are told to.
        let is_end = |it: &str| matches!(it, "Complete" | "Failed" | "FailureTarget");
        let end = conditions.into_iter().find(|it| it.status == "True" && is_end(&it.type_))?;
        if end.type_ == "Complete" {
            let text = "the log could not be read: the pod is gone";
            return Some(Reply { stderr: text.to_owned(), ..Reply::default() });
        }
        let reason = end.reason.unwrap_or_default();
        let text = format!("{reason}: {}", end.message.unwrap_or_default());
        if reason == "DeadlineExceeded" {
            return Some(Reply { timed_out: true, ..Reply::failed(text, None) });
        }
        Some(self.removed(&text))
    }

    async fn unscheduled(&self, pod: Option<&Look>) -> Reply {
        let why = match pod.map(|pod| &pod.stage) {
            Some(Stage::Unscheduled(why)) => why.clone().unwrap_or_else(|| "no node".to_owned()),
            _ => match self.cluster.warning(&self.name).await {
                Some(warning) => format!("there is no pod: {warning}"),
                None => "there is no pod".to_owned(),
            },
        };
        let ms = exact_millis(self.scheduling_timeout);
        let text = format!("Job {} was not scheduled within {ms}ms: {why}", self.name);
        Reply::failed(text, Some(crate::cloud::failure::TRANSIENT))
    }
}

fn monitoring_failed(failure: &Failure) -> Reply {
    Reply::failed(format!("Job monitoring failed: {failure}"), Some(failure.retry))
}

/// Whether a container was ended by a signal: SIGKILL, SIGTERM.
fn was_killed(reply: &Reply) -> bool {
    matches!(reply.exit_code, 137 | 143)
}

async fn sleep_until_some(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
