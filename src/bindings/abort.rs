//! AbortSignals, in both directions.

use std::rc::Rc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    function::function,
    realm::Realm,
    reference::JsRef,
    value::{JsResult, Value},
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
    pub(super) fn listen(realm: &Rc<Realm>, signal: Value) -> JsResult<AbortSource> {
        let js = realm.state.js;
        let kept = Rc::new(JsRef::new(&realm.state, signal)?);
        let (token, probed) = (CancellationToken::new(), Rc::clone(&kept));
        let probe =
            move || js.get(probed.get(), c"aborted").is_ok_and(|aborted| js.truthy(aborted));
        let mut source = AbortSource { token, probe: Some(Rc::new(probe)), listener: None };
        if source.is_aborted() {
            return Ok(source);
        }
        let cancelled = source.token.clone();
        let listener = function(&realm.state, move |state, _| {
            cancelled.cancel();
            Ok(state.js.undefined())
        });
        if !js.truthy(realm.glue(c"listen", &[signal, listener])?) {
            return Ok(source);
        }
        let listener = JsRef::new(&realm.state, listener)?;
        let listener = Self { realm: Rc::clone(realm), signal: kept, listener };
        source.listener = Some(Rc::new(listener));
        Ok(source)
    }
}

impl Drop for AbortListener {
    fn drop(&mut self) {
        if self.realm.state.alive.get() {
            // A look-alike that throws keeps its listener, which does no harm.
            drop(self.realm.glue(c"unlisten", &[self.signal.get(), self.listener.get()]));
        }
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
