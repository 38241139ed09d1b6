//! Why a child did not come to its own end, and what is known of it.

use std::{fmt, io, time::Duration};

use super::MAX_OUTPUT;
use crate::{
    error::{InvalidInput, SpawnCode, exact_millis},
    model::{ExitCode, Text},
};

/// How many lines of a child's output tell what it was doing.
const LAST_LINES: usize = 3;

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
    /// It did nothing for too long, and is over.
    #[error(
        "Worker job stalled: no output, no growth of its output file and no use of the processor for {}ms",
        exact_millis(*.0)
    )]
    Stalled(Duration),
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
    #[error("spawn {program} {}", SpawnCode(.source))]
    Spawn {
        /// What the operating system said.
        source: io::Error,
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Parts of it are still there after it was killed.
    #[error("'{program}' could not be ended: {} still there {}ms after SIGKILL", Pids(.pids), exact_millis(*.waited))]
    Unkillable {
        /// Who is left.
        pids: Vec<u32>,
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

impl Error {
    /// Whether it took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Stalled(_))
    }
}

/// Names processes in a sentence that goes on with what they are.
struct Pids<'a>(&'a [u32]);

impl fmt::Display for Pids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pids: Vec<String> = self.0.iter().map(u32::to_string).collect();
        match &*pids {
            [pid] => write!(f, "process {pid} is"),
            pids => write!(f, "processes {} are", pids.join(", ")),
        }
    }
}

/// A child that did not come to its own end.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// What is known of it, if it was started.
    pub report: Option<Box<Report>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, report: None }
    }
}

/// What is known of a command that failed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The command, on one line.
    pub command: String,
    /// The id of its process, if it had one.
    pub pid: Option<u32>,
    /// Its exit code, if it has come to one; -1 when a signal ended it.
    pub exit_code: Option<ExitCode>,
    /// The name of that signal.
    pub signal: Option<&'static str>,
    /// What it wrote to standard output: beginning and end, where it was much.
    pub stdout: Text,
    /// What it wrote to standard error, likewise.
    pub stderr: Text,
    /// What it was doing when it had taken too long.
    pub activity: Option<Activity>,
}

impl Report {
    /// Its exit code as text; empty where there is none.
    pub fn code(&self) -> String {
        self.exit_code.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// What it was doing, for people: state, processor time, last lines.
    pub fn doing(&self) -> String {
        let process = self.pid.map(|pid| format!(", process {pid},")).unwrap_or_default();
        let activity = self.activity.as_ref().map(ToString::to_string).unwrap_or_default();
        let written = [("standard error", &self.stderr), ("standard output", &self.stdout)]
            .map(|(name, text)| (name, text.as_str().trim_end()))
            .into_iter()
            .find(|(_, text)| !text.is_empty());
        let written = written.map_or_else(
            || "it had written nothing".to_owned(),
            |(name, text)| {
                let from =
                    text.rmatch_indices('\n').nth(LAST_LINES - 1).map_or(0, |(at, _)| at + 1);
                format!("its {name} ended with:\n{}", &text[from..])
            },
        );
        format!("'{}'{process}{activity} {written}", self.command)
    }
}

/// What a child and what it started are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// How many of them there are.
    pub processes: usize,
    /// What the busiest of them does.
    pub state: &'static str,
    /// The processor time that they have used.
    pub cpu: Duration,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " was {}", self.state)?;
        match self.processes.saturating_sub(1) {
            0 => {}
            1 => f.write_str(", with one other process")?,
            others => write!(f, ", with {others} other processes")?,
        }
        write!(f, ", after {:.2} s of processor time;", self.cpu.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_tells_what_a_command_was_doing() {
        let activity =
            Activity { processes: 3, state: "sleeping", cpu: Duration::from_millis(1250) };
        let report = Report {
            command: "ffmpeg -i a".to_owned(),
            pid: Some(7),
            stderr: "1\n2\n3\n4\n".into(),
            activity: Some(activity),
            ..Report::default()
        };
        assert_eq!(
            report.doing(),
            "'ffmpeg -i a', process 7, was sleeping, with 2 other processes, after 1.25 s of processor time; \
             its standard error ended with:\n2\n3\n4"
        );
        let silent = Report { command: "x".to_owned(), ..Report::default() };
        assert_eq!(silent.doing(), "'x' it had written nothing");
    }
}
