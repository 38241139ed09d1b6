//! Ends what this process leaves behind when it dies.

use std::{
    fs::File,
    io::{
        self,
        ErrorKind::{NotFound, PermissionDenied},
    },
    os::{fd::OwnedFd, unix::fs::FileExt},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{self, Instant};

use super::{super::Mark, Order, order_group, tree::own_group};

/// What the companion runs.
const SCRIPT: &str = include_str!("guardian.sh");
/// Where the script finds grep, sleep and the like. The environment of this process belongs to its JavaScript thread.
const TOOLS: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin";
/// How long the companion stays when there is nothing to guard.
const IDLE: Duration = Duration::from_secs(1);
/// A companion that lives shorter than this is not replaced.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// The length of a line of the table: an id, a mark, milliseconds, two blanks and a line feed.
const LINE: usize = 10 + 1 + Mark::LEN + 1 + 10 + 1;

/// Has a companion process as long as there are attempts to guard: a shell that waits for the end of a pipe, which comes
/// with the end of this process, whatever ends it, and then ends the attempts that are in a table they share. An attempt costs two
/// writes of a line into that table, and nothing is said to the companion.
///
/// Without `/bin/sh` there is no companion, and nobody ends what a `kill -9` leaves behind.
#[derive(Debug, Default)]
pub struct Guardian(Mutex<Post>);

#[derive(Debug, Default)]
struct Post {
    table: Option<File>,
    /// Lines of the table that nobody uses.
    free: Vec<u64>,
    /// How many lines it has.
    lines: u64,
    /// How many are used.
    guarded: usize,
    companion: Option<Companion>,
    /// How many companions there were.
    companions: u64,
    unavailable: bool,
    idle_since: Option<Instant>,
    /// Somebody will dismiss the companion when it has been idle.
    dismissal: bool,
}

#[derive(Debug)]
struct Companion {
    number: u64,
    since: Instant,
    /// The companion waits for the end of this.
    _pipe: io::PipeWriter,
}

impl Guardian {
    /// Guards an attempt from before its child is started, as long as the returned value lives.
    pub(in super::super) fn guard(self: &Arc<Self>, mark: &Mark, grace: Duration) -> Guarded {
        let mut post = self.lock();
        if post.companion.is_none() && !post.unavailable {
            self.engage(&mut post);
        }
        let line = post.free.pop().unwrap_or(post.lines);
        post.lines = post.lines.max(line + 1);
        post.guarded += 1;
        post.idle_since = None;
        let guarded = Guarded { guardian: Arc::clone(self), line, mark: mark.clone(), grace };
        guarded.write(&post, 0);
        guarded
    }

    /// Tells children to end that nobody will tell when this process is gone.
    pub(in super::super) fn end_unguarded(&self, leaders: impl Iterator<Item = u32>) {
        if self.lock().companion.is_none() {
            leaders.for_each(|leader| order_group(leader, Order::Terminate));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Post> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engage(self: &Arc<Self>, post: &mut Post) {
        match post.start_companion() {
            Ok(mut child) => {
                let (guardian, number) = (Arc::clone(self), post.companions);
                tokio::spawn(async move {
                    // Only that it is over matters.
                    drop(child.wait().await);
                    guardian.lost(number);
                });
            }
            // There is no sh; this will be so the next time.
            Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => {
                post.unavailable = true;
            }
            // No process or file is to be had just now: the next child asks again.
            Err(_) => {}
        }
    }

    /// A companion is gone. One that was not dismissed is replaced.
    fn lost(self: &Arc<Self>, number: u64) {
        let mut post = self.lock();
        let Some(companion) = post.companion.take_if(|companion| companion.number == number) else {
            return;
        };
        if companion.since.elapsed() < SHORTEST_LIFE {
            post.unavailable = true;
        } else if post.guarded > 0 {
            self.engage(&mut post);
        }
    }

    /// Dismisses the companion when it has had nothing to guard for a while.
    async fn dismiss_idle(self: Arc<Self>) {
        loop {
            let since = {
                let mut post = self.lock();
                let Some(since) = post.idle_since.filter(|_| post.companion.is_some()) else {
                    post.dismissal = false;
                    return;
                };
                if since.elapsed() >= IDLE {
                    post.companion = None;
                    post.dismissal = false;
                    return;
                }
                since
            };
            time::sleep_until(since + IDLE).await;
        }
    }
}

impl Post {
    #[expect(clippy::disallowed_methods, reason = "one of the places that start children")]
    fn start_companion(&mut self) -> io::Result<tokio::process::Child> {
        // Each has a table of its own: the one before may be reading the other just now, and they would share its place.
        let table = shared_file()?;
        if let Some(old) = &self.table {
            let mut lines = vec![0; old.metadata()?.len().try_into().unwrap_or_default()];
            old.read_exact_at(&mut lines, 0)?;
            table.write_all_at(&lines, 0)?;
        }
        let for_reading = OwnedFd::from(table.try_clone()?);
        self.table = Some(table);
        let (end, pipe) = io::pipe()?;
        let child = tokio::process::Command::new("/bin/sh")
            // What ps shows is short this way.
            .args(["-c", r#"eval "$HELIOS_GUARDIAN""#, "helios-guardian"])
            .arg(own_group().to_string())
            .env_clear()
            .env("HELIOS_GUARDIAN", SCRIPT)
            .env("PATH", TOOLS)
            // What is sent to the group of this process, as by a terminal, is not for it.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(end)))
            .stdout(Stdio::from(for_reading))
            .stderr(Stdio::null())
            .spawn()?;
        self.companions += 1;
        self.companion =
            Some(Companion { number: self.companions, since: Instant::now(), _pipe: pipe });
        Ok(child)
    }

    fn write_line(&self, line: u64, text: &str) {
        if let Some(table) = &self.table {
            // A full memory is the only reason to fail; the attempt then goes unguarded.
            drop(table.write_all_at(
                format!("{text:<width$}\n", width = LINE - 1).as_bytes(),
                line * LINE as u64,
            ));
        }
    }
}

/// An attempt that is being guarded.
#[derive(Debug)]
pub(in super::super) struct Guarded {
    guardian: Arc<Guardian>,
    line: u64,
    mark: Mark,
    grace: Duration,
}

impl Guarded {
    /// The child has been started.
    pub(in super::super) fn started(&self, pid: u32) {
        self.write(&self.guardian.lock(), pid);
    }

    fn write(&self, post: &Post, pid: u32) {
        let grace = u32::try_from(self.grace.as_millis()).unwrap_or(u32::MAX);
        post.write_line(self.line, &format!("{pid} {} {grace}", self.mark));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mut post = self.guardian.lock();
        post.write_line(self.line, "");
        post.free.push(self.line);
        post.guarded -= 1;
        if post.guarded > 0 {
            return;
        }
        post.idle_since = Some(Instant::now());
        if post.companion.is_some()
            && !post.dismissal
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            post.dismissal = true;
            runtime.spawn(Arc::clone(&self.guardian).dismiss_idle());
        }
    }
}

/// A file without a name, in memory where the system has such.
fn shared_file() -> io::Result<File> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        Ok(rustix::fs::memfd_create("helios-attempts", flags)?.into())
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let path = std::env::temp_dir().join(format!("helios-attempts-{}", uuid::Uuid::new_v4()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(path)?;
        Ok(file)
    }
}
