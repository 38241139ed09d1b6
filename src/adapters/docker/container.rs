//! One container, from before it is there until it is certain that it is not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time;
use uuid::Uuid;

use super::{
    arguments::OWNER,
    client::{Answer, Client},
    failure,
};
use crate::{error::exact_millis, process::Counterpart};

/// Pause between two looks at whether a container is gone; it doubles.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long is waited for a daemon to create a container that a client asked for which is gone.
const CREATE_SETTLES: Duration = Duration::from_secs(1);
/// After so long nobody looks for it any more, or tries any more to remove a container.
const REMOVE_LIMIT: Duration = Duration::from_secs(30);

/// A container that a client is told to run.
#[derive(Debug)]
pub(super) struct Container {
    client: Client,
    name: String,
    /// Whether it has been there, so that it does not come any more when it is not there.
    has_been: AtomicBool,
    /// Whether it was not there when it was last to be removed.
    is_missing: AtomicBool,
    /// Why it could not be.
    complaint: Mutex<String>,
}

impl Container {
    /// A container with a name that no other has.
    pub(super) fn new(client: Client) -> Self {
        let name = format!("helios-worker-{}", Uuid::new_v4().simple());
        let [has_been, is_missing] = [false; 2].map(AtomicBool::new);
        Self { client, name, has_been, is_missing, complaint: Mutex::default() }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its client has ended by itself: there will be no container that is not there now.
    pub(super) fn is_not_coming(&self) {
        self.has_been.store(true, Relaxed);
    }

    /// Removes the container, whatever it is doing, and waits until the daemon says that it is gone, at most for `limit`.
    /// Longer than that, or than it should take until it is there, nobody waits; the removal goes on.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn removed(self: Arc<Self>, limit: Duration) -> Result<(), String> {
        let (removing, settles) = (Arc::clone(&self), limit.min(CREATE_SETTLES));
        let mut removal = tokio::spawn(async move {
            let removed = time::timeout(REMOVE_LIMIT, removing.remove()).await;
            removed.unwrap_or_else(|_| removing.not_removed(REMOVE_LIMIT))
        });
        let mut ended = time::timeout(settles, &mut removal).await;
        if ended.is_err() && !self.is_missing.load(Relaxed) {
            ended = time::timeout(limit.saturating_sub(settles), removal).await;
        }
        match ended {
            // A panic in a task is a bug of ours and goes on in the caller.
            Ok(removed) => {
                removed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
            Err(_) => self.not_removed(limit),
        }
    }

    async fn remove(&self) -> Result<(), String> {
        let mut pause = LOOK_PAUSE;
        loop {
            let answer = self.client.ask(&["rm", "-f", &self.name]).await;
            let is_missing = is_missing(&answer);
            self.is_missing.store(is_missing, Relaxed);
            if answer.is_done && !is_missing || is_missing && self.has_been.load(Relaxed) {
                return Ok(());
            }
            if failure::is_out_of_reach(&answer.stderr) {
                return Err(answer.stderr);
            }
            *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = answer.stderr;
            time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What is known of a removal that has not ended after `limit`.
    fn not_removed(&self, limit: Duration) -> Result<(), String> {
        if self.is_missing.load(Relaxed) {
            return Ok(());
        }
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        Err(no_answer(limit, &complaint))
    }
}

impl Counterpart for Container {
    fn end(&self) -> BoxFuture<'_, bool> {
        async move {
            let answer = self.client.ask(&["kill", &self.name]).await;
            if answer.is_done {
                self.has_been.store(true, Relaxed);
                return true;
            }
            if is_missing(&answer) || failure::is_out_of_reach(&answer.stderr) {
                return false;
            }
            // It is there, and does not run: not yet, or not any more.
            self.client.ask(&["rm", "-f", &self.name]).await.is_done
        }
        .boxed()
    }

    fn cpu(&self) -> BoxFuture<'_, Option<Duration>> {
        async move {
            let answer = self.client.ask(&["top", &self.name, "-eo", "pid,time"]).await;
            answer.is_done.then(|| processor_time(&answer.stdout))
        }
        .boxed()
    }
}

/// Removes all containers of the owner of that name, which is dead.
pub(super) async fn remove_all(client: &Client, owner: &str) -> Result<(), String> {
    let filter = format!("label={OWNER}={owner}");
    let removal = async {
        loop {
            let list = ["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter];
            let listed = client.ask(&list).await;
            if !listed.is_done {
                return Err(listed.stderr);
            }
            let ids = listed.stdout.split_whitespace();
            let words: Vec<&str> = ["rm", "-f"].into_iter().chain(ids).collect();
            if words.len() == 2 {
                return Ok(());
            }
            // Whether they are gone is seen at the next look.
            client.ask(&words).await;
            time::sleep(LOOK_PAUSE).await;
        }
    };
    let removed = time::timeout(REMOVE_LIMIT, removal).await;
    removed.unwrap_or_else(|_| Err(no_answer(REMOVE_LIMIT, "")))
}

/// Whether there is no such container. Docker's exit code does not always tell.
fn is_missing(answer: &Answer) -> bool {
    answer.stderr.to_ascii_lowercase().contains("no such container")
}

fn no_answer(limit: Duration, complaint: &str) -> String {
    let colon = if complaint.is_empty() { "" } else { ": " };
    format!("it is still there after {}ms{colon}{complaint}", exact_millis(limit))
}

/// The sum of the last column of what `ps` lists: `[days-]hours:minutes:seconds`.
fn processor_time(table: &str) -> Duration {
    const UNITS: [u64; 4] = [1, 60, 60 * 60, 24 * 60 * 60];
    let seconds = |time: &str| {
        let parts = time.rsplit([':', '-']).zip(UNITS);
        parts.map(|(part, unit)| part.parse::<u64>().map_or(0, |count| count * unit)).sum::<u64>()
    };
    let times = table.lines().skip(1).filter_map(|line| line.split_whitespace().last());
    Duration::from_secs(times.map(seconds).sum())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::process::Environment;

    #[test]
    fn names_are_valid_and_differ() {
        let client = Client::new(Arc::default(), Environment::default());
        let names: HashSet<_> =
            (0..1000).map(|_| Container::new(client.clone()).name().to_owned()).collect();
        assert_eq!(names.len(), 1000);
        for name in names {
            let unique = name.strip_prefix("helios-worker-").unwrap();
            assert!(unique.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
            // What a host name may have, as which people use it.
            assert!(name.len() <= 63, "{name}");
        }
    }

    #[test]
    fn processor_time_is_added_up() {
        for (table, seconds) in [
            ("PID  TIME\n", 0),
            ("PID  TIME\n1  00:00:02\n9  00:01:00\n", 62),
            ("PID  TIME\n1  1-02:03:04\n", 93_784),
            ("PID  TIME\n1  0:07\n2  -\n", 7),
        ] {
            assert_eq!(processor_time(table).as_secs(), seconds, "{table}");
        }
    }
}
