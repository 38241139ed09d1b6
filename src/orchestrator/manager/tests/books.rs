//! The repository that a manager under test writes to.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    ops::Deref,
};

use super::*;
use crate::{
    model::JobEvent,
    repository::{Appended, InMemoryJobRepository, Journal},
};

/// A repository in memory that may be slow, and may have journals.
#[derive(Debug)]
pub(super) struct Repository {
    books: Rc<Books>,
    pub(super) journals: Cell<bool>,
}

impl Repository {
    /// An empty one, in a world.
    pub(super) fn new(world: &Rc<World>) -> Self {
        let books = Rc::new(Books {
            world: Rc::clone(world),
            records: InMemoryJobRepository::default(),
            saves: RefCell::default(),
            appended: Cell::default(),
            overtaken: Cell::default(),
            saving: RefCell::default(),
            slow: Cell::default(),
        });
        Self { books, journals: Cell::default() }
    }
}

impl Deref for Repository {
    type Target = Books;

    fn deref(&self) -> &Books {
        &self.books
    }
}

/// What a repository has.
#[derive(Debug)]
pub(super) struct Books {
    world: Rc<World>,
    pub(super) records: InMemoryJobRepository,
    /// All that was asked to be saved.
    pub(super) saves: RefCell<Vec<JobStatus>>,
    /// How many events were appended.
    pub(super) appended: Cell<usize>,
    /// How many times the next events find nothing to be put on.
    pub(super) overtaken: Cell<usize>,
    saving: RefCell<HashSet<String>>,
    pub(super) slow: Cell<Duration>,
}

impl Books {
    /// The record of a job, as it is stored.
    pub(super) fn record(&self, id: &str) -> Option<JobStatus> {
        self.records.get(id).now_or_never().unwrap().unwrap()
    }

    /// Stores a record behind the manager's back.
    pub(super) fn put(&self, status: &JobStatus) {
        self.records.save(status).now_or_never().unwrap().unwrap();
    }

    /// Deletes a record behind the manager's back.
    pub(super) fn lose(&self, id: &str) {
        self.records.delete(id).now_or_never().unwrap().unwrap();
    }

    async fn store(&self, job: &JobStatus) -> Result<()> {
        self.saves.borrow_mut().push(job.clone());
        let state = job.state.map_or("?", JobState::as_str);
        let point = format!("save {state} {}", job.completed_chunks.unwrap_or_default());
        self.world.pass(point).await?;
        if !self.slow.get().is_zero() {
            sleep(self.slow.get()).await;
        }
        self.records.save(job).await?;
        self.world.stirred.notify_waiters();
        Ok(())
    }

    async fn put_down(&self, id: &str, events: Vec<JobEvent>) -> Result<Appended> {
        self.world.pass(format!("append {}", events.len())).await?;
        if !self.slow.get().is_zero() {
            sleep(self.slow.get()).await;
        }
        if self.overtaken.get() > 0 {
            self.overtaken.set(self.overtaken.get() - 1);
            return Ok(Appended::NotHere);
        }
        let Some(mut record) = self.record(id) else { return Ok(Appended::Deleted) };
        self.appended.set(self.appended.get() + events.len());
        for event in events {
            event.apply(&mut record);
        }
        self.put(&record);
        self.world.stirred.notify_waiters();
        Ok(Appended::Stored)
    }

    /// One at a time.
    async fn alone<T>(&self, id: &str, work: impl Future<Output = T>) -> T {
        if !self.saving.borrow_mut().insert(id.to_owned()) {
            self.world.overlapped.set(true);
        }
        let done = work.await;
        self.saving.borrow_mut().remove(id);
        done
    }
}

#[derive(Debug)]
struct Scribe {
    books: Rc<Books>,
    id: String,
}

impl Journal for Scribe {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        self.books.alone(&self.id, self.books.store(job)).boxed_local()
    }

    fn append(&self, events: Vec<JobEvent>) -> LocalBoxFuture<'_, Result<Appended>> {
        self.books.alone(&self.id, self.books.put_down(&self.id, events)).boxed_local()
    }
}

impl JobRepository for Repository {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        self.alone(&job.id, self.store(job)).boxed_local()
    }

    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>> {
        async move {
            self.world.pass("get".to_owned()).await?;
            self.records.get(id).await
        }
        .boxed_local()
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>> {
        self.records.list()
    }

    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            self.world.pass("delete record".to_owned()).await?;
            self.records.delete(id).await
        }
        .boxed_local()
    }

    fn journal(&self, id: &str) -> Option<Box<dyn Journal>> {
        let scribe = || Scribe { books: Rc::clone(&self.books), id: id.to_owned() };
        self.journals.get().then(|| Box::new(scribe()) as _)
    }
}
