//! Hands work from the thread of the callers to the runtime and awaits its answer there.

use std::{any::Any, fmt, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// Lets a future run on the thread of the callers.
pub trait LocalSpawner: fmt::Debug {
    /// Runs `work` to its end, and keeps the process alive until then.
    fn spawn(&self, work: LocalBoxFuture<'static, ()>);

    /// Calls `last` when the thread of the callers ends with work on it, which is then forgotten, not dropped; not once the
    /// returned value has been dropped.
    fn at_end(&self, last: Box<dyn FnOnce()>) -> Box<dyn Any> {
        Box::new(last)
    }
}

/// Runs `work` on the runtime. It goes on when the returned future is dropped.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    answer(tokio::spawn(work))
}

/// Runs `work` on the runtime. It is aborted when the returned future is dropped.
#[cfg(any(feature = "aws", feature = "gcp"))]
pub(crate) async fn owned<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(work));
    task.await.unwrap_or_else(|error: JoinError| std::panic::resume_unwind(error.into_panic()))
}

/// Runs `work` on a thread that may block.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    answer(tokio::task::spawn_blocking(work))
}

async fn answer<T>(task: JoinHandle<T>) -> T {
    // A panic in a task is a bug of ours and goes on in the caller, who turns it into a rejection.
    task.await.unwrap_or_else(|error: JoinError| std::panic::resume_unwind(error.into_panic()))
}

/// Waits for work that cannot be told to end: until it is done, or until `grace` after `cancel`. `None` means that it
/// was left behind.
pub(crate) async fn bounded<T>(
    work: impl Future<Output = T>,
    cancel: &CancellationToken,
    grace: Duration,
) -> Option<T> {
    let leave = async {
        cancel.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = leave => None,
    }
}
