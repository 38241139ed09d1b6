//! AbortSignals, in both directions.

use std::rc::Rc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    function::function,
    realm::Realm,
    reference::JsRef,
    value::{JsResult, Type, Value},
};
use crate::orchestrator::AbortSource;

/// A caller's signal that is listened to. The listener goes when this is dropped.
#[derive(Debug)]
pub(super) struct AbortListener {
    realm: Rc<Realm>,
    signal: Rc<JsRef>,
    listener: JsRef,
}

impl AbortListener {
    /// Listens to `signal`: any object with `aborted`, and with `addEventListener` if it can tell by itself. Its `onabort`
    /// is the caller's and stays untouched.
    pub(super) fn listen(
        realm: &Rc<Realm>,
        signal: Value,
    ) -> JsResult<(AbortSource, Option<Self>)> {
        let js = realm.state.js;
        let kept = Rc::new(JsRef::new(&realm.state, signal)?);
        let (token, probed) = (CancellationToken::new(), Rc::clone(&kept));
        let probe =
            move || js.get(probed.get(), c"aborted").is_ok_and(|aborted| js.truthy(aborted));
        let source = AbortSource { token, probe: Some(Rc::new(probe)) };
        if source.is_aborted() {
            return Ok((source, None));
        }
        let add = js.get(signal, c"addEventListener")?;
        if js.type_of(add) != Type::Function {
            return Ok((source, None));
        }
        let cancelled = source.token.clone();
        let listener = function(&realm.state, move |state, _| {
            cancelled.cancel();
            Ok(state.js.undefined())
        });
        js.call(signal, add, &[js.string("abort"), listener])?;
        let listener = JsRef::new(&realm.state, listener)?;
        Ok((source, Some(Self { realm: Rc::clone(realm), signal: kept, listener })))
    }
}

impl Drop for AbortListener {
    fn drop(&mut self) {
        let (realm, js) = (&self.realm, self.realm.state.js);
        if !realm.state.alive.get() {
            return;
        }
        let signal = self.signal.get();
        // A look-alike may be unable to forget its listeners; they do no harm.
        drop(js.get(signal, c"removeEventListener").and_then(|remove| match js.type_of(remove) {
            Type::Function => js.call(signal, remove, &[js.string("abort"), self.listener.get()]),
            _ => Ok(remove),
        }));
    }
}

/// A signal for the caller's own code that follows a token of ours.
#[derive(Debug)]
pub(super) struct AbortTwin {
    /// The signal.
    pub(super) signal: JsRef,
    _until: DropGuard,
}

impl AbortTwin {
    /// A signal that aborts with `token`, as long as this lives.
    pub(super) fn new(realm: &Rc<Realm>, token: CancellationToken) -> JsResult<Self> {
        let js = realm.state.js;
        let controller = js.construct(js.get(realm.global(), c"AbortController")?, &[])?;
        let signal = JsRef::new(&realm.state, js.get(controller, c"signal")?)?;
        let controller = JsRef::new(&realm.state, controller)?;
        let over = CancellationToken::new();
        let until = over.clone().drop_guard();
        realm.state.spawn(async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {
                    let controller = controller.get();
                    // Listeners that throw are reported by Node itself.
                    drop(js.get(controller, c"abort").and_then(|abort| js.call(controller, abort, &[])));
                }
                () = over.cancelled() => {}
            }
        });
        Ok(Self { signal, _until: until })
    }
}
