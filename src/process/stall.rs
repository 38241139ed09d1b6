//! Notices children that do nothing any more.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use tokio::{task::JoinHandle, time};

use super::{
    Command,
    output::Flow,
    platform::{Registry, Tree},
};

/// What a child that works changes sooner or later.
#[derive(Debug, Default, PartialEq)]
struct Signs {
    /// Bytes written to either stream.
    output: [u64; 2],
    /// What is to be seen of the file it is expected to write.
    file: FileSigns,
}

/// Size and last change.
type FileSigns = Option<(u64, SystemTime)>;

/// Looks at a file on a disk that may be slow to answer, or hang.
#[derive(Debug)]
struct FileLook<'a> {
    path: Option<&'a Path>,
    /// A look that has no answer yet. There is one at a time: it takes a thread.
    pending: Option<JoinHandle<FileSigns>>,
    seen: FileSigns,
}

impl FileLook<'_> {
    /// What was seen last. A disk that does not answer is no sign of life.
    async fn take(&mut self, patience: Duration) -> FileSigns {
        let path = self.path?;
        let look = self.pending.get_or_insert_with(|| {
            let path = path.to_owned();
            tokio::task::spawn_blocking(move || {
                let metadata = fs::metadata(path).ok()?;
                Some((metadata.len(), metadata.modified().ok()?))
            })
        });
        if let Ok(answer) = time::timeout(patience, look).await {
            self.pending = None;
            self.seen = answer.unwrap_or_default();
        }
        self.seen
    }
}

/// Waits until the child has shown no sign of life for `command.stall_timeout`: no output, no growth of its file, no
/// processor time used by it, what it started and what it stands for. Gives that time. Looks four times in it: it may take
/// half as long again.
pub(super) async fn watch(
    command: &Command,
    flows: &[Arc<Flow>; 2],
    tree: &mut Tree,
    registry: &Registry,
) -> Duration {
    let Some(limit) = command.stall_timeout else { return std::future::pending().await };
    let pause = (limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(5));
    let path = command.output_file.as_deref().map(Path::new);
    let mut file = FileLook { path, pending: None, seen: None };
    let mut look = async || Signs {
        output: flows.each_ref().map(|flow| flow.bytes.load(Relaxed)),
        file: file.take(pause).await,
    };
    let (mut signs, mut cpu, mut since) = (look().await, (None, None), Instant::now());
    loop {
        time::sleep(pause).await;
        let now = look().await;
        // Somebody takes his time to hear the output: the child cannot go on.
        let held_up = flows.iter().any(|flow| flow.held_up.load(Relaxed));
        // The dearest look comes last.
        let used = if now == signs && !held_up {
            let own = registry.census().await.ok().map(|census| tree.activity(&census).cpu);
            let elsewhere = match &command.counterpart {
                Some(counterpart) => counterpart.cpu().await,
                None => None,
            };
            (own, elsewhere)
        } else {
            (None, None)
        };
        let works = now != signs || held_up || used != cpu;
        (signs, cpu) = (now, used);
        if works {
            since = Instant::now();
        } else if since.elapsed() >= limit {
            return limit;
        }
    }
}
