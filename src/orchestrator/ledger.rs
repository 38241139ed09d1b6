//! The one writer of a job's record.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{FailureSlot, LocalSpawner};
use crate::{Error, Result, error::millis, model::JobStatus, repository::JobRepository};

/// Snapshots may take one part in so many of the time, however large they grow: writing then costs time in proportion
/// to how long the job runs, not to the square of its chunks.
const WRITING_SHARE: u32 = 10;

/// Owns the record of a job while it runs. Whatever changes it is applied here, in order; the newest state goes to the
/// repository, never two at a time, each built on the one before. Changes that come during a save go with the next.
#[derive(Debug)]
pub(super) struct Ledger {
    repository: Rc<dyn JobRepository>,
    status: RefCell<JobStatus>,
    /// Counts changes; `saved` is the last one that is stored.
    changed: Cell<u64>,
    saved: Cell<u64>,
    /// The save that is under way. Whoever waits for it takes it further, so that it never matters that one of them,
    /// even who began it, waits no longer: what a repository was given cannot be taken back.
    writing: RefCell<Option<Shared<LocalBoxFuture<'static, ()>>>>,
    /// What the last save failed with, until whoever began it has seen it.
    failed: RefCell<Option<Error>>,
    /// A save is on its way for changes that may be behind.
    scheduled: Cell<bool>,
    last_write: Cell<(Instant, Duration)>,
    closed: CancellationToken,
}

impl Ledger {
    /// The ledger of the job with the given record.
    pub(super) fn new(repository: Rc<dyn JobRepository>, status: JobStatus) -> Rc<Self> {
        Rc::new(Self {
            repository,
            status: RefCell::new(status),
            changed: Cell::new(0),
            saved: Cell::new(0),
            writing: RefCell::default(),
            failed: RefCell::default(),
            scheduled: Cell::new(false),
            last_write: Cell::new((Instant::now(), Duration::ZERO)),
            closed: CancellationToken::new(),
        })
    }

    /// Looks at the record as it is now.
    pub(super) fn read<T>(&self, look: impl FnOnce(&JobStatus) -> T) -> T {
        look(&self.status.borrow())
    }

    /// Changes the record. Nothing happens once the ledger is closed: what was left behind by an abort may still call.
    pub(super) fn apply(&self, change: impl FnOnce(&mut JobStatus)) {
        if self.closed.is_cancelled() {
            return;
        }
        let mut status = self.status.borrow_mut();
        change(&mut status);
        status.updated_at = Some(now_ms());
        self.changed.set(self.changed.get() + 1);
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
        let (snapshot, version) = (self.status.borrow().clone(), self.changed.get());
        let started = Instant::now();
        match self.repository.save(&snapshot).await {
            Ok(()) => {
                self.last_write.set((Instant::now(), started.elapsed()));
                self.saved.set(version);
            }
            Err(error) => *self.failed.borrow_mut() = Some(error),
        }
        self.writing.take();
    }

    /// Stores what was applied so far: at once, or soon when the repository allows to be behind.
    pub(super) async fn record(
        self: &Rc<Self>,
        spawner: &dyn LocalSpawner,
        failure: &FailureSlot,
    ) -> Result<()> {
        let Some(pace) = self.repository.pace() else { return self.save().await };
        if !self.scheduled.replace(true) {
            let (ledger, failure) = (Rc::clone(self), failure.clone());
            spawner.spawn(Box::pin(async move {
                if let Err(error) = ledger.save_behind(pace).await {
                    failure.fail(error);
                }
                ledger.scheduled.set(false);
            }));
        }
        Ok(())
    }

    /// Stores at its pace what was applied, until there is nothing new or nothing more to come.
    async fn save_behind(self: &Rc<Self>, pace: Duration) -> Result<()> {
        while self.saved.get() < self.changed.get() {
            let (last, took) = self.last_write.get();
            let due = sleep_until(last + pace.max(took * WRITING_SHARE));
            if self.closed.run_until_cancelled(due).await.is_none() {
                return Ok(());
            }
            self.save().await?;
        }
        Ok(())
    }
}

/// The time, in milliseconds since the epoch.
pub(super) fn now_ms() -> f64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
