//! What a running job gives to the owner's own adapters and executors.

use std::{cell::OnceCell, rc::Rc};

use super::super::{
    abort::AbortTwin, callback::JobCallbacks, function::function, realm::Realm, reference::JsRef,
    value::Value,
};
use crate::{
    Result,
    error::exact_millis,
    model::{JobSpec, WorkerJob},
    orchestrator::OutputStream,
};

/// The options of a job as its owner wrote them, for what is given to the owner's own objects.
#[derive(Debug)]
pub(in super::super) struct JsExecution {
    /// The options object.
    pub(in super::super) options: Rc<JsRef>,
    /// `options.meta`.
    pub(in super::super) meta: Option<JsRef>,
    /// The owner's signal, or one of ours that follows the job.
    pub(in super::super) signal: OnceCell<Signal>,
    /// The owner's callbacks.
    pub(in super::super) callbacks: Rc<JobCallbacks>,
    /// What all chunks have in common, for the realm's glue.
    pub(super) context: OnceCell<JsRef>,
}

/// The signal that adapters of the user's get.
#[derive(Debug)]
pub(in super::super) enum Signal {
    /// There is none.
    Nothing,
    /// The owner's own.
    Own(JsRef),
    /// One that follows a job of a manager.
    Twin(AbortTwin),
}

impl Signal {
    /// The signal, or undefined.
    pub(in super::super) fn value(&self, realm: &Realm) -> Value {
        match self {
            Self::Nothing => realm.state.js.undefined(),
            Self::Own(signal) => signal.get(),
            Self::Twin(twin) => twin.signal.get(),
        }
    }
}

impl JsExecution {
    /// The signal that adapters of the user's get, or undefined.
    pub(in super::super) fn signal_value(&self, realm: &Realm) -> Value {
        self.signal.get().map_or_else(|| realm.state.js.undefined(), |signal| signal.value(realm))
    }

    /// What all chunks of the job that is being run have in common.
    pub(in super::super) fn context(
        &self,
        realm: &Realm,
        job: &WorkerJob,
        spec: &JobSpec,
    ) -> Result<Value> {
        if let Some(context) = self.context.get() {
            return Ok(context.get());
        }
        let js = realm.state.js;
        let text = |text: Option<&str>| text.map_or_else(|| js.undefined(), |text| js.string(text));
        let number =
            |number: Option<f64>| number.map_or_else(|| js.undefined(), |number| js.number(number));
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let max_output = job.max_output.map(|max| max as f64);
        let context = [
            realm.chunks_value(spec)?,
            text(job.cwd.as_deref()),
            self.meta.as_ref().map_or_else(|| js.undefined(), JsRef::get),
            text(job.job_def_url.as_deref()),
            self.signal_value(realm),
            self.output_function(realm, OutputStream::Stdout),
            self.output_function(realm, OutputStream::Stderr),
            number(job.timeout.map(exact_millis)),
            number(max_output),
        ];
        let context =
            realm.glue(c"context", &context).and_then(|context| JsRef::new(&realm.state, context));
        let context = realm.caught(context)?;
        Ok(self.context.get_or_init(|| context).get())
    }

    /// The function for the output of chunks, or undefined when nobody wants to hear it.
    fn output_function(&self, realm: &Realm, stream: OutputStream) -> Value {
        if !self.callbacks.hears(stream) {
            return realm.state.js.undefined();
        }
        let callbacks = Rc::clone(&self.callbacks);
        function(&realm.state, move |state, arguments| {
            callbacks.hear(stream, arguments[0], arguments[1]);
            Ok(state.js.undefined())
        })
    }
}
