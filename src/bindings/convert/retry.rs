//! What callers say about failures: hints, rules, functions.

use std::{rc::Rc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::super::{
    realm::Realm,
    reference::JsRef,
    value::{JsResult, Type, Value},
};
use crate::{
    Error, Result,
    error::exact_millis,
    model::{ChunkId, RetryHint, RetryKind},
    orchestrator::{RetryBackoff, RetryJudge},
};

/// How kinds are called.
const KINDS: [(&str, RetryKind); 3] = [
    ("transient", RetryKind::Transient),
    ("throttled", RetryKind::Throttled),
    ("fatal", RetryKind::Fatal),
];
const EXPECTED: &str = "'transient', 'throttled' or 'fatal'";

/// `options.retryOn`.
#[derive(Debug)]
struct JsRetryJudge {
    realm: Rc<Realm>,
    options: Rc<JsRef>,
    function: JsRef,
}

impl RetryJudge for JsRetryJudge {
    fn judge<'a>(
        &'a self,
        error: &'a Error,
        chunk: ChunkId,
        attempt: u32,
    ) -> LocalBoxFuture<'a, Result<Option<RetryHint>>> {
        async move {
            let (realm, js) = (&self.realm, self.realm.state.js);
            let about = [js.number(chunk.get()), js.number(f64::from(attempt))];
            let about = realm.caught(realm.glue(c"about", &about))?;
            let arguments = [realm.error_value(error), about];
            let answer = js.call(self.options.get(), self.function.get(), &arguments);
            let reader = Rc::clone(realm);
            let settled = realm.settle(realm.caught(answer)?, move |_, outcome| {
                reader.read_verdict(outcome.map_err(|reason| reader.foreign(reason))?)
            });
            realm.caught(settled)?.await
        }
        .boxed_local()
    }
}

impl Realm {
    /// Reads `options.retryOn`: a function, or rules, of which one is made.
    pub(super) fn read_retry_judge(
        self: &Rc<Self>,
        options: &Rc<JsRef>,
        value: Value,
    ) -> Result<Rc<dyn RetryJudge>> {
        let js = self.state.js;
        let function = match js.type_of(value) {
            Type::Function => value,
            _ if js.is_array(value) => {
                for index in 0..self.caught(js.len(value))? {
                    let rule = self.caught(js.element(value, index))?;
                    self.check_rule(rule, &format!("options.retryOn[{index}]"))?;
                }
                self.caught(self.glue(c"rules", &[value]))?
            }
            _ => return Err(Error::invalid("options.retryOn", "a function or an array of rules")),
        };
        let function = self.caught(JsRef::new(&self.state, function))?;
        Ok(Rc::new(JsRetryJudge { realm: Rc::clone(self), options: Rc::clone(options), function }))
    }

    fn check_rule(&self, rule: Value, path: &str) -> Result<()> {
        let js = self.state.js;
        super::require_object(js, rule, path)?;
        if self.caught(self.read_hint(rule))?.is_none() {
            return Err(Error::invalid(format_args!("{path}.kind"), EXPECTED));
        }
        if let Some(text) = self.caught(js.get_some(rule, c"text"))? {
            let is_pattern = js.is_object(text)
                && js.type_of(self.caught(js.get(text, c"test"))?) == Type::Function;
            if js.type_of(text) != Type::String && !is_pattern {
                return Err(Error::invalid(format_args!("{path}.text"), "a string or a RegExp"));
            }
        }
        Ok(())
    }

    /// Reads `options.retryBackoff`.
    pub(super) fn read_backoff(&self, value: Value) -> Result<RetryBackoff> {
        let js = self.state.js;
        super::require_object(js, value, "options.retryBackoff")?;
        let number = |name| -> Result<Option<f64>> {
            let Some(value) = self.caught(js.get_some(value, name))? else { return Ok(None) };
            let number = js.as_number(value).filter(|number| !number.is_nan());
            let path = format!("options.retryBackoff.{}", name.to_string_lossy());
            number.map(Some).ok_or_else(|| Error::invalid(path, "a number"))
        };
        let usual = RetryBackoff::default();
        Ok(RetryBackoff {
            factor: number(c"factor")?.map_or(usual.factor, |factor| factor.max(1.0)),
            max_delay: number(c"maxDelayMs")?
                .map_or(usual.max_delay, |ms| super::duration(ms).unwrap_or_default()),
            jitter: number(c"jitter")?.map_or(usual.jitter, |jitter| jitter.clamp(0.0, 1.0)),
        })
    }

    /// Reads `{ kind, afterMs }`; `None` where there is no such thing.
    pub(in super::super) fn read_hint(&self, value: Value) -> JsResult<Option<RetryHint>> {
        let js = self.state.js;
        if !js.is_object(value) {
            return Ok(None);
        }
        let kind = js.as_string(js.get(value, c"kind")?);
        let kind = KINDS.into_iter().find(|(name, _)| kind.as_deref() == Some(name));
        let after = js.as_number(js.get(value, c"afterMs")?);
        let after = after.filter(|ms| *ms >= 0.0);
        Ok(kind.map(|(_, kind)| RetryHint {
            kind,
            after: after.map(|ms| super::duration(ms).unwrap_or(Duration::ZERO)),
        }))
    }

    /// The object of a hint.
    pub(in super::super) fn hint_value(&self, hint: RetryHint) -> JsResult {
        let js = self.state.js;
        let kind = KINDS.into_iter().find(|(_, kind)| *kind == hint.kind);
        let kind = kind.map_or_else(|| js.undefined(), |(name, _)| js.string(name));
        let after = hint.after.map(|after| js.number(exact_millis(after)));
        self.glue(c"hint", &[kind, after.unwrap_or_else(|| js.undefined())])
    }

    /// Reads what `retryOn` has said: a hint, the kind of one, whether to try again, or nothing.
    fn read_verdict(&self, value: Value) -> Result<Option<RetryHint>> {
        let js = self.state.js;
        let hint = |kind| Some(RetryHint { kind, after: None });
        let verdict = match js.type_of(value) {
            Type::Undefined | Type::Null => return Ok(None),
            Type::Boolean if js.truthy(value) => hint(RetryKind::Transient),
            Type::Boolean => hint(RetryKind::Fatal),
            Type::String => {
                let name = js.as_string(value).unwrap_or_default();
                KINDS.into_iter().find(|row| row.0 == name).and_then(|row| hint(row.1))
            }
            _ => self.caught(self.read_hint(value))?,
        };
        let expected = format!("a boolean, undefined, {EXPECTED}, or an object with such a kind");
        verdict.map(Some).ok_or_else(|| Error::invalid("what options.retryOn returns", &expected))
    }
}
