//! `FileJobRepository`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{
        realm::{Realm, RealmConsole},
        reference::JsRef,
        state::yield_to_event_loop,
        text::JsText,
        value::Value,
    },
    answer, argument, constructing, string, thrown,
};
use crate::{
    Error, Result,
    console::Console,
    model::Text,
    repository::{
        FileJobRepository as CoreFileJobRepository, FileJobRepositoryOptions, JobRepository,
        Listing,
    },
    task,
};

/// How much JSON is parsed at once, in half a millisecond.
const BATCH: usize = 64 * 1024;

/// Keeps each job as a file `${id}.json` in a folder, in the format of `JSON.stringify(job, null, 2)`.
///
/// Saves are atomic: a reader, a crash or a full disk at any moment sees the old record or the new one.
#[napi]
#[derive(Debug)]
pub struct FileJobRepository {
    pub(in super::super) core: CoreFileJobRepository,
    realm: Rc<Realm>,
}

#[napi]
impl FileJobRepository {
    /// Makes a repository in `storageDir`, which is made on the first save. With `{fsync: false}` saves are quicker and
    /// survive a crash of the process, but not a power cut.
    #[napi(constructor, ts_args_type = "storageDir: string, options?: FileJobRepositoryOptions")]
    pub fn new(
        env: Env,
        this: This<'_>,
        storage_dir: Unknown<'_>,
        options: Unknown<'_>,
    ) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"FileJobRepository")?;
        Self::make(&realm, argument(&storage_dir), argument(&options))
            .map_err(|error| thrown(&realm, &error))
    }

    fn make(realm: &Rc<Realm>, folder: Value, options: Value) -> Result<Self> {
        let js = realm.state.js;
        let folder =
            js.as_string(folder).ok_or_else(|| Error::invalid("storageDir", "a string"))?;
        let fsync = if js.is_nothing(options) {
            None
        } else {
            realm.caught(js.get_some(options, c"fsync"))?
        };
        let options =
            FileJobRepositoryOptions { fsync: fsync.is_none_or(|fsync| js.truthy(fsync)) };
        Ok(Self { core: CoreFileJobRepository::new(folder, options), realm: Rc::clone(realm) })
    }

    /// Stores a record. Rejects with a `TypeError` when `job.id` is no plain file name or `job` has no JSON form, and
    /// with Node's own error when the disk says no; what was saved before is then still there.
    #[napi(enumerable = false, ts_args_type = "job: JobStatus", ts_return_type = "Promise<void>")]
    pub fn save<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let (id, job) = (read_job_id(realm, argument(&job))?, argument(&job));
            let text = realm
                .caught(realm.stringify(job))?
                .ok_or_else(|| Error::invalid("job", "an object with a JSON form"))?;
            let core = self.core.clone();
            let work = async move { Ok(core.save_json(&id, text).await?) };
            Ok(realm.promise_of_nothing(work))
        })
    }

    /// The record of a job, or undefined. Rejects with a `SyntaxError` when its file is broken.
    #[napi(
        enumerable = false,
        ts_args_type = "id: string",
        ts_return_type = "Promise<JobStatus | undefined>"
    )]
    pub fn get<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let id = string(realm, &id, "id")?;
            // Reads that never leave the thread must not keep the event loop from everything else.
            let overdue = realm.state.turn.is_overdue();
            let cached = if overdue { None } else { self.core.read_cached(&id) };
            if let Some(record) = cached {
                return Ok(realm
                    .settled(record.map_err(Error::from).and_then(|record| parse(realm, record))));
            }
            let (core, realm) = (self.core.clone(), Rc::clone(realm));
            let of = Rc::clone(&realm);
            let work = async move {
                let record = core.read(&id).await?;
                of.caught(JsRef::new(&of.state, parse(&of, record)?))
            };
            Ok(realm.promise(work, |_, record| Ok(record.get())))
        })
    }

    /// All records, the oldest job first. Files that are no records are left out with a warning.
    #[napi(enumerable = false, ts_return_type = "Promise<Array<JobStatus>>")]
    pub fn list<'env>(&self) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let (core, of) = (self.core.clone(), Rc::clone(realm));
            let work = async move { list(&of, core.read_all().await?).await };
            Ok(realm.promise(work, |_, records| Ok(records.get())))
        })
    }

    /// Removes the record of a job, if there is one.
    #[napi(enumerable = false, ts_args_type = "id: string", ts_return_type = "Promise<void>")]
    pub fn delete<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let id = string(realm, &id, "id")?;
            let core = self.core.clone();
            let work = async move { core.delete(&id).await };
            Ok(realm.promise_of_nothing(work))
        })
    }
}

/// The id of a record that is to be saved.
pub(super) fn read_job_id(realm: &Realm, job: Value) -> Result<String> {
    let js = realm.state.js;
    if !js.is_object(job) {
        return Err(Error::invalid("job", "an object"));
    }
    let id = realm.caught(js.get(job, c"id"))?;
    js.as_string(id).ok_or_else(|| Error::invalid("job.id", "a string"))
}

fn parse(realm: &Realm, record: Option<Vec<u8>>) -> Result<Value> {
    let Some(bytes) = record else { return Ok(realm.state.js.undefined()) };
    let text = JsText::new(&Text::decode(bytes)).into_value(realm.state.js)?;
    realm.caught(realm.parse(text))
}

/// Parses records some at a time, so that the event loop can do other things between.
async fn list(realm: &Rc<Realm>, listing: Listing) -> Result<JsRef> {
    let console = RealmConsole(Rc::clone(realm));
    for (path, message) in &listing.failures {
        console.warn_with(&format!("Failed to read job file {}:", path.display()), message);
    }
    let batches = task::blocking(move || batches(&listing)).await;
    let records =
        realm.parse_json("[]").and_then(|list| realm.caught(JsRef::new(&realm.state, list)))?;
    for (index, batch) in batches.into_iter().enumerate() {
        if index > 0 && realm.state.turn.is_overdue() {
            yield_to_event_loop(&realm.state).await;
        }
        let batch = batch.into_value(realm.state.js)?;
        let batch = realm.caught(realm.parse(batch))?;
        realm.caught(realm.glue(c"append", &[records.get(), batch]))?;
    }
    Ok(records)
}

fn batches(listing: &Listing) -> Vec<JsText> {
    let mut batches = Vec::new();
    let mut batch = String::new();
    let mut flush = |batch: &mut String| {
        if !batch.is_empty() {
            batch.push(']');
            batches.push(JsText::new(&std::mem::take(batch).into()));
        }
    };
    for record in listing.records() {
        batch.push(if batch.is_empty() { '[' } else { ',' });
        batch.push_str(record);
        if batch.len() > BATCH {
            flush(&mut batch);
        }
    }
    flush(&mut batch);
    batches
}
