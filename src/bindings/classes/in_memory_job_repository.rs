//! `InMemoryJobRepository`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{convert::foreign, js::MemoryRepository, realm::Realm, reference::JsRef, value::Value},
    answer, argument, constructing,
    file_job_repository::read_job_id,
    string,
};
use crate::{
    Result,
    model::{JobStatus, Rest},
    repository::JobRepository,
};

/// Keeps jobs in memory, as deep copies; what cannot be copied (functions, for example) is kept as it is.
#[napi]
#[derive(Debug)]
pub struct InMemoryJobRepository {
    pub(in super::super) core: MemoryRepository,
}

#[napi]
impl InMemoryJobRepository {
    /// Makes an empty repository.
    #[napi(constructor)]
    pub fn new(env: Env, this: This<'_>) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"InMemoryJobRepository")?;
        Ok(Self { core: MemoryRepository { realm, records: Rc::default() } })
    }

    /// Stores a copy of a record.
    #[napi(enumerable = false, ts_args_type = "job: JobStatus", ts_return_type = "Promise<void>")]
    pub fn save<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        answer(&self.core.realm, |realm| {
            let (id, job) = (read_job_id(realm, argument(&job))?, argument(&job));
            let copy = realm.caught(
                realm.glue(c"clone", &[job]).and_then(|copy| JsRef::new(&realm.state, copy)),
            )?;
            let core = self.core.clone();
            let work = async move {
                core.save(&JobStatus {
                    id,
                    rest: Rest::Foreign(Rc::new(copy)),
                    ..JobStatus::default()
                })
                .await
            };
            Ok(realm.promise_of_nothing(work))
        })
    }

    /// A copy of the record of a job, or undefined.
    #[napi(
        enumerable = false,
        ts_args_type = "id: string",
        ts_return_type = "Promise<JobStatus | undefined>"
    )]
    pub fn get<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        answer(&self.core.realm, |realm| {
            let id = string(realm, &id, "id")?;
            let core = self.core.clone();
            let work = async move {
                match core.records.get(&id).await? {
                    Some(status) => copy(&core.realm, &status).await.map(Some),
                    None => Ok(None),
                }
            };
            Ok(realm.promise(work, |realm, record: Option<JsRef>| {
                Ok(record.map_or_else(|| realm.state.js.undefined(), |record| record.get()))
            }))
        })
    }

    /// Copies of all records, in the order in which they were first saved.
    #[napi(enumerable = false, ts_return_type = "Promise<Array<JobStatus>>")]
    pub fn list<'env>(&self) -> Unknown<'env> {
        answer(&self.core.realm, |realm| {
            let core = self.core.clone();
            let work = async move {
                let mut records: Vec<JsRef> = Vec::new();
                for status in core.records.list().await? {
                    records.push(copy(&core.realm, &status).await?);
                }
                Ok(records)
            };
            Ok(realm
                .promise(work, |realm, records| realm.new_array(records.iter().map(JsRef::get))))
        })
    }

    /// Removes the record of a job, if there is one.
    #[napi(enumerable = false, ts_args_type = "id: string", ts_return_type = "Promise<void>")]
    pub fn delete<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        answer(&self.core.realm, |realm| {
            let id = string(realm, &id, "id")?;
            let core = self.core.clone();
            let work = async move { core.delete(&id).await };
            Ok(realm.promise_of_nothing(work))
        })
    }
}

/// A copy that shares nothing with what is stored.
async fn copy(realm: &Rc<Realm>, status: &JobStatus) -> Result<JsRef> {
    let record: Value = match foreign(&status.rest) {
        // As a caller saved it: nothing of ours is on it.
        Some(object) if status.state.is_none() => object.get(),
        _ => realm.status_value(status).await?,
    };
    realm.caught(realm.glue(c"clone", &[record]).and_then(|copy| JsRef::new(&realm.state, copy)))
}
