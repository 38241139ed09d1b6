//! The one writer of a job's record.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use tokio_util::sync::CancellationToken;

use super::FailureSlot;
use crate::{
    Error, Result,
    error::millis,
    model::{EventKind, JobEvent, JobStatus},
    repository::{Appended, JobRepository, Journal},
    task::LocalSpawner,
};

/// Owns the record of a job while it runs. Whatever changes it is applied here, in order; the newest state goes to the
/// repository, never two at a time, each built on the one before. Changes that come during a save go with the next: at
/// eight chunks at once, some share the wait for the disk.
///
/// Where the repository has a journal, events are appended to it. Else, and for every other change, the whole record is
/// saved.
#[derive(Debug)]
pub(super) struct Ledger {
    repository: Rc<dyn JobRepository>,
    journal: Option<Box<dyn Journal>>,
    status: RefCell<JobStatus>,
    /// Events that are part of the status, but not stored yet.
    events: RefCell<Vec<JobEvent>>,
    /// Whether there are changes that the journal cannot hold.
    whole: Cell<bool>,
    /// Counts changes; `saved` is the last one that is stored.
    changed: Cell<u64>,
    saved: Cell<u64>,
    /// The save that is under way. Whoever waits for it takes it further, so that it never matters that one of them,
    /// even who began it, waits no longer: what a repository was given cannot be taken back.
    writing: RefCell<Option<Shared<LocalBoxFuture<'static, ()>>>>,
    /// What the last save failed with, until whoever began it has seen it.
    failed: RefCell<Option<Error>>,
    closed: CancellationToken,
    _at_end: Option<Box<dyn Any>>,
}

impl Ledger {
    /// The ledger of the job with the given record.
    pub(super) fn new(
        repository: Rc<dyn JobRepository>,
        status: JobStatus,
        spawner: &dyn LocalSpawner,
    ) -> Rc<Self> {
        let journal = repository.journal(&status.id);
        let at_end = journal.as_ref().map(|journal| spawner.at_end(journal.release()));
        Rc::new(Self {
            repository,
            journal,
            events: RefCell::default(),
            whole: Cell::new(true),
            status: RefCell::new(status),
            changed: Cell::new(0),
            saved: Cell::new(0),
            writing: RefCell::default(),
            failed: RefCell::default(),
            closed: CancellationToken::new(),
            _at_end: at_end,
        })
    }

    /// Looks at the record as it is now.
    pub(super) fn read<T>(&self, look: impl FnOnce(&JobStatus) -> T) -> T {
        look(&self.status.borrow())
    }

    /// Whether the repository has a journal for the job.
    pub(super) fn is_journaled(&self) -> bool {
        self.journal.is_some()
    }

    /// Changes the record. Nothing happens once the ledger is closed: what was left behind by an abort may still call.
    pub(super) fn apply(&self, change: impl FnOnce(&mut JobStatus)) {
        if self.closed.is_cancelled() {
            return;
        }
        let mut status = self.status.borrow_mut();
        change(&mut status);
        status.updated_at = Some(now_ms());
        self.whole.set(true);
        self.changed.set(self.changed.get() + 1);
    }

    /// Something happens. Once the ledger is closed it does not, either.
    pub(super) fn happen(&self, kind: EventKind) {
        if self.closed.is_cancelled() {
            return;
        }
        let event = JobEvent { at: now_ms(), kind };
        event.apply(&mut self.status.borrow_mut());
        if self.journal.is_some() {
            self.events.borrow_mut().push(event);
        }
        self.changed.set(self.changed.get() + 1);
    }

    /// Something happens that nobody waits for. A journal has it soon, any other repository with the next save.
    pub(super) fn note(
        self: &Rc<Self>,
        kind: EventKind,
        spawner: &dyn LocalSpawner,
        failure: &FailureSlot,
    ) {
        self.happen(kind);
        if self.journal.is_some() && !self.closed.is_cancelled() {
            let (ledger, failure) = (Rc::clone(self), failure.clone());
            spawner.spawn(Box::pin(async move {
                if let Err(error) = ledger.save().await {
                    failure.fail(error);
                }
            }));
        }
    }

    /// No more changes, and no more saves of those that were made.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits until everything applied so far is stored.
    pub(super) async fn save(self: &Rc<Self>) -> Result<()> {
        let wanted = self.changed.get();
        while self.saved.get() < wanted {
            if self.writing.borrow().is_some() {
                self.written().await;
                continue;
            }
            if self.closed.is_cancelled() {
                return Ok(());
            }
            self.failed.take();
            *self.writing.borrow_mut() = Some(Rc::clone(self).write().boxed_local().shared());
            self.written().await;
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for the save that is under way, if there is one.
    pub(super) async fn written(&self) {
        let writing = self.writing.borrow().clone();
        if let Some(writing) = writing {
            writing.await;
        }
    }

    async fn write(self: Rc<Self>) {
        let mut version = self.changed.get();
        let only_events = self.journal.is_some() && !self.whole.get();
        let stored = match self.append().await {
            // Its owner may have deleted it; then it stays so.
            Ok(false) if only_events && !self.look_again().await => Ok(()),
            // What came meanwhile goes with the record.
            Ok(false) => {
                version = self.changed.get();
                self.save_whole().await
            }
            appended => appended.map(drop),
        };
        match stored {
            Ok(()) => self.saved.set(version),
            Err(error) => {
                self.whole.set(true);
                *self.failed.borrow_mut() = Some(error);
            }
        }
        self.writing.take();
    }

    /// Appends the events to the journal, if that is all there is to store. `false` when it is not.
    async fn append(&self) -> Result<bool> {
        let Some(journal) = self.journal.as_ref().filter(|_| !self.whole.get()) else {
            return Ok(false);
        };
        let events = self.events.take();
        Ok(journal.append(events).await? != Appended::NotHere)
    }

    /// Takes over what others have changed in the record besides. `false` when it is gone.
    async fn look_again(&self) -> bool {
        let id = self.read(|status| status.id.clone());
        match self.repository.get(&id).await {
            Ok(Some(record)) => self.status.borrow_mut().rest = record.rest,
            Ok(None) => return false,
            // It is about to be replaced by one that can be read.
            Err(_) => {}
        }
        true
    }

    async fn save_whole(&self) -> Result<()> {
        let snapshot = self.status.borrow().clone();
        self.events.take();
        self.whole.set(false);
        match &self.journal {
            Some(journal) => journal.save(&snapshot).await,
            None => self.repository.save(&snapshot).await,
        }
    }
}

/// The time, in milliseconds since the epoch.
pub(super) fn now_ms() -> f64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
