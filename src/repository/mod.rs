//! Where the records of jobs are kept.

mod file;
mod memory;

use std::fmt;

use futures_util::future::LocalBoxFuture;

pub use file::{FileJobRepository, FileJobRepositoryOptions, Listing};
pub use memory::InMemoryJobRepository;

use crate::{
    Result,
    error::SystemError,
    model::{JobEvent, JobState, JobStatus},
};

/// Why a record could not be read or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk said no.
    #[error(transparent)]
    System(SystemError),
    /// A record is not a JSON object.
    #[error(transparent)]
    Syntax(serde_json::Error),
    /// An id that is not a plain file name.
    #[error("job id {0:?} must be a plain file name")]
    InvalidId(String),
}

/// Keeps the records of jobs.
///
/// # Contract
/// - `get` and `list` give what was last saved; a job that was never saved, or was deleted, is `None` or missing.
/// - `save` replaces the whole record. It has happened when its future settles without an error.
/// - Deleting what is not there succeeds.
/// - Records given out and taken in are copies: changing one does not change what is stored.
pub trait JobRepository: fmt::Debug {
    /// Stores a record.
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>>;

    /// The record of a job.
    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>>;

    /// All records.
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>>;

    /// Removes a record.
    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>>;

    /// The way to store what happens in a running job one event after the other, without writing the whole record each
    /// time. `None` where there is none: then the record is saved after every event.
    fn journal(&self, id: &str) -> Option<Box<dyn Journal>> {
        let _ = id;
        None
    }

    /// Tells which manager has which job, where several may work on one repository.
    fn managers(&self) -> Option<&dyn Managers> {
        None
    }
}

/// Stores what happens in one running job.
///
/// # Contract
/// - What was stored without an error is part of the record for everybody who reads it, also after a crash.
/// - After an error the next thing to store is the whole record.
pub trait Journal: fmt::Debug {
    /// Stores the whole record.
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>>;

    /// Stores events on top of the record that was saved last.
    fn append(&self, events: Vec<JobEvent>) -> LocalBoxFuture<'_, Result<Appended>>;

    /// What gives back what the journal holds open where it cannot be dropped any more.
    fn release(&self) -> Box<dyn FnOnce()> {
        Box::new(|| ())
    }
}

/// What became of events that were to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// They are stored.
    Stored,
    /// There is nothing to put them on: the whole record has to be saved first.
    NotHere,
    /// The record was deleted, and stays so.
    Deleted,
}

/// Knows the managers that work on one repository, also those of other processes.
///
/// # Contract
/// - A manager is alive from [`Managers::join`] until its membership is dropped or its process dies, whichever way.
/// - Of several that claim a job at once, one gets it.
pub trait Managers: fmt::Debug {
    /// Makes a manager known, whose attempts have names that begin with `marks`. `None` where the file system has no locks to
    /// tell by whether it is alive.
    fn join(&self, marks: &str) -> LocalBoxFuture<'_, Result<Option<Box<dyn Membership>>>>;

    /// Whether the manager of that name is alive.
    fn is_alive<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<bool>>;

    /// Puts the name of a manager into the record of a job that is in one of `states` and that no other manager that is
    /// alive has. Gives whether it did.
    fn claim<'a>(
        &'a self,
        id: &'a str,
        states: &'static [JobState],
        name: &'a str,
    ) -> LocalBoxFuture<'a, Result<bool>>;

    /// Removes the record of a job, unless another manager than that of this name has it and is alive. Gives whether it is gone.
    fn remove<'a>(&'a self, id: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<bool>>;

    /// Asks the manager of that name to stop a job. It is heard within a second.
    fn ask<'a>(&'a self, name: &'a str, request: Request) -> LocalBoxFuture<'a, Result<()>>;

    /// The managers that have died without leaving.
    fn dead(&self) -> LocalBoxFuture<'_, Result<Vec<DeadManager>>>;

    /// Removes what they have left, and what others have that died while they wrote.
    fn forget(&self, dead: Vec<DeadManager>) -> LocalBoxFuture<'_, Result<()>>;
}

/// A manager's being known, until this is dropped.
pub trait Membership: fmt::Debug {
    /// Its name.
    fn name(&self) -> &str;

    /// What others have asked for since this was last called.
    fn asked(&self) -> LocalBoxFuture<'_, Vec<Request>>;

    /// What ends the membership where this cannot be dropped any more. Its work may not have ended: see
    /// [`Managers::dead`].
    fn release(&self) -> Box<dyn FnOnce()>;
}

/// A manager that has died without leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadManager {
    /// Its name.
    pub name: String,
    /// What the names of its attempts begin with, where that is known.
    pub marks: Option<String>,
}

/// What a manager asks of the one that has a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The job.
    pub id: String,
    /// How it shall end.
    pub stop: Stop,
}

/// How an owner ends a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// So that it can be resumed.
    Pause,
    /// For good.
    Cancel,
}

impl Stop {
    /// The request's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    /// The request of the given name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Pause, Self::Cancel].into_iter().find(|stop| stop.as_str() == name)
    }
}
