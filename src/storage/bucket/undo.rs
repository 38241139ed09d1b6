//! Takes back what was stored of a folder that is not stored whole.

use std::{collections::HashSet, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{super::Error, client::Client, dedupe, keys, upload};

/// Does `work`, which stores something in the place of a job. What it has brought there is removed when it fails or is
/// cancelled; who may not list the bucket cannot remove it.
pub(super) async fn unless_whole(
    client: &Arc<Client>,
    job: &str,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let before = client.list(job).await.ok();
    let outcome = cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled));
    let (Some(before), Err(_)) = (before, &outcome) else { return outcome };
    let before: HashSet<_> = before.into_iter().map(|object| object.location).collect();
    // The failure that is told is the first one.
    if let Ok(mut brought) = client.list(job).await {
        if !before.iter().any(|key| key.as_ref() == keys::spec(job)) {
            drop(upload::forget_own(client, job).await);
        }
        brought.retain(|object| !before.contains(&object.location));
        drop(dedupe::forget(client, job, &brought).await);
        let keys = brought.into_iter().map(|object| object.location).collect();
        drop(client.delete_all(job, keys).await);
    }
    outcome
}
