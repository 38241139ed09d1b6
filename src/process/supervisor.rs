//! One child from its start to the certain end of everything it started.

use std::{
    collections::HashSet,
    convert::Infallible,
    io,
    path::Path,
    pin::{Pin, pin},
    process::{ExitStatus, Stdio},
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
    platform::{self, Guarded, Guardian, Order, Registry, Tree},
    stall,
};
use crate::{
    error::{InvalidInput, exact_millis},
    model::ExitCode,
};

/// How long output is still waited for after the child's end: a grandchild may hold the pipe for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);
/// How long is waited for a killed process to be gone before it is called unkillable.
const KILL_CONFIRM: Duration = Duration::from_secs(5);
/// Longest pause between two looks at whether a tree is gone.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Starts children and knows which of them are running.
#[derive(Debug, Default)]
pub struct Supervisor {
    running: Mutex<HashSet<u32>>,
    shutdown: CancellationToken,
    registry: Registry,
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

/// A child whose group is killed if nobody sees to its end.
struct Running<'a> {
    supervisor: &'a Supervisor,
    child: Child,
    pid: u32,
    tree: Tree,
    over: bool,
    _guarded: Guarded,
}

impl<'a> Running<'a> {
    fn new(supervisor: &'a Supervisor, child: Child, mark: Mark, guarded: Guarded) -> Self {
        let pid = child.id().expect("a child that was not waited for has an id");
        guarded.started(pid);
        supervisor.running.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        let tree = Tree::of(&child, pid, mark);
        Self { supervisor, child, pid, tree, over: false, _guarded: guarded }
    }

    /// Tells the tree to end, waits for the grace, kills what is left, and looks that nothing is.
    async fn terminate(&mut self, command: &Command) -> Result<(), Error> {
        let mut left = Vec::new();
        let mut orders = &[(Order::Terminate, command.kill_grace), (Order::Kill, KILL_CONFIRM)][..];
        if let Some(counterpart) = &command.counterpart {
            let end = async {
                if counterpart.end().await {
                    drop(self.child.wait().await);
                }
            };
            // What does not end with its counterpart has nothing to clean up.
            drop(time::timeout(command.kill_grace, end).await);
            orders = &orders[1..];
        }
        for &(order, limit) in orders {
            if time::timeout(limit, self.gone(order, &mut left)).await.is_ok() {
                self.over = true;
                return Ok(());
            }
        }
        let program = command.program.clone();
        Err(Error::Unkillable { pids: left, program, waited: KILL_CONFIRM })
    }

    /// Gives the order to whatever of the tree is still there, until nothing is. Keeps in `left` who was there last.
    async fn gone(&mut self, order: Order, left: &mut Vec<u32>) {
        let Self { supervisor, tree, .. } = self;
        if until_gone(&supervisor.registry, tree, order, left).await.is_err() {
            // Nothing to be seen: only the group can be asked for. A child that nobody has waited for is in it.
            loop {
                self.tree.order_group(order);
                drop(self.child.wait().await);
                *left = self.tree.group().into_iter().collect();
                if left.is_empty() {
                    break;
                }
                time::sleep(LOOK_PAUSE).await;
            }
        }
        // A zombie until now. That this fails means that it is gone already.
        drop(self.child.wait().await);
    }

    /// What the tree is doing, where that can be seen.
    async fn activity(&mut self) -> Option<super::Activity> {
        let census = self.supervisor.registry.census().await.ok()?;
        Some(self.tree.activity(&census))
    }
}

/// Gives the order to whatever of the tree is still there, until nothing is. Keeps in `left` who was there last.
async fn until_gone(
    registry: &Registry,
    tree: &mut Tree,
    order: Order,
    left: &mut Vec<u32>,
) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    let mut looked_in_vain = 0;
    // Processes that are started while others are looked at can be missed once.
    while looked_in_vain < 2 {
        let census = registry.census().await?;
        *left = tree.order(&census, order);
        if left.is_empty() {
            looked_in_vain += 1;
            continue;
        }
        looked_in_vain = 0;
        time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_PAUSE);
    }
    Ok(())
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.tree.order_group(Order::Kill);
        }
        self.supervisor.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid);
    }
}

#[expect(clippy::disallowed_methods, reason = "one of the places that start children")]
fn spawn(command: &Command, mark: &Mark) -> io::Result<Child> {
    let start = |program: &Path, script: Option<&Path>| {
        let mut child = tokio::process::Command::new(program);
        if let Some(script) = script {
            child.arg(script);
        } else {
            platform::set_name(&mut child, &command.program);
        }
        if let Some(cwd) = &command.cwd {
            child.current_dir(cwd);
        }
        platform::own_group(&mut child);
        child
            .args(&command.args)
            .env_clear()
            .envs(command.env.0.iter().map(|(name, value)| (name, value)))
            .env(Mark::VARIABLE, mark.value(command.env.get(Mark::VARIABLE)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let program = platform::find_program(command)?;
    let child = start(&program, None);
    match child {
        // A script without a first line that names its interpreter: execvp, which Node uses, hands it to sh.
        Err(error) if platform::is_script_without_interpreter(&error) => {
            start(Path::new("/bin/sh"), Some(&program))
        }
        other => other,
    }
}

fn spawn_error(source: io::Error, command: &Command) -> Error {
    if source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none() {
        let text = format!(
            "command, args, cwd and env of '{}' must be strings without null bytes",
            command.program
        );
        return Error::InvalidInput(InvalidInput::bad_value(text.replace('\0', "\\0")));
    }
    Error::Spawn { source, program: command.program.clone(), args: command.args.clone() }
}
