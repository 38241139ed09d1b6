//! Notices children that do nothing any more.

use std::{
    fs,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use tokio::time;

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
    /// Size and last change of the file it is expected to write.
    file: Option<(u64, SystemTime)>,
}

impl Signs {
    fn of(command: &Command, flows: &[Arc<Flow>; 2]) -> Self {
        let metadata = command.output_file.as_ref().and_then(|file| fs::metadata(file).ok());
        let file = metadata.and_then(|metadata| Some((metadata.len(), metadata.modified().ok()?)));
        Self { output: flows.each_ref().map(|flow| flow.bytes.load(Relaxed)), file }
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
    let (mut signs, mut cpu, mut since) = (Signs::of(command, flows), (None, None), Instant::now());
    loop {
        time::sleep(pause).await;
        let now = Signs::of(command, flows);
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
