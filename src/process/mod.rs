//! Starts child processes, hears them out and ends them: the only place of the crate that does.

mod command_line;
mod output;
mod supervisor;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as platform;

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::PathBuf,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

pub use command_line::{check, split};
pub use supervisor::Supervisor;

use crate::{
    error::{self, InvalidInput, exact_millis},
    model::{OutputTarget, Text},
};

/// How long a process may take to end by itself once it was told to.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// The longest text a JavaScript string can hold, in UTF-16 units (V8's `String::kMaxLength` on 64-bit machines).
/// Output beyond it could not be handed over, so nothing beyond it is kept in memory either.
pub const MAX_OUTPUT: usize = (1 << 29) - 24;

/// Variables and their values, as a child will see them.
#[derive(Clone, Default)]
pub struct Environment(pub Vec<(OsString, OsString)>);

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Sets (`Some`) or unsets (`None`) variables.
    pub fn apply(&mut self, changes: Vec<(String, Option<String>)>) {
        for (name, value) in changes {
            let place = self.0.iter().position(|(key, _)| *key == *name);
            match (place, value) {
                (Some(place), Some(value)) => self.0[place].1 = value.into(),
                (Some(place), None) => drop(self.0.remove(place)),
                (None, Some(value)) => self.0.push((name.into(), value.into())),
                (None, None) => {}
            }
        }
    }
}

impl fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// One child process to run.
#[derive(Debug)]
pub struct Command {
    /// The program: a path, or a name to look up in the child's `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder it starts in; default the one of this process.
    pub cwd: Option<String>,
    /// Its whole environment.
    pub env: Environment,
    /// The longest it may take.
    pub timeout: Option<Duration>,
    /// How long it may take to end by itself once it was told to.
    pub kill_grace: Duration,
    /// Ends it before its time.
    pub cancel: CancellationToken,
    /// Where its standard output goes.
    pub stdout: OutputTarget,
    /// Where its standard error goes.
    pub stderr: OutputTarget,
}

/// How a child ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// The name of that signal.
    pub signal: Option<&'static str>,
    /// What it wrote to standard output.
    pub stdout: Text,
    /// What it wrote to standard error.
    pub stderr: Text,
    /// How long it ran.
    pub duration: Duration,
}

/// Why a child did not come to its own end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line is empty or blank.
    #[error("Command string cannot be empty")]
    EmptyCommand,
    /// An argument cannot be passed to any program.
    #[error(transparent)]
    InvalidInput(InvalidInput),
    /// It was cancelled, and is over.
    #[error("Job was aborted")]
    Aborted,
    /// It took too long, and is over.
    #[error("Worker job timed out after {}ms", exact_millis(*.0))]
    TimedOut(Duration),
    /// It wrote more than can be handed over, and is over.
    #[error(
        "{stream} of '{program}' is longer than the longest JavaScript string ({MAX_OUTPUT} characters)"
    )]
    OutputTooLong {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// The program.
        program: String,
    },
    /// It could not be started. JavaScript receives the fields that Node's own `spawn` gives.
    #[error("spawn {program} {}", error::SpawnCode(.source))]
    Spawn {
        /// What the operating system said.
        source: io::Error,
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Parts of it are still there after it was killed.
    #[error("process {pid} of '{program}' could not be ended: it is still there {}ms after SIGKILL", exact_millis(*.waited))]
    Unkillable {
        /// Its process id, which is also the id of its group.
        pid: u32,
        /// The program.
        program: String,
        /// How long was waited for it.
        waited: Duration,
    },
    /// The operating system lost track of it.
    #[error("waiting for '{program}' failed")]
    Wait {
        /// What the operating system said.
        source: io::Error,
        /// The program.
        program: String,
    },
}

/// What the folder of a child and its program's name mean together.
fn in_folder(cwd: Option<&str>, path: &str) -> PathBuf {
    cwd.map_or_else(|| PathBuf::from(path), |cwd| PathBuf::from(cwd).join(path))
}
