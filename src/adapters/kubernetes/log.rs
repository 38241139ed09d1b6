//! Hears out the container of a Job.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_util::{compat::FuturesAsyncReadCompatExt, sync::CancellationToken};

use super::{cluster::Cluster, failure::Failure};
use crate::{model::OutputTarget, process::Capture};

/// So many failures to read the log of a container that has ended are its end.
const ATTEMPTS: u32 = 12;
/// So long nothing may come of the log of a container that has ended.
const IDLE: Duration = Duration::from_secs(5);
/// A log that ends so shortly before its container is known to have ended has ended with it.
const TOGETHER: Duration = Duration::from_secs(2);

/// Hears a container out: from when its pod is `started`, if somebody listens, else from when it has `ended`.
pub(super) async fn hear(
    cluster: &Cluster,
    started: oneshot::Receiver<String>,
    ended: &CancellationToken,
    target: &OutputTarget,
    capture: &mut Capture,
) -> Result<(), Failure> {
    let heard = hear_again_and_again(cluster, started, ended, target, capture).await;
    capture.end(target).await;
    heard
}

/// Reads a log that breaks off again, without what was heard of it before.
async fn hear_again_and_again(
    cluster: &Cluster,
    started: oneshot::Receiver<String>,
    ended: &CancellationToken,
    target: &OutputTarget,
    capture: &mut Capture,
) -> Result<(), Failure> {
    // Nothing has started, so that there is nothing to hear.
    let Ok(pod) = started.await else { return Ok(()) };
    if target.sink.is_none() {
        ended.cancelled().await;
    }
    let mut failures = 0;
    loop {
        let is_whole = ended.is_cancelled();
        let heard = capture.bytes();
        let failure = match cluster.log(&pod, !is_whole).await {
            Ok(log) => {
                let mut log = Resumed::new(log.compat(), heard, ended);
                capture.read_on(&mut log, target, |_| {}).await;
                match log.broken {
                    None if is_whole && log.skip > 0 => {
                        let text = "a part is lost, as its node has begun another file";
                        return Err(Failure::transient(text));
                    }
                    None if is_whole || timeout(TOGETHER, ended.cancelled()).await.is_ok() => {
                        return Ok(());
                    }
                    // The file of a log may be put aside, and another one begun: the first ends, the container does not.
                    None => Failure::transient("the log was ended early"),
                    Some(error) => Failure::transient(error.to_string()),
                }
            }
            Err(failure) => failure,
        };
        // While the container runs nothing is lost yet.
        failures += u32::from(is_whole);
        let is_forbidden = matches!(failure.status, Some(401 | 403));
        if is_forbidden || failures >= ATTEMPTS {
            return Err(failure);
        }
        sleep(cluster.pause / 2).await;
    }
}

/// A log without its beginning, which also says whether it broke off.
struct Resumed<'a, R> {
    log: R,
    skip: u64,
    broken: Option<io::Error>,
    /// When its container has ended.
    ended: &'a CancellationToken,
    /// What is waited for beside the log.
    stuck: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
}

impl<'a, R: AsyncRead + Unpin> Resumed<'a, R> {
    fn new(log: R, skip: u64, ended: &'a CancellationToken) -> Self {
        Self { log, skip, broken: None, ended, stuck: None }
    }

    /// More of the log. Once its container has ended it is not waited for long.
    fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.log).poll_read(context, into) {
            self.stuck = None;
            return Poll::Ready(read);
        }
        let ended = self.ended;
        let stuck = self.stuck.get_or_insert_with(|| {
            Box::pin(async move {
                ended.cancelled().await;
                sleep(IDLE).await;
            })
        });
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the log does not end")))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Resumed<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let before = into.filled().len();
            if let Err(error) = ready!(self.poll_more(context, into)) {
                self.broken = Some(error);
                return Poll::Ready(Ok(()));
            }
            let read = into.filled().len() - before;
            let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(read);
            self.skip -= known as u64;
            into.filled_mut().copy_within(before + known..before + read, before);
            into.set_filled(before + read - known);
            if read == 0 || known < read {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
