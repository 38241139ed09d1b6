//! One child from its start to the certain end of everything it started.

use std::{
    collections::HashSet,
    convert::Infallible,
    pin::{Pin, pin},
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::FusedFuture};
use tokio::{process::Child, time};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Command, Error, Exit, Failure, KILL_GRACE, Mark, Marks, Report,
    output::{Capture, Flow},
    platform::{self, Guardian, Order, Registry, Tree},
    running::{KILL_CONFIRM, Running, until_gone},
    spawn::{spawn, spawn_error},
    stall,
};
use crate::{error::exact_millis, model::ExitCode};

/// How long output is still waited for after the child's end: a grandchild may hold the pipe for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);

/// Starts children and knows which of them are running.
#[derive(Debug, Default)]
pub struct Supervisor {
    pub(super) running: Mutex<HashSet<u32>>,
    shutdown: CancellationToken,
    pub(super) registry: Registry,
    guardian: Arc<Guardian>,
    marks: Marks,
}

impl Supervisor {
    /// A supervisor whose children `guardian` ends when this process dies.
    pub fn new(guardian: Arc<Guardian>) -> Self {
        Self { guardian, ..Self::default() }
    }

    /// Another one, for what it takes to end the work of this one: it still starts children when this one has been shut
    /// down.
    #[must_use]
    pub fn for_endings(&self) -> Self {
        let guardian = Arc::clone(&self.guardian);
        Self { guardian, registry: self.registry.clone(), ..Self::default() }
    }

    /// Runs a child to its end. Settles only when everything is over: when the child was cancelled, took too long or
    /// wrote too much, all that came of it is gone by then.
    ///
    /// # Errors
    /// See [`Error`]. A child that ran and failed is no error.
    ///
    /// # Cancellation
    /// By `command.cancel`. A dropped future kills the group at once and does not wait for it.
    pub async fn run(self: Arc<Self>, command: Command) -> Result<Exit, Failure> {
        if command.cancel.is_cancelled() || self.shutdown.is_cancelled() {
            return Err(Error::Aborted.into());
        }
        let started = Instant::now();
        let mark = self.marks.next();
        let guarded = self.guardian.guard(&mark, command.kill_grace);
        let child = spawn(&command, &mark).map_err(|source| spawn_error(source, &command))?;
        let mut running = Running::new(&self, child, mark, guarded);
        debug!(pid = running.pid, program = %command.program, "process started");
        let mut captures = [Capture::new(command.max_output), Capture::new(command.max_output)];
        let flows = captures.each_ref().map(|capture| Arc::clone(&capture.flow));
        let mut activity = None;
        let ended = {
            let streams = read_streams(&mut running.child, &command, &mut captures);
            let mut streams = pin!(streams.fuse());
            let ended = self.hear_out(&mut running, &command, streams.as_mut(), &flows).await;
            match ended {
                Ok(status) => Ok(status),
                Err(error) => {
                    debug!(pid = running.pid, why = %error, "process is being ended");
                    if error.is_timeout() {
                        activity = running.activity().await;
                    }
                    // It is still heard out while it ends: a closed pipe would kill what cleans up.
                    let drain = async {
                        drop(streams.await);
                        std::future::pending::<Infallible>().await
                    };
                    let gone = tokio::select! {
                        biased;
                        gone = running.terminate(&command) => gone,
                        never = drain => match never {},
                    };
                    Err(gone.err().unwrap_or(error))
                }
            }
        };
        let pid = running.pid;
        let error = match ended {
            Ok(status) => {
                running.over = true;
                running.tree.release();
                let [stdout, stderr] = captures.map(Capture::into_text);
                let (code, signal) = (status.code().unwrap_or(-1), platform::signal_name(status));
                debug!(pid, code, signal, ms = %exact_millis(started.elapsed()), "process ended");
                return Ok(Exit { code, signal, stdout, stderr, duration: started.elapsed(), pid });
            }
            Err(error) => error,
        };
        let status = running.child.try_wait().ok().flatten();
        let [stdout, stderr] = captures.map(|capture| capture.into_clipped(command.max_log));
        let report = Report {
            command: command.line(),
            pid: Some(pid),
            exit_code: status.map(|status| ExitCode::Code(status.code().unwrap_or(-1))),
            signal: status.and_then(platform::signal_name),
            stdout,
            stderr,
            activity,
        };
        Err(Failure { error, report: Some(Box::new(report)) })
    }

