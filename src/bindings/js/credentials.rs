//! Functions of callers that give credentials.

use std::{
    fmt,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::super::{
    hub::Hub,
    realm::Realm,
    reference::{JsBound, JsRef},
    value::Value,
};
use crate::{
    Error, Result,
    cloud::aws::{Credentials, CredentialsError, CredentialsSource},
};

/// Where an answer goes.
type Answer = oneshot::Sender<Result<Credentials, CredentialsError>>;

/// A function that gives credentials, or a promise for them. Whoever asks is on another thread: the question goes
/// through the hub, which the operation that needs the answer keeps alive.
pub(in super::super) struct JsCredentials {
    function: Arc<JsBound<Function>>,
    hub: Arc<Hub>,
}

struct Function {
    realm: Rc<Realm>,
    function: JsRef,
}

impl JsCredentials {
    /// Keeps `function`.
    pub(in super::super) fn new(realm: &Rc<Realm>, function: Value) -> Result<Self> {
        let function = realm.caught(JsRef::new(&realm.state, function))?;
        let function = Function { realm: Rc::clone(realm), function };
        let function = Arc::new(JsBound::new(&realm.state, function));
        Ok(Self { function, hub: Arc::clone(&realm.state.hub) })
    }
}

impl CredentialsSource for JsCredentials {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let (send, answer) = oneshot::channel();
        let function = Arc::clone(&self.function);
        self.hub.post(Box::new(move |_| ask(function.get(), send)));
        Box::pin(async {
            let gone = |_| CredentialsError("the function gave no answer".to_owned());
            answer.await.map_err(gone)?
        })
    }
}

/// Calls the function; its answer may be a promise.
fn ask(Function { realm, function }: &Function, send: Answer) {
    let js = realm.state.js;
    let called = realm.caught(js.call(js.undefined(), function.get(), &[]));
    let answer = match called {
        Ok(answer) => answer,
        Err(error) => return tell(send, Err(error)),
    };
    let reader = Rc::clone(realm);
    // Nobody hears it when the promise cannot be waited for: the sender is dropped, which is an answer.
    drop(realm.then(answer, move |_, outcome| {
        let given = outcome.map_err(|reason| reader.foreign(reason));
        let name = "the result of options.credentials";
        tell(send, given.and_then(|value| reader.read_credentials(value, name)));
    }));
}

fn tell(send: Answer, answer: Result<Credentials>) {
    // Whoever asked may have been aborted.
    drop(send.send(answer.map_err(|error| CredentialsError(error.to_string()))));
}

impl Realm {
    /// Credentials as the AWS SDK has them.
    pub(in super::super) fn read_credentials(
        &self,
        value: Value,
        name: &str,
    ) -> Result<Credentials> {
        let js = self.state.js;
        if !js.is_object(value) {
            return Err(Error::invalid(name, "an object or a function"));
        }
        let text = |field| {
            let text = self.caught(js.get(value, field))?;
            let field = field.to_string_lossy();
            js.as_string(text).ok_or_else(|| Error::invalid(format!("{name}.{field}"), "a string"))
        };
        let token = self.caught(js.get_some(value, c"sessionToken"))?;
        let expiration = self.caught(js.get_some(value, c"expiration"))?;
        let expiration = expiration.map(|date| self.caught(js.to_number(date))).transpose()?;
        Ok(Credentials {
            access_key_id: text(c"accessKeyId")?,
            secret_access_key: text(c"secretAccessKey")?,
            session_token: token.and_then(|token| js.as_string(token)),
            expiration: expiration.and_then(|ms| {
                let since = Duration::try_from_secs_f64(ms / 1000.0).ok()?;
                SystemTime::UNIX_EPOCH.checked_add(since)
            }),
        })
    }
}

impl fmt::Debug for JsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsCredentials")
    }
}
