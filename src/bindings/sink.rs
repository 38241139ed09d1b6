//! Output of running commands on its way to callbacks.

use std::{
    mem,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::{hub::Hub, reference::JsBound, state::State, text::JsText, value::Value};
use crate::model::{OutputSink, Text};

/// How much may wait for JavaScript. Beyond it the reader waits, and by the pipe the child does.
const HIGH_WATER: usize = 1024 * 1024;

/// Gives output to JavaScript: everything that came since the last time in one piece.
pub(super) struct JsSink {
    hub: Arc<Hub>,
    waiting: Mutex<Waiting>,
    room: Notify,
    listener: JsBound<(Rc<State>, Listener)>,
}

type Listener = Box<dyn Fn(&State, Value)>;

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// A message to the JavaScript thread is on its way.
    announced: bool,
}

impl JsSink {
    /// A sink that calls `listener` with each piece.
    pub(super) fn shared(
        state: &Rc<State>,
        listener: impl Fn(&State, Value) + 'static,
    ) -> Arc<dyn OutputSink> {
        struct Shared(Arc<JsSink>);
        impl OutputSink for Shared {
            fn write<'a>(&'a self, text: &'a [u8]) -> BoxFuture<'a, ()> {
                Box::pin(JsSink::write(&self.0, text))
            }
            fn flush(&self) {
                self.0.deliver();
            }
        }
        impl std::fmt::Debug for Shared {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JsSink")
            }
        }
        let listener: Listener = Box::new(listener);
        Arc::new(Shared(Arc::new(Self {
            hub: Arc::clone(&state.hub),
            waiting: Mutex::default(),
            room: Notify::new(),
            listener: JsBound::new(state, (Rc::clone(state), listener)),
        })))
    }

    async fn write(self: &Arc<Self>, text: &[u8]) {
        loop {
            if self.accept(text) {
                return;
            }
            self.room.notified().await;
        }
    }

    fn accept(self: &Arc<Self>, text: &[u8]) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.len() >= HIGH_WATER {
            return false;
        }
        waiting.bytes.extend_from_slice(text);
        if !mem::replace(&mut waiting.announced, true) {
            let sink = Arc::clone(self);
            self.hub.post(Box::new(move |_| sink.deliver()));
        }
        true
    }

    /// Gives what is waiting to JavaScript. Called on its thread: by the hub, and, because the news of a command's end may
    /// overtake its output there, by the adapter when the command has ended.
    fn deliver(&self) {
        let bytes = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.announced = false;
            mem::take(&mut waiting.bytes)
        };
        self.room.notify_one();
        if bytes.is_empty() {
            return;
        }
        let (state, listener) = self.listener.get();
        // A piece is far shorter than the longest string.
        if let Ok(piece) = JsText::new(&Text::decode(bytes)).into_value(state.js) {
            listener(state, piece);
        }
    }
}