    /// Ends all children without waiting for it: they are told to end, and are killed after their grace, by this process
    /// if it lives that long, else by the guardian.
    pub fn shutdown(&self) {
        self.shutdown.cancel();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.guardian.end_unguarded(running.iter().copied());
    }

    /// What the marks of its attempts begin with; see [`Supervisor::end_remains`].
    pub fn marks(&self) -> &str {
        self.marks.beginning()
    }

    /// Ends what is still running of the attempts of a supervisor that has died with its process, and waits until it is
    /// gone, as long as for a child of ours. Gives the processes that are still there. Does nothing where that cannot be
    /// seen.
    #[cfg(unix)]
    pub async fn end_remains(&self, marks: &str) -> Vec<u32> {
        let Some(mark) = Mark::beginning(marks) else { return Vec::new() };
        debug!(marks, "ending what a dead process has left");
        let (mut tree, mut left) = (Tree::remains(mark), Vec::new());
        for (order, limit) in [(Order::Terminate, KILL_GRACE), (Order::Kill, KILL_CONFIRM)] {
            let gone = until_gone(&self.registry, &mut tree, order, &mut left);
            if time::timeout(limit, gone).await.is_ok() {
                return Vec::new();
            }
        }
        left
    }

    /// As on Unix; here the system ends them.
    #[cfg(not(unix))]
    #[expect(clippy::unused_async, reason = "there is something to wait for elsewhere")]
    pub async fn end_remains(&self, _marks: &str) -> Vec<u32> {
        Vec::new()
    }

    /// Waits for the child's end and that of its output.
    async fn hear_out(
        &self,
        running: &mut Running<'_>,
        command: &Command,
        mut streams: Pin<&mut impl FusedFuture<Output = Result<(), Error>>>,
        flows: &[Arc<Flow>; 2],
    ) -> Result<ExitStatus, Error> {
        let Running { child, tree, .. } = running;
        let work = async {
            let status = loop {
                tokio::select! {
                    biased;
                    end = &mut streams, if !streams.is_terminated() => end?,
                    status = child.wait() => break status,
                }
            };
            while !streams.is_terminated() {
                match time::timeout(OUTPUT_GRACE, &mut streams).await {
                    Ok(end) => end?,
                    // The time that somebody takes to hear the output is not the child's.
                    Err(_) if flows.iter().any(|flow| flow.held_up.load(Relaxed)) => {}
                    Err(_) => break,
                }
            }
            status.map_err(|source| Error::Wait { source, program: command.program.clone() })
        };
        tokio::select! {
            biased;
            result = work => result,
            () = command.cancel.cancelled() => Err(Error::Aborted),
            () = self.shutdown.cancelled() => Err(Error::Aborted),
            () = sleep_or_never(command.timeout) => Err(Error::TimedOut(command.timeout.unwrap_or_default())),
            limit = stall::watch(command, flows, tree, &self.registry) => Err(Error::Stalled(limit)),
        }
    }
}

/// Reads both streams of `child` to their ends.
fn read_streams<'a>(
    child: &mut Child,
    command: &'a Command,
    captures: &'a mut [Capture; 2],
) -> impl Future<Output = Result<(), Error>> + use<'a> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let [out, err] = captures;
    let too_long = |stream| Error::OutputTooLong { stream, program: command.program.clone() };
    let out = async move {
        if let Some(stream) = stdout {
            out.read(stream, &command.stdout, platform::widen_pipe).await;
        }
        if out.overflowed() { Err(too_long("stdout")) } else { Ok(()) }
    };
    let err = async move {
        if let Some(stream) = stderr {
            err.read(stream, &command.stderr, platform::widen_pipe).await;
        }
        if err.overflowed() { Err(too_long("stderr")) } else { Ok(()) }
    };
    async move { tokio::try_join!(out, err).map(drop) }
}

async fn sleep_or_never(duration: Option<Duration>) {
    match duration {
        Some(duration) => time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
