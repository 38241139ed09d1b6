//! Storages that callers pass in.

use std::{ffi::CStr, rc::Rc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "gcp")]
use super::super::classes::GcsStorageAdapter;
#[cfg(feature = "aws")]
use super::super::classes::{R2StorageAdapter, S3StorageAdapter};
use super::{
    super::{
        classes::LocalStorageAdapter,
        pristine::instance,
        realm::Realm,
        reference::JsRef,
        state::State,
        value::{JsResult, Type, Value},
    },
    UserObject,
};
use crate::{
    Result,
    model::{ChunkId, JobSpec},
    storage::{ArtifactStorage, Exchange, Exclusions},
};

/// A storage of the caller's, or one of ours.
#[derive(Debug)]
pub(in super::super) struct UserStorage {
    user: UserObject,
    native: Option<Native>,
}

/// A storage of ours, and its class.
type Native = (&'static CStr, Rc<dyn ArtifactStorage>);

/// The storage of ours that `value` is, if it is one.
fn native(state: &State, value: Value) -> Option<Native> {
    macro_rules! look_for {
        ($class:ident, $name:literal) => {
            if let Some(found) = instance::<$class>(state, value) {
                return Some(($name, Rc::clone(&found.storage.core)));
            }
        };
    }
    look_for!(LocalStorageAdapter, c"LocalStorageAdapter");
    #[cfg(feature = "aws")]
    {
        look_for!(S3StorageAdapter, c"S3StorageAdapter");
        look_for!(R2StorageAdapter, c"R2StorageAdapter");
    }
    #[cfg(feature = "gcp")]
    look_for!(GcsStorageAdapter, c"GcsStorageAdapter");
    None
}

impl UserStorage {
    /// The storage that `value` is.
    pub(in super::super) fn shared(
        realm: &Rc<Realm>,
        value: Value,
    ) -> Result<Rc<dyn ArtifactStorage>> {
        let native = native(&realm.state, value);
        Ok(Rc::new(Self { user: UserObject::new(realm, value)?, native }))
    }

    /// The storage of ours that this is, if it behaves like one.
    fn native(&self) -> Option<&dyn ArtifactStorage> {
        let (class, native) = self.native.as_ref()?;
        self.user.is_pristine(class).then_some(&**native)
    }

    fn strings<const N: usize>(&self, texts: [&str; N]) -> [Value; N] {
        texts.map(|text| self.user.realm.state.js.string(text))
    }

    async fn act<const N: usize>(&self, method: &CStr, texts: [&str; N]) -> Result<()> {
        self.user.invoke(method, &self.strings(texts), |_, _| Ok(())).await
    }

    async fn call_upload_bundle(&self, job_id: &str, local_dir: &str) -> Result<String> {
        self.user.invoke(c"uploadAssetBundle", &self.strings([job_id, local_dir]), url).await
    }

    async fn call_upload_spec(&self, job_id: &str, spec: &JobSpec) -> Result<String> {
        let realm = &self.user.realm;
        let arguments = [realm.state.js.string(job_id), realm.spec_value(spec)?];
        self.user.invoke(c"uploadJobSpec", &arguments, url).await
    }

    async fn call_download_spec(&self, job_id: &str, url: &str) -> Result<JobSpec> {
        let arguments = self.strings([job_id, url]);
        let keep = |realm: &Rc<Realm>, value| JsRef::new(&realm.state, value);
        let spec = self.user.invoke(c"downloadJobSpec", &arguments, keep).await?;
        self.user.realm.read_spec(spec.get(), "the result of downloadJobSpec")
    }

    async fn call_upload_output(&self, job_id: &str, chunk: ChunkId, file: &str) -> Result<String> {
        let js = self.user.realm.state.js;
        let arguments = [js.string(job_id), js.number(chunk.get()), js.string(file)];
        self.user.invoke(c"uploadChunkOutput", &arguments, url).await
    }

    /// Whether it has a method that it need not have.
    fn offers(&self, method: &CStr) -> bool {
        let js = self.user.realm.state.js;
        js.get(self.user.object.get(), method)
            .is_ok_and(|value| js.type_of(value) == Type::Function)
    }

    async fn call_mark(&self, spec_url: &str, chunk: ChunkId) -> Result<()> {
        if !self.offers(c"markCancelled") {
            return Ok(());
        }
        let js = self.user.realm.state.js;
        let arguments = [js.string(spec_url), js.number(chunk.get())];
        self.user.invoke(c"markCancelled", &arguments, |_, _| Ok(())).await
    }

    async fn call_cancel_mark(&self, spec_url: &str, chunk: ChunkId) -> Result<Option<String>> {
        if !self.offers(c"cancelMark") {
            return Ok(None);
        }
        let js = self.user.realm.state.js;
        let arguments = [js.string(spec_url), js.number(chunk.get())];
        let mark = |realm: &Rc<Realm>, value| {
            let js = realm.state.js;
            if js.is_nothing(value) { Ok(None) } else { js.to_text(value).map(Some) }
        };
        self.user.invoke(c"cancelMark", &arguments, mark).await
    }
}

/// The URL that a method gave; empty where it gave none.
fn url(realm: &Rc<Realm>, value: Value) -> JsResult<String> {
    let js = realm.state.js;
    if js.is_nothing(value) { Ok(String::new()) } else { js.to_text(value) }
}

impl ArtifactStorage for UserStorage {
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
        exclusions: &'a Exclusions,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        match self.native() {
            Some(native) => native.upload_asset_bundle(job_id, local_dir, exclusions, cancel),
            None => self.call_upload_bundle(job_id, local_dir).boxed_local(),
        }
    }

    fn download_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        match self.native() {
            Some(native) => native.download_asset_bundle(job_id, url, target_dir),
            None => self.act(c"downloadAssetBundle", [job_id, url, target_dir]).boxed_local(),
        }
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        match self.native() {
            Some(native) => native.delete_asset_bundle(job_id, url),
            None => self.act(c"deleteAssetBundle", [job_id, url]).boxed_local(),
        }
    }

    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        match self.native() {
            Some(native) => native.upload_job_spec(job_id, spec),
            None => self.call_upload_spec(job_id, spec).boxed_local(),
        }
    }

    fn download_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        match self.native() {
            Some(native) => native.download_job_spec(job_id, url),
            None => self.call_download_spec(job_id, url).boxed_local(),
        }
    }

    fn delete_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        match self.native() {
            Some(native) => native.delete_job_spec(job_id, url),
            None => self.act(c"deleteJobSpec", [job_id, url]).boxed_local(),
        }
    }

    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        chunk: ChunkId,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        match self.native() {
            Some(native) => native.upload_chunk_output(job_id, chunk, local_file),
            None => self.call_upload_output(job_id, chunk, local_file).boxed_local(),
        }
    }

    fn download_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        match self.native() {
            Some(native) => native.download_chunk_output(job_id, url, local_file),
            None => self.act(c"downloadChunkOutput", [job_id, url, local_file]).boxed_local(),
        }
    }

    fn keeps_outputs(&self) -> bool {
        self.native().is_some() || self.offers(c"uploadChunkOutput")
    }

    fn mark_cancelled<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<()>> {
        match self.native() {
            Some(native) => native.mark_cancelled(spec_url, chunk),
            None => self.call_mark(spec_url, chunk).boxed_local(),
        }
    }

    fn exchange<'a>(
        &'a self,
        name: &'a str,
        expires: Duration,
    ) -> LocalBoxFuture<'a, Result<Option<Exchange>>> {
        match self.native() {
            Some(native) => native.exchange(name, expires),
            None => std::future::ready(Ok(None)).boxed_local(),
        }
    }

    fn cancel_mark<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<Option<String>>> {
        match self.native() {
            Some(native) => native.cancel_mark(spec_url, chunk),
            None => self.call_cancel_mark(spec_url, chunk).boxed_local(),
        }
    }
}
