//! Storages that callers pass in.

use std::{ffi::CStr, rc::Rc};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{
        realm::Realm,
        value::{JsResult, Value},
    },
    UserObject,
};
use crate::{Result, model::JobSpec, storage::ArtifactStorage};

/// A storage of the caller's.
#[derive(Debug)]
pub(in super::super) struct UserStorage(UserObject);

impl UserStorage {
    /// The storage that `value` is.
    pub(in super::super) fn shared(
        realm: &Rc<Realm>,
        value: Value,
    ) -> Result<Rc<dyn ArtifactStorage>> {
        Ok(Rc::new(Self(UserObject::new(realm, value)?)))
    }

    fn strings(&self, texts: [&str; 2]) -> [Value; 2] {
        texts.map(|text| self.0.realm.state.js.string(text))
    }

    async fn delete(&self, method: &CStr, job_id: &str, url: &str) -> Result<()> {
        self.0.invoke(method, &self.strings([job_id, url]), |_, _| Ok(())).await
    }
}

fn url(realm: &Rc<Realm>, value: Value) -> JsResult<String> {
    realm.state.js.to_text(value)
}

impl ArtifactStorage for UserStorage {
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move { self.0.invoke(c"uploadAssetBundle", &self.strings([job_id, local_dir]), url).await }.boxed_local()
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.delete(c"deleteAssetBundle", job_id, url).boxed_local()
    }

    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let arguments = [self.0.realm.state.js.string(job_id), self.0.realm.spec_value(spec)?];
            self.0.invoke(c"uploadJobSpec", &arguments, url).await
        }
        .boxed_local()
    }

    fn delete_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.delete(c"deleteJobSpec", job_id, url).boxed_local()
    }
}
