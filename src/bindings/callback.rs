//! The callbacks of a job's owner.

use std::{cell::Cell, rc::Rc, sync::Arc};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::sync::Notify;

use super::{
    promise::is_thenable,
    realm::Realm,
    reference::JsRef,
    sink::JsSink,
    value::{JsResult, Value},
};
use crate::{
    Result,
    model::{ChunkId, OutputSink, WorkerResult},
    orchestrator::{FailureSlot, JobObserver, OutputStream},
};

/// Functions that hear of something and whose answer is not waited for. What they throw, or reject with later, is a
/// failure of the work they hear of.
#[derive(Debug)]
pub(super) struct Listeners {
    realm: Rc<Realm>,
    failure: FailureSlot,
    /// Promises that functions have returned and that are not settled.
    pending: Cell<usize>,
    settled: Notify,
}

impl Listeners {
    pub(super) fn new(realm: &Rc<Realm>, failure: FailureSlot) -> Rc<Self> {
        Rc::new(Self {
            realm: Rc::clone(realm),
            failure,
            pending: Cell::new(0),
            settled: Notify::new(),
        })
    }

    /// Calls `function`; gives whether it threw.
    pub(super) fn call(self: &Rc<Self>, this: Value, function: Value, arguments: &[Value]) -> bool {
        let called = self
            .realm
            .state
            .js
            .call(this, function, arguments)
            .and_then(|answer| self.watch(answer));
        match called {
            Ok(()) => false,
            Err(thrown) => {
                self.failure.fail(self.realm.foreign(thrown.0));
                true
            }
        }
    }

    fn watch(self: &Rc<Self>, answer: Value) -> JsResult<()> {
        if !is_thenable(self.realm.state.js, answer) {
            return Ok(());
        }
        self.pending.set(self.pending.get() + 1);
        let listeners = Rc::clone(self);
        self.realm.then(answer, move |_, outcome| {
            if let Err(reason) = outcome {
                listeners.failure.fail(listeners.realm.foreign(reason));
            }
            listeners.pending.set(listeners.pending.get() - 1);
            listeners.settled.notify_waiters();
        })
    }

    /// Waits until every promise that was returned has settled.
    pub(super) async fn settle(&self) {
        while self.pending.get() > 0 {
            self.settled.notified().await;
        }
    }
}

/// The callbacks in the options of a job.
#[derive(Debug)]
pub(super) struct JobCallbacks {
    pub(super) listeners: Rc<Listeners>,
    /// The options, which the callbacks are methods of.
    pub(super) options: Rc<JsRef>,
    pub(super) on_progress: Option<JsRef>,
    pub(super) on_chunk_complete: Option<JsRef>,
    pub(super) on_chunk_stdout: Option<Rc<JsRef>>,
    pub(super) on_chunk_stderr: Option<Rc<JsRef>>,
    /// `onProgress` threw for the chunk that is being reported, so that `onChunkComplete` is not called.
    pub(super) threw: Cell<bool>,
}

impl JobCallbacks {
    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.on_progress.is_some()
            || self.on_chunk_complete.is_some()
            || self.on_chunk_stdout.is_some()
            || self.on_chunk_stderr.is_some()
    }

    fn stream(&self, stream: OutputStream) -> Option<&Rc<JsRef>> {
        match stream {
            OutputStream::Stdout => self.on_chunk_stdout.as_ref(),
            OutputStream::Stderr => self.on_chunk_stderr.as_ref(),
        }
    }

    /// What is to be called with the output of a chunk.
    pub(super) fn output_listener(
        &self,
        id: ChunkId,
        stream: OutputStream,
    ) -> Option<impl Fn(Value) + use<>> {
        let (function, options) = (Rc::clone(self.stream(stream)?), Rc::clone(&self.options));
        let listeners = Rc::clone(&self.listeners);
        Some(move |text| {
            let id = listeners.realm.state.js.number(id.get());
            listeners.call(options.get(), function.get(), &[id, text]);
        })
    }
}

impl JobObserver for JobCallbacks {
    fn progress(&self, done: usize, total: usize) {
        let Some(function) = &self.on_progress else { return };
        let js = self.listeners.realm.state.js;
        #[expect(clippy::cast_precision_loss, reason = "no job has 2^53 chunks")]
        let numbers = [js.number(done as f64), js.number(total as f64)];
        self.threw.set(self.listeners.call(self.options.get(), function.get(), &numbers));
    }

    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let realm = &self.listeners.realm;
            let js = realm.state.js;
            let mut failed = self.threw.take();
            if self.listeners.pending.get() > 0 {
                // An async callback that throws has rejected already; a turn of the microtasks lets us hear of it. One
                // that is still at work is not waited for.
                realm.caught(realm.settle(js.undefined(), |_, _| ()))?.await;
                failed |= self.listeners.failure.is_failed();
            }
            let Some(function) = self.on_chunk_complete.as_ref().filter(|_| !failed) else {
                return Ok(());
            };
            let result = realm.result_value(result).await?;
            let called =
                js.call(self.options.get(), function.get(), &[js.number(id.get()), result.get()]);
            let answer = realm.caught(called)?;
            if is_thenable(js, answer) {
                let settled = Rc::clone(realm);
                let waiting = realm.settle(answer, move |_, outcome| {
                    outcome.map(drop).map_err(|reason| settled.foreign(reason))
                });
                realm.caught(waiting)?.await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        let listener = self.output_listener(id, stream)?;
        Some(JsSink::new(&self.listeners.realm.state, move |_, text| listener(text)))
    }

    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        self.listeners.settle().boxed_local()
    }
}
