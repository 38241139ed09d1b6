//! Results of workers.

use std::rc::Rc;

use super::super::{
    realm::Realm,
    reference::JsRef,
    text::JsText,
    value::{JsResult, Type, Value},
};
use crate::{
    Result,
    model::{ExitCode, Text, WorkerResult},
};

impl Realm {
    /// The JavaScript object of a result: the adapter's own, if it is a user's.
    pub(in super::super) async fn result_value(&self, result: &WorkerResult) -> Result<Rc<JsRef>> {
        if let Some(object) =
            result.foreign.clone().and_then(|foreign| foreign.downcast::<JsRef>().ok())
        {
            return Ok(object);
        }
        let (stdout, stderr) = (
            JsText::prepared(result.stdout.clone()).await,
            JsText::prepared(result.stderr.clone()).await,
        );
        let js = self.state.js;
        let object = self.new_result(result, stdout.into_value(js)?, stderr.into_value(js)?);
        let kept = object.and_then(|object| JsRef::new(&self.state, object));
        Ok(Rc::new(self.caught(kept)?))
    }

    /// A new result object with the given output.
    pub(in super::super) fn new_result(
        &self,
        result: &WorkerResult,
        stdout: Value,
        stderr: Value,
    ) -> JsResult {
        let js = self.state.js;
        let code = match &result.exit_code {
            ExitCode::Code(code) => js.number(f64::from(*code)),
            ExitCode::Odd(text) => js.string(text),
        };
        let text = |text: Option<&str>| text.map_or_else(|| js.undefined(), |text| js.string(text));
        let retry =
            result.retry.map_or_else(|| Ok(js.undefined()), |hint| self.hint_value(hint))?;
        self.glue(
            c"result",
            &[
                code,
                stdout,
                stderr,
                js.number(result.duration_ms),
                text(result.signal),
                text(result.output_url.as_deref()),
                retry,
                js.boolean(result.timed_out)?,
            ],
        )
    }

    /// Reads what a user's adapter returned. Only when somebody will look at it, or it failed, more is read than its
    /// exit code.
    pub(in super::super) fn read_result(
        &self,
        result: Value,
        observed: bool,
    ) -> JsResult<WorkerResult> {
        let js = self.state.js;
        if js.is_nothing(result) {
            let what = if js.type_of(result) == Type::Null { "null" } else { "undefined" };
            let text = format!("Cannot read properties of {what} (reading 'exitCode')");
            return Err(super::super::value::Thrown(self.error_of(c"TypeError", &text)));
        }
        let code = js.get(result, c"exitCode")?;
        let exit_code = match js.as_number(code) {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
            Some(number) if number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX) => {
                ExitCode::Code(number as i32)
            }
            _ => ExitCode::Odd(js.to_text(code)?),
        };
        if exit_code.is_success() && !observed {
            return Ok(WorkerResult { exit_code, ..WorkerResult::default() });
        }
        let text = |name, missing: &str| -> JsResult<Text> {
            let value = js.get(result, name)?;
            if js.is_nothing(value) {
                Ok(missing.into())
            } else {
                js.to_text(value).map(Text::from)
            }
        };
        // What a template literal makes of a missing stderr is part of the error's text.
        let missing = if exit_code.is_success() { "" } else { "undefined" };
        let duration = js.as_number(js.get(result, c"durationMs")?).unwrap_or_default();
        Ok(WorkerResult {
            exit_code,
            stdout: text(c"stdout", "")?,
            stderr: text(c"stderr", missing)?,
            duration_ms: duration,
            output_url: js.as_string(js.get(result, c"outputUrl")?).filter(|url| !url.is_empty()),
            retry: self.read_hint(js.get(result, c"retry")?)?,
            timed_out: js.truthy(js.get(result, c"timedOut")?),
            foreign: Some(Rc::new(JsRef::new(&self.state, result)?)),
            ..WorkerResult::default()
        })
    }
}
