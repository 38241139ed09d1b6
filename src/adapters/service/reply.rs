//! What a service made of a chunk.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{tell, timed_out};
use crate::{
    error::millis,
    model::{ExitCode, RetryHint, Text, WorkerJob, WorkerResult},
};

/// What a service made of a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Reply {
    pub(in super::super) exit_code: i32,
    pub(in super::super) stdout: String,
    pub(in super::super) stderr: String,
    pub(in super::super) output_url: Option<String>,
    pub(in super::super) retry: Option<RetryHint>,
    pub(in super::super) timed_out: bool,
    /// How long the worker says it took; default: how long the call took.
    pub(in super::super) duration_ms: Option<f64>,
}

impl Reply {
    /// A failure without output.
    pub(in super::super) fn failed(stderr: impl Into<String>, retry: Option<RetryHint>) -> Self {
        Self { exit_code: 1, stderr: stderr.into(), retry, ..Self::default() }
    }

    /// With this in the place of an empty standard error.
    pub(in super::super) fn or_stderr(mut self, text: String) -> Self {
        if self.stderr.is_empty() {
            self.stderr = text;
        }
        self
    }

    /// A call that was not waited for any longer.
    pub(in super::super) fn timed_out(limit: Duration, prefix: &str) -> Self {
        let text = format!("{prefix}{}", timed_out(limit));
        Self { timed_out: true, ..Self::failed(text, None) }
    }

    /// The result of a call that began at `started`. Those who listen hear of it.
    pub(in super::super) async fn settle(self, job: &WorkerJob, started: Instant) -> WorkerResult {
        let result = self.into_result(job, started);
        tell(job, &result).await;
        result
    }

    /// The result of a call that began at `started`, of which nobody heard yet.
    pub(in super::super) fn into_result(self, job: &WorkerJob, started: Instant) -> WorkerResult {
        let text = |text: String| {
            let text = Text::from(text);
            job.max_output.map_or_else(|| text.clone(), |max| text.clipped(max))
        };
        WorkerResult {
            exit_code: ExitCode::Code(self.exit_code),
            stdout: text(self.stdout),
            stderr: text(self.stderr),
            duration_ms: self.duration_ms.unwrap_or_else(|| millis(started.elapsed())),
            timed_out: self.timed_out,
            retry: self.retry,
            output_url: self.output_url,
            ..WorkerResult::default()
        }
    }
}

/// An object of which only fields of the right type count.
pub(in super::super) trait Fields {
    /// A string.
    fn text(&self, name: &str) -> Option<&str>;
    /// An exit code. What is a number, but none that a process can end with, is a failure.
    fn exit_code(&self, name: &str) -> Option<i32>;
    /// Where the worker put its file.
    fn output_url(&self) -> Option<String> {
        self.text("outputUrl").filter(|url| !url.is_empty()).map(str::to_owned)
    }
}

impl Fields for Map<String, Value> {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    fn exit_code(&self, name: &str) -> Option<i32> {
        let number = self.get(name)?.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
        let code = if number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX) {
            number as i32
        } else {
            1
        };
        Some(code)
    }
}

/// The JSON object that a text is.
pub(in super::super) fn json_object(text: &str) -> Option<Map<String, Value>> {
    match parse(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// The JSON that a text is, as JavaScript takes it: half a character is no mistake. Workers that cut their output anywhere
/// write such halves.
pub(in super::super) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&with_whole_characters(text)).map_err(|_| error))
}

/// A JSON text with U+FFFD in the place of escaped surrogates that have lost their other half.
fn with_whole_characters(text: &str) -> String {
    let (mut whole, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let unit = |from: usize| {
            let digits = escape.get(from..from + 6)?.strip_prefix("\\u")?;
            u16::from_str_radix(digits, 16).ok()
        };
        let length = match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            // A backslash and what it makes literal, which may be another one.
            _ => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        whole.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_no_mistake() {
        for (json, text) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\ude00b""#, "a\u{fffd}b"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d \ud83d\n\"\u00e9""#, "\\ud83d \u{fffd}\n\"\u{e9}"),
        ] {
            assert_eq!(parse(json).unwrap(), text, "{json}");
        }
        for json in ["", "{", r#""\"#, r#""\ud83d"#, r#""\ud8"#, "\\\u{20ac}"] {
            assert!(parse(json).is_err(), "{json}");
        }
    }
}
