//! One child from its start to the certain end of everything it started.

use std::{
    collections::HashSet,
    convert::Infallible,
    io,
    pin::{Pin, pin},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::FusedFuture};
use tokio::{process::Child, time};
use tokio_util::sync::CancellationToken;

use super::{
    Command, Error, Exit,
    output::Capture,
    platform::{self, Group},
};
use crate::error::InvalidInput;

/// How long output is still waited for after the child's end: a grandchild may hold the pipe for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);
/// How long is waited for a killed process to be gone before it is called unkillable.
const KILL_CONFIRM: Duration = Duration::from_secs(5);
/// Longest pause between two looks at whether a group is gone.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Starts children and knows which of them are running.
#[derive(Debug, Default)]
pub struct Supervisor {
    running: Mutex<HashSet<Group>>,
    shutdown: CancellationToken,
}

impl Supervisor {
    /// Runs a child to its end. Settles only when everything is over: when the child was cancelled, timed out or wrote
    /// too much, all of its process group is gone by then.
    ///
    /// # Errors
    /// See [`Error`]. A child that ran and failed is no error.
    ///
    /// # Cancellation
    /// By `command.cancel`. A dropped future kills the group at once and does not wait for it.
    pub async fn run(self: Arc<Self>, command: Command) -> Result<Exit, Error> {
        if command.cancel.is_cancelled() || self.shutdown.is_cancelled() {
            return Err(Error::Aborted);
        }
        let started = Instant::now();
        let child = spawn(&command).map_err(|source| spawn_error(source, &command))?;
        let mut running = Running::new(&self, child);
        let mut captures = <[Capture; 2]>::default();
        let held_up = captures.each_ref().map(|capture| Arc::clone(&capture.held_up));
        let ended = {
            let streams = read_streams(&mut running.child, &command, &mut captures);
            let mut streams = pin!(streams.fuse());
            let ended =
                self.hear_out(&mut running.child, &command, streams.as_mut(), &held_up).await;
            if ended.is_err() {
                // It is still heard out while it ends: a closed pipe would kill what cleans up.
                let drain = async {
                    drop(streams.await);
                    std::future::pending::<Infallible>().await
                };
                tokio::select! {
                    biased;
                    gone = running.terminate(&command) => gone?,
                    never = drain => match never {},
                }
            }
            ended
        };
        let status = ended?;
        running.over = true;
        let [stdout, stderr] = captures.map(Capture::into_text);
        let (code, signal) = (status.code().unwrap_or(-1), platform::signal_name(status));
        Ok(Exit { code, signal, stdout, stderr, duration: started.elapsed() })
    }

    /// Ends all children without waiting for it: their groups are told to end before this returns, and are killed
    /// after their grace if this process lives that long.
    pub fn shutdown(&self) {
        self.shutdown.cancel();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().copied().for_each(Group::terminate);
    }

    /// Waits for the child's end and that of its output.
    async fn hear_out(
        &self,
        child: &mut Child,
        command: &Command,
        mut streams: Pin<&mut impl FusedFuture<Output = Result<(), Error>>>,
        held_up: &[Arc<AtomicBool>; 2],
    ) -> Result<ExitStatus, Error> {
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
                    Err(_) if held_up.iter().any(|held_up| held_up.load(Relaxed)) => {}
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
    group: Group,
    over: bool,
}

impl<'a> Running<'a> {
    fn new(supervisor: &'a Supervisor, child: Child) -> Self {
        let group = Group::of(&child);
        supervisor.running.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
        Self { supervisor, child, group, over: false }
    }

    /// Tells the group to end, waits for the grace, kills what is left, and looks that nothing is.
    async fn terminate(&mut self, command: &Command) -> Result<(), Error> {
        self.group.terminate();
        if time::timeout(command.kill_grace, self.gone()).await.is_err() {
            self.group.kill();
            if time::timeout(KILL_CONFIRM, self.gone()).await.is_err() {
                let (pid, program) = (self.group.id(), command.program.clone());
                return Err(Error::Unkillable { pid, program, waited: KILL_CONFIRM });
            }
        }
        self.over = true;
        Ok(())
    }

    /// Waits until nothing of the group is left.
    async fn gone(&mut self) {
        // The child itself is reaped first. That this fails means that it is gone already.
        drop(self.child.wait().await);
        let mut pause = Duration::from_millis(1);
        while self.group.is_alive() {
            time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_PAUSE);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.group.kill();
        }
        self.supervisor.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts children")]
fn spawn(command: &Command) -> io::Result<Child> {
    let start = |program: &std::path::Path, script: Option<&std::path::Path>| {
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
            start(std::path::Path::new("/bin/sh"), Some(&program))
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
