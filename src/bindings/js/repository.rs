//! Repositories that callers pass in.

use std::rc::Rc;

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{
        classes::{FileJobRepository, InMemoryJobRepository},
        convert::foreign,
        pristine::instance,
        realm::Realm,
        reference::JsRef,
        value::{JsResult, Value},
    },
    UserObject,
};
use crate::{
    Error, Result,
    model::JobStatus,
    repository::{
        FileJobRepository as CoreFileJobRepository,
        InMemoryJobRepository as CoreInMemoryJobRepository, JobRepository, Journal, Managers,
    },
};

/// A repository of the caller's, or one of ours.
#[derive(Debug)]
pub(in super::super) struct UserRepository {
    user: UserObject,
    native: Native,
}

#[derive(Debug)]
enum Native {
    File(CoreFileJobRepository),
    Memory(MemoryRepository),
    None,
}

impl UserRepository {
    /// The repository that `value` is.
    pub(in super::super) fn shared(realm: &Rc<Realm>, value: Value) -> Result<Rc<Self>> {
        let state = &realm.state;
        let native = if let Some(file) = instance::<FileJobRepository>(state, value) {
            Native::File(file.core.clone())
        } else if let Some(memory) = instance::<InMemoryJobRepository>(state, value) {
            Native::Memory(memory.core.clone())
        } else {
            Native::None
        };
        Ok(Rc::new(Self { user: UserObject::new(realm, value)?, native }))
    }

    /// The repository of ours that this is, if it behaves like one.
    fn native(&self) -> Option<&dyn JobRepository> {
        match &self.native {
            Native::File(file) if self.user.is_pristine(c"FileJobRepository") => Some(file),
            Native::Memory(memory) if self.user.is_pristine(c"InMemoryJobRepository") => {
                Some(memory)
            }
            _ => None,
        }
    }

    /// `repository.get(id)` or `repository.list()`: whatever it gives.
    pub(in super::super) fn ask(
        &self,
        method: &std::ffi::CStr,
        arguments: &[Value],
    ) -> Result<impl Future<Output = Result<JsRef>> + use<>> {
        self.user.start(method, arguments, keep)
    }

    async fn call_save(&self, job: &JobStatus) -> Result<()> {
        let record = self.user.realm.status_value(job).await?;
        self.user.invoke(c"save", &[record], |_, _| Ok(())).await
    }

    async fn call_get(&self, id: &str) -> Result<Option<JobStatus>> {
        let realm = &self.user.realm;
        let record = self.user.invoke(c"get", &[realm.state.js.string(id)], keep).await?.get();
        if realm.state.js.is_nothing(record) {
            Ok(None)
        } else {
            realm.read_status(id, record).map(Some)
        }
    }

    async fn call_list(&self) -> Result<Vec<JobStatus>> {
        let (realm, js) = (&self.user.realm, self.user.realm.state.js);
        let list = self.user.invoke(c"list", &[], keep).await?.get();
        if !js.is_array(list) {
            return Err(Error::invalid("the result of list", "an array"));
        }
        let record = |index| {
            let record = realm.caught(js.element(list, index))?;
            let id = realm.caught(js.get(record, c"id"))?;
            realm.read_status(&js.as_string(id).unwrap_or_default(), record)
        };
        (0..realm.caught(js.len(list))?).map(record).collect()
    }

    async fn call_delete(&self, id: &str) -> Result<()> {
        self.user.invoke(c"delete", &[self.user.realm.state.js.string(id)], |_, _| Ok(())).await
    }
}

fn keep(realm: &Rc<Realm>, value: Value) -> JsResult<JsRef> {
    JsRef::new(&realm.state, value)
}

impl JobRepository for UserRepository {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        self.native().map_or_else(|| self.call_save(job).boxed_local(), |native| native.save(job))
    }

    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>> {
        self.native().map_or_else(|| self.call_get(id).boxed_local(), |native| native.get(id))
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>> {
        self.native().map_or_else(|| self.call_list().boxed_local(), JobRepository::list)
    }

    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        self.native().map_or_else(|| self.call_delete(id).boxed_local(), |native| native.delete(id))
    }

    fn journal(&self, id: &str) -> Option<Box<dyn Journal>> {
        self.native()?.journal(id)
    }

    fn managers(&self) -> Option<&dyn Managers> {
        self.native()?.managers()
    }
}

/// The records of an `InMemoryJobRepository`: those a manager saved, and objects that callers saved themselves, which
/// are looked into only when a manager asks.
#[derive(Clone, Debug)]
pub(in super::super) struct MemoryRepository {
    pub(in super::super) realm: Rc<Realm>,
    pub(in super::super) records: Rc<CoreInMemoryJobRepository>,
}

impl MemoryRepository {
    fn opened(&self, status: JobStatus) -> Result<JobStatus> {
        match foreign(&status.rest) {
            Some(object) if status.state.is_none() => {
                self.realm.read_status(&status.id, object.get())
            }
            _ => Ok(status),
        }
    }
}

impl JobRepository for MemoryRepository {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            // Files keep a job as text; here its owner may go on with his object.
            let spec = job.spec.as_ref().map(|spec| self.realm.spec_copy(spec)).transpose()?;
            self.records.save(&JobStatus { spec, ..job.clone() }).await
        }
        .boxed_local()
    }

    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>> {
        async move { self.records.get(id).await?.map(|status| self.opened(status)).transpose() }
            .boxed_local()
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>> {
        async move { self.records.list().await?.into_iter().map(|status| self.opened(status)).collect() }.boxed_local()
    }

    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        self.records.delete(id)
    }
}
