//! The crate's `Error` and `Result`.

mod system;

use std::{any::Any, fmt, path::PathBuf, rc::Rc, time::Duration};

pub(crate) use system::SpawnCode;
pub use system::SystemError;
#[cfg(any(all(feature = "node", not(test)), feature = "aws", feature = "gcp"))]
pub(crate) use system::code;
#[cfg(all(feature = "node", not(test)))]
pub(crate) use system::errno;

use crate::{
    adapters, governance,
    model::{RetryHint, RetryKind},
    orchestrator, process, repository, stitcher, storage, worker,
};

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, sorted by what a caller does about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller aborted the job. JavaScript receives an `Error` named `AbortError`.
    #[error("Job aborted")]
    Aborted,
    /// Work was left behind because it did not end within the grace after an abort. JavaScript receives what it
    /// receives for [`Error::Aborted`].
    #[error("Job aborted")]
    Abandoned,
    /// An argument is wrong; the text names the field. JavaScript receives a `TypeError`.
    #[error(transparent)]
    InvalidInput(InvalidInput),
    /// The operating system said no. JavaScript receives an `Error` with Node's `code`, `errno`, `syscall`, `path`.
    #[error(transparent)]
    System(SystemError),
    /// A stored text is not JSON, or not what was expected. JavaScript receives a `SyntaxError`.
    #[error("{0}")]
    Syntax(#[source] serde_json::Error),
    /// A file is not JSON. JavaScript receives a `SyntaxError`.
    #[error("{}: {source}", path.display())]
    SyntaxIn {
        /// What is wrong with it.
        source: serde_json::Error,
        /// The file.
        path: PathBuf,
    },
    /// A child process could not do its work. JavaScript receives an `Error` with what is known of the process.
    #[error(transparent)]
    Process(Box<process::Failure>),
    /// A job or one of its chunks failed.
    #[error(transparent)]
    Job(orchestrator::Error),
    /// The chunks could not be joined.
    #[error(transparent)]
    Stitch(stitcher::Error),
    /// Assets, a definition or an output could not be stored or fetched.
    #[error(transparent)]
    Storage(storage::Error),
    /// A worker did not do what it should.
    #[error(transparent)]
    Adapter(adapters::Error),
    /// A chunk could not be run inside a worker.
    #[error(transparent)]
    Worker(worker::Error),
    /// A panic: a bug of this crate.
    #[error("internal error: a panic in native code")]
    Panic,
    /// A value thrown by the caller's own code. JavaScript receives that very value.
    #[error("{}", .0.message())]
    Foreign(Rc<dyn Foreign>),
}

impl Error {
    /// An [`Error::InvalidInput`] that says what `field` must be.
    pub fn invalid(field: impl fmt::Display, expected: &str) -> Self {
        Self::InvalidInput(InvalidInput::new(format!("{field} must be {expected}")))
    }

    /// What is known of the command that failed, if one did.
    pub fn report(&self) -> Option<&process::Report> {
        match self {
            Self::Process(failure) => failure.report.as_deref(),
            Self::Job(error) => error.report(),
            _ => None,
        }
    }

    /// What whoever failed makes of it himself.
    pub fn retry(&self) -> Option<RetryHint> {
        match self {
            Self::Foreign(value) => value.retry(),
            Self::Job(orchestrator::Error::ChunkExit { retry, .. })
            | Self::Adapter(adapters::Error::Failed { retry, .. }) => *retry,
            // What is missing will be missing every time.
            Self::Adapter(adapters::Error::Incomplete(_)) => {
                Some(RetryHint { kind: RetryKind::Fatal, after: None })
            }
            _ => None,
        }
    }

    /// Whether a command took too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Process(failure) => failure.error.is_timeout(),
            Self::Job(error) => error.is_timeout(),
            Self::Adapter(adapters::Error::Failed { timed_out, .. }) => *timed_out,
            _ => false,
        }
    }

    /// Whether the error says that the work was aborted.
    pub fn is_abort(&self) -> bool {
        match self {
            Self::Aborted | Self::Abandoned | Self::Adapter(adapters::Error::Aborted) => true,
            Self::Foreign(value) => value.is_abort(),
            _ => false,
        }
    }
}

/// What is wrong with an argument.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct InvalidInput {
    text: String,
    /// Node's `code` for it, where Node has one.
    pub code: Option<&'static str>,
}

impl InvalidInput {
    /// What is wrong, with the name of the field.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: None }
    }

    /// As Node says it of an argument with the right type and a value that cannot be.
    pub fn bad_value(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: Some("ERR_INVALID_ARG_VALUE") }
    }
}

/// A value of the embedding language that passes through the core untouched.
pub trait Foreign: fmt::Debug {
    /// Its `message` when it is an error, else the value as text.
    fn message(&self) -> String;
    /// Whether it says that work was aborted (an error named `AbortError`).
    fn is_abort(&self) -> bool;
    /// Its `retry`: what its thrower makes of the failure.
    fn retry(&self) -> Option<RetryHint> {
        None
    }
    /// For the embedding to get its own type back.
    fn as_any(&self) -> &dyn Any;
}

impl From<process::Failure> for Error {
    fn from(failure: process::Failure) -> Self {
        match failure.error {
            process::Error::InvalidInput(invalid) => Self::InvalidInput(invalid),
            error => Self::Process(Box::new(process::Failure { error, ..failure })),
        }
    }
}

impl From<process::Error> for Error {
    fn from(error: process::Error) -> Self {
        process::Failure::from(error).into()
    }
}

impl From<SystemError> for Error {
    fn from(error: SystemError) -> Self {
        Self::System(error)
    }
}

impl From<orchestrator::Error> for Error {
    fn from(error: orchestrator::Error) -> Self {
        Self::Job(error)
    }
}

impl From<stitcher::Error> for Error {
    fn from(error: stitcher::Error) -> Self {
        match error {
            stitcher::Error::System(system) => Self::System(system),
            other => Self::Stitch(other),
        }
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::System(system) => Self::System(system),
            storage::Error::InvalidId(_) => {
                Self::InvalidInput(InvalidInput::new(error.to_string()))
            }
            other => Self::Storage(other),
        }
    }
}

impl From<adapters::Error> for Error {
    fn from(error: adapters::Error) -> Self {
        Self::Adapter(error)
    }
}

impl From<worker::Error> for Error {
    fn from(error: worker::Error) -> Self {
        Self::Worker(error)
    }
}

impl From<repository::Error> for Error {
    fn from(error: repository::Error) -> Self {
        match error {
            repository::Error::System(system) => Self::System(system),
            repository::Error::Syntax(syntax) => Self::Syntax(syntax),
            repository::Error::InvalidId(id) => Self::InvalidInput(InvalidInput::new(format!(
                "job id {id:?} must be a plain file name"
            ))),
        }
    }
}

impl From<governance::Error> for Error {
    fn from(error: governance::Error) -> Self {
        match error {
            governance::Error::System(system) => Self::System(system),
            governance::Error::Syntax { source, path } => Self::SyntaxIn { source, path },
        }
    }
}

/// `duration` in milliseconds, as its owner gave it, for texts.
#[expect(
    clippy::cast_precision_loss,
    reason = "no duration here comes near 2^53 ns, or its fraction is of no interest"
)]
pub(crate) fn exact_millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// `duration` in whole milliseconds, for JavaScript.
#[expect(clippy::cast_precision_loss, reason = "no duration here comes near 2^53 ms")]
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_millis() as f64
}
