//! Many things at once, but not too many.

use std::{future::Future, panic::resume_unwind};

use tokio::task::JoinSet;

use super::super::Error;

/// Does `work` on all `items`, at most `limit` at a time. After a failure no more begin, and those that run are aborted
/// before it is told; so they are when this is dropped.
pub(super) async fn each<T, F>(
    items: impl IntoIterator<Item = T>,
    limit: usize,
    work: impl Fn(T) -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let outcome = run(&mut running, items, limit, work).await;
    running.shutdown().await;
    outcome
}

async fn run<T, F>(
    running: &mut JoinSet<Result<(), Error>>,
    items: impl IntoIterator<Item = T>,
    limit: usize,
    work: impl Fn(T) -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    for item in items {
        while running.len() >= limit {
            one(running).await?;
        }
        running.spawn(work(item));
    }
    while !running.is_empty() {
        one(running).await?;
    }
    Ok(())
}

/// Waits for the next one that ends.
pub(super) async fn one(running: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    match running.join_next().await {
        Some(Ok(outcome)) => outcome,
        // A panic is a bug of ours and goes on in the caller, who turns it into a rejection.
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        // Only `each` aborts, and does not look any more then.
        Some(Err(_)) | None => Ok(()),
    }
}
