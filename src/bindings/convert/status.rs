//! Records of jobs.

use std::{ffi::CStr, rc::Rc};

use super::super::{
    realm::Realm,
    reference::JsRef,
    text::JsText,
    value::{Js, Type, Value},
};
use crate::{
    Error, Result,
    model::{JobPhase, JobStatus, Logs, RecordView, Rest},
    task,
};

/// Logs of more bytes are written as JSON on another thread.
const LOGS_ELSEWHERE_FROM: usize = 64 * 1024;

impl Realm {
    /// The object of a record. What came from an object of the user's is on it as it was, the spec as the object that its
    /// owner gave.
    pub(in super::super) async fn status_value(&self, status: &JobStatus) -> Result<Value> {
        let logs = match &status.logs {
            Some(logs) => Some(self.logs_text(logs).await?),
            None => None,
        };
        let js = self.state.js;
        let fields =
            JobStatus { spec: None, logs: None, rest: json_rest(&status.rest), ..status.clone() };
        let fields = self.parse_json(&fields.document()?.json())?;
        let spec = status
            .spec
            .as_ref()
            .map_or_else(|| Ok(js.undefined()), |spec| self.spec_value(spec))?;
        let logs = match logs {
            Some(text) => self.caught(self.parse(text.into_value(js)?))?,
            None => js.undefined(),
        };
        let rest = foreign(&status.rest).map_or_else(|| js.undefined(), JsRef::get);
        if foreign(&status.rest).is_some() {
            self.merge_inner(rest, fields, status)?;
        }
        self.caught(self.glue(c"status", &[rest, fields, spec, logs]))
    }

    /// Puts the other fields of the user's `metrics` and `meta` beside ours.
    fn merge_inner(&self, rest: Value, fields: Value, status: &JobStatus) -> Result<()> {
        let js = self.state.js;
        let inner = [
            (c"metrics", status.total_duration_ms.is_some()),
            (c"meta", status.job_def_url.is_some()),
        ];
        // What came with a state of the job goes with it.
        let states = [
            (c"error", status.error.is_some()),
            (c"phase", status.phase.is_some()),
            (c"finishedAt", status.finished_at.is_some()),
        ];
        for (name, _) in states.into_iter().filter(|(_, present)| !*present) {
            let users = self.caught(js.get_some(rest, name))?;
            if users.is_some_and(|value| is_ours(js, name, value)) {
                self.caught(js.set(fields, name, js.undefined()))?;
            }
        }
        for (name, _) in inner.into_iter().filter(|(_, present)| *present) {
            let ours = self.caught(js.get(fields, name))?;
            let merged = self.glue(c"inner", &[rest, js.string(&name.to_string_lossy()), ours]);
            self.caught(merged.and_then(|merged| js.set(fields, name, merged)))?;
        }
        Ok(())
    }

    async fn logs_text(&self, logs: &Logs) -> Result<JsText> {
        let text = {
            let logs = logs.clone();
            move || JsText::new(&logs.json().into())
        };
        Ok(if logs.size() < LOGS_ELSEWHERE_FROM { text() } else { task::blocking(text).await })
    }

    /// Reads a record that a user's repository gave. What is thin, odd or unknown in it stays as it is.
    pub(in super::super) fn read_status(
        self: &Rc<Self>,
        id: &str,
        record: Value,
    ) -> Result<JobStatus> {
        let js = self.state.js;
        super::require_object(js, record, "job")?;
        let text = self.caught(self.glue(c"record", &[record]))?;
        let text = js.as_string(text).unwrap_or_default();
        let view = RecordView::parse(&text).map_err(Error::Syntax)?;
        let spec = self.caught(js.get_some(record, c"spec"))?;
        Ok(JobStatus {
            id: id.to_owned(),
            spec: spec.and_then(|spec| self.read_recorded_spec(spec).ok()),
            rest: Rest::Foreign(Rc::new(self.caught(JsRef::new(&self.state, record))?)),
            ..view.into_status()
        })
    }
}

/// Whether a field of the user's record is one that comes and goes with the state of the job. One of another type than ours
/// is the user's.
fn is_ours(js: Js, name: &CStr, value: Value) -> bool {
    match js.type_of(value) {
        Type::String if name == c"phase" => {
            js.as_string(value).is_some_and(|phase| JobPhase::from_name(&phase).is_some())
        }
        Type::String => name == c"error",
        Type::Number => name == c"finishedAt",
        _ => false,
    }
}

/// What else is in a record that was read from JSON.
fn json_rest(rest: &Rest) -> Rest {
    match rest {
        Rest::Json(fields) => Rest::Json(Rc::new(fields.without(&["spec", "logs"]))),
        Rest::Nothing | Rest::Foreign(_) => Rest::Nothing,
    }
}

/// The user's object that a record was read from.
pub(in super::super) fn foreign(rest: &Rest) -> Option<&JsRef> {
    match rest {
        Rest::Foreign(object) => object.downcast_ref::<JsRef>(),
        Rest::Nothing | Rest::Json(_) => None,
    }
}
