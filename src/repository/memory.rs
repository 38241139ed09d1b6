//! Keeps records in memory, for tests and for jobs nobody needs to find again.

use std::cell::RefCell;

use futures_util::{FutureExt, future::LocalBoxFuture};
use indexmap::IndexMap;

use super::JobRepository;
use crate::{Result, model::JobStatus};

/// A repository that is gone with its process.
#[derive(Debug, Default)]
pub struct InMemoryJobRepository {
    jobs: RefCell<IndexMap<String, JobStatus>>,
}

impl JobRepository for InMemoryJobRepository {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        self.jobs.borrow_mut().insert(job.id.clone(), job.clone());
        std::future::ready(Ok(())).boxed_local()
    }

    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>> {
        let job = self.jobs.borrow().get(id).cloned();
        std::future::ready(Ok(job)).boxed_local()
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>> {
        let jobs = self.jobs.borrow().values().cloned().collect();
        std::future::ready(Ok(jobs)).boxed_local()
    }

    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        self.jobs.borrow_mut().shift_remove(id);
        std::future::ready(Ok(())).boxed_local()
    }
}
