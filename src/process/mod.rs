//! Starts child processes, hears them out and ends them: the only place of the crate that does.

mod command_line;
mod failure;
mod mark;
mod output;
mod running;
mod spawn;
mod stall;
mod supervisor;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use command_line::{check, program_of, split};
pub use failure::{Activity, Error, Failure, Report};
use mark::{Mark, Marks};
#[cfg(feature = "kubernetes")]
pub(crate) use output::Capture;
pub use platform::Guardian;
pub use supervisor::Supervisor;

use crate::model::{OutputTarget, Text};

/// How long a process may take to end by itself once it was told to.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// The longest text a JavaScript string can hold, in UTF-16 units (V8's `String::kMaxLength` on 64-bit machines).
/// Output beyond it could not be handed over, so nothing beyond it is kept in memory either.
pub const MAX_OUTPUT: usize = (1 << 29) - 24;

/// How much of each stream is kept for logs and errors, in bytes, where nothing else is asked for.
pub const MAX_LOG: usize = 1024 * 1024;

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

/// What a child only stands for, and what does not end with it: a container, whose client the child is.
pub trait Counterpart: Send + Sync + fmt::Debug {
    /// Ends it. Gives whether the child then ends by itself, and is worth waiting for.
    fn end(&self) -> BoxFuture<'_, bool>;

    /// The processor time that it has used, where that can be seen.
    fn cpu(&self) -> BoxFuture<'_, Option<Duration>>;
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
    /// The longest it may show no sign of life: no output, no growth of its file, no use of the processor.
    pub stall_timeout: Option<Duration>,
    /// The file it is expected to write.
    pub output_file: Option<PathBuf>,
    /// How long it may take to end by itself once it was told to.
    pub kill_grace: Duration,
    /// Ends it before its time.
    pub cancel: CancellationToken,
    /// Where its standard output goes.
    pub stdout: OutputTarget,
    /// Where its standard error goes.
    pub stderr: OutputTarget,
    /// How many bytes of each stream are kept of a child that comes to its end; default [`MAX_OUTPUT`] or an error.
    pub max_output: Option<usize>,
    /// How many bytes of each stream are kept of one that does not.
    pub max_log: usize,
    /// What the child stands for. It is ended before the child, which is then killed if it does not end with it.
    pub counterpart: Option<Arc<dyn Counterpart>>,
}

impl Command {
    /// The program and its arguments on one line, for people.
    fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
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
    /// The id it had.
    pub pid: u32,
}

/// What the folder of a child and its program's name mean together.
#[cfg(unix)]
fn in_folder(cwd: Option<&str>, path: &str) -> PathBuf {
    cwd.map_or_else(|| PathBuf::from(path), |cwd| PathBuf::from(cwd).join(path))
}
