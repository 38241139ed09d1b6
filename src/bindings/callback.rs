//! The callbacks of a job's owner.

use std::{cell::Cell, rc::Rc, sync::Arc};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::sync::Notify;

use super::{
    context::AsyncContext,
    promise::is_thenable,
    realm::Realm,
    reference::JsRef,
    sink::JsSink,
    value::{JsResult, Value},
};
use crate::{
    Error, Result,
    model::{ChunkId, OutputSink, WorkerResult},
    orchestrator::{FailureSlot, JobObserver, OutputStream},
};

/// Functions that hear of something and whose answer is not waited for. What they throw, or reject with later, is a
/// failure of the work they hear of.
#[derive(Debug)]
pub(super) struct Listeners {
    realm: Rc<Realm>,
    /// Where they belong: output comes from outside of any.
    context: AsyncContext,
    failure: FailureSlot,
    /// Whether one of them has failed. None is called any more then.
    failed: Cell<bool>,
    /// Promises that functions have returned and that are not settled.
    pending: Cell<usize>,
    settled: Notify,
}

impl Listeners {
    pub(super) fn new(realm: &Rc<Realm>, failure: FailureSlot) -> Rc<Self> {
        Rc::new(Self {
            realm: Rc::clone(realm),
            context: AsyncContext::current(&realm.state),
            failure,
            failed: Cell::new(false),
            pending: Cell::new(0),
            settled: Notify::new(),
        })
    }

    /// Calls `function`; gives whether it did not throw.
    pub(super) fn call(self: &Rc<Self>, this: Value, function: Value, arguments: &[Value]) -> bool {
        if self.failed.get() {
            return false;
        }
        let js = self.realm.state.js;
        let called = self.context.enter(|| js.call(this, function, arguments));
        let called = called.and_then(|answer| self.watch(answer));
        called.map_err(|thrown| self.fail(self.realm.foreign(thrown.0))).is_ok()
    }

    fn fail(&self, error: Error) {
        self.failed.set(true);
        self.failure.fail(error);
    }

    fn watch(self: &Rc<Self>, answer: Value) -> JsResult<()> {
        if !is_thenable(self.realm.state.js, answer) {
            return Ok(());
        }
        self.pending.set(self.pending.get() + 1);
        let listeners = Rc::clone(self);
        self.realm.then(answer, move |_, outcome| {
            if let Err(reason) = outcome {
                listeners.fail(listeners.realm.foreign(reason));
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

    /// Gives callbacks that have returned promises a turn of the microtasks: an async one that threw has rejected already,
    /// and we hear of it. One that is still at work is not waited for. Gives whether none has failed meanwhile.
    async fn turn(&self) -> bool {
        let listeners = &self.listeners;
        if listeners.pending.get() == 0 || listeners.failed.get() {
            return !listeners.failed.get();
        }
        if let Ok(turn) = listeners.realm.settle(listeners.realm.state.js.undefined(), |_, _| ()) {
            turn.await;
        }
        !listeners.failed.get()
    }

    async fn call_chunk_complete(
        &self,
        function: &JsRef,
        id: ChunkId,
        result: &WorkerResult,
    ) -> Result<()> {
        let realm = &self.listeners.realm;
        let js = realm.state.js;
        let result = realm.result_value(result).await?;
        let called =
            js.call(self.options.get(), function.get(), &[js.number(id.get()), result.get()]);
        let answer = realm.caught(called)?;
        if !is_thenable(js, answer) {
            return Ok(());
        }
        let reader = Rc::clone(realm);
        let settled = realm.settle(answer, move |_, outcome| {
            outcome.map(drop).map_err(|reason| reader.foreign(reason))
        });
        realm.caught(settled)?.await
    }

    /// Whether anybody wants to hear the stream.
    pub(super) fn hears(&self, stream: OutputStream) -> bool {
        self.stream(stream).is_some()
    }

    /// Tells what a chunk has written.
    pub(super) fn hear(&self, stream: OutputStream, id: Value, text: Value) {
        if let Some(function) = self.stream(stream) {
            self.listeners.call(self.options.get(), function.get(), &[id, text]);
        }
    }
}

impl JobObserver for JobCallbacks {
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool> {
        async move {
            let Some(function) = &self.on_progress else { return true };
            let (listeners, js) = (&self.listeners, self.listeners.realm.state.js);
            #[expect(clippy::cast_precision_loss, reason = "no job has 2^53 chunks")]
            let numbers = [js.number(done as f64), js.number(total as f64)];
            listeners.call(self.options.get(), function.get(), &numbers) && self.turn().await
        }
        .boxed_local()
    }

    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        async move {
            let Some(function) = &self.on_chunk_complete else { return true };
            let heard = self.call_chunk_complete(function, id, result).await;
            heard.map_err(|error| self.listeners.fail(error)).is_ok()
        }
        .boxed_local()
    }

    fn chunk_done<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
        done: usize,
        total: usize,
    ) -> LocalBoxFuture<'a, bool> {
        // The last output of the chunk has just been heard.
        async move {
            self.turn().await
                && self.progress(done, total).await
                && self.chunk_complete(id, result).await
        }
        .boxed_local()
    }

    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        let (function, options) = (Rc::clone(self.stream(stream)?), Rc::clone(&self.options));
        let listeners = Rc::clone(&self.listeners);
        Some(JsSink::shared(&self.listeners.realm.state, move |state, text| {
            listeners.call(options.get(), function.get(), &[state.js.number(id.get()), text]);
        }))
    }

    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        self.listeners.settle().boxed_local()
    }
}
