//! The `fetch` of a realm.

use std::rc::Rc;

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        abort::AbortTwin,
        promise::Settled,
        realm::Realm,
        reference::JsRef,
        value::{JsResult, Value},
    },
    UserObject,
};
use crate::{
    Result,
    model::JobSpec,
    worker::{self, SpecClient},
};

/// Fetches definitions with the `fetch` that the caller's own code sees, looked up when it is called.
#[derive(Debug)]
pub(in super::super) struct RealmFetch {
    realm: Rc<Realm>,
    /// Whether redirects are followed. Where only some URLs are let in, they must not lead elsewhere.
    follows: bool,
    /// Whether there is anybody who ends a run before its time.
    ends_early: bool,
}

impl RealmFetch {
    /// For a runtime that nobody ends: `fetch(url)`, with nothing else.
    pub(in super::super) fn plain(realm: &Rc<Realm>) -> Rc<Self> {
        Rc::new(Self { realm: Rc::clone(realm), follows: true, ends_early: false })
    }

    /// For runs that end early: `fetch(url, { signal })`.
    pub(in super::super) fn ending(realm: &Rc<Realm>, follows: bool) -> Rc<Self> {
        Rc::new(Self { realm: Rc::clone(realm), follows, ends_early: true })
    }

    async fn get(&self, url: &str, cancel: &CancellationToken) -> Result<JobSpec> {
        let (realm, js) = (&self.realm, self.realm.state.js);
        let global = UserObject::new(realm, realm.global())?;
        let twin = if self.ends_early {
            Some(realm.caught(AbortTwin::new(realm, cancel.clone()))?)
        } else {
            None
        };
        let response: Settled<Result<Reply>> = {
            let url = js.string(url);
            let options = twin.as_ref().map(|twin| {
                let redirect = if self.follows { js.undefined() } else { js.string("error") };
                realm.caught(realm.glue(c"request", &[twin.signal.get(), redirect]))
            });
            match options {
                Some(options) => global.start(c"fetch", &[url, options?], read_reply)?,
                None => global.start(c"fetch", &[url], read_reply)?,
            }
        };
        match response.await? {
            Reply::Refused(status) => Err(worker::Error::NotFetched(status).into()),
            Reply::Given(response) => {
                let keep = |realm: &Rc<Realm>, value| JsRef::new(&realm.state, value);
                let spec = response.invoke(c"json", &[], keep).await?;
                realm.read_fetched_spec(spec.get())
            }
        }
    }
}

/// The answer to a request.
enum Reply {
    Given(UserObject),
    Refused(String),
}

fn read_reply(realm: &Rc<Realm>, response: Value) -> JsResult<Reply> {
    let js = realm.state.js;
    if js.truthy(js.get(response, c"ok")?) {
        let object = JsRef::new(&realm.state, response)?;
        return Ok(Reply::Given(UserObject { realm: Rc::clone(realm), object }));
    }
    Ok(Reply::Refused(js.to_text(js.get(response, c"statusText")?)?))
}

impl SpecClient for RealmFetch {
    fn fetch<'a>(
        &'a self,
        url: &'a str,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        self.get(url, cancel).boxed_local()
    }
}
