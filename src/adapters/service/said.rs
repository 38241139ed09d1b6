//! What a service said, before an adapter makes something of it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Failure,
    reply::{Fields, Reply, json_object},
};
#[cfg(feature = "gcp")]
use crate::model::json;
use crate::{
    cloud::{failure, http::Answer},
    model::{RetryHint, decode_utf8},
};

/// So many characters of an answer that is none are shown.
const SHOWN: usize = 200;

/// An answer as text.
#[derive(Debug)]
pub(in super::super) struct Said {
    pub(in super::super) status: u16,
    /// The status text.
    pub(in super::super) reason: String,
    pub(in super::super) is_success: bool,
    content_type: String,
    pub(in super::super) body: String,
    /// What the body is, if it is a JSON object, whatever its type says.
    pub(in super::super) object: Option<Map<String, Value>>,
    retry: RetryHint,
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        let status = answer.status.as_u16();
        let retry = failure::hint(status, answer.header("retry-after"));
        let content_type = answer.header("content-type").unwrap_or_default().trim().to_lowercase();
        let is_success = answer.status.is_success();
        let body = decode_utf8(answer.body);
        let object = json_object(&body);
        Self { status, reason: answer.reason, is_success, content_type, body, object, retry }
    }
}

impl Said {
    /// Whether it is meant to be JSON.
    pub(in super::super) fn is_json(&self) -> bool {
        let kind = self.content_type.split(';').next().unwrap_or_default().trim_end();
        kind == "application/json" || kind.ends_with("+json")
    }

    /// Whether it is meant for people.
    #[cfg(feature = "gcp")]
    pub(in super::super) fn is_text(&self) -> bool {
        self.content_type.starts_with("text/")
    }

    /// What to make of an answer that is no success. When a worker itself says how its chunk failed, nothing else has.
    pub(in super::super) fn retry(&self) -> Option<RetryHint> {
        let told = self.object.as_ref().and_then(|object| object.exit_code("exitCode"));
        let is_own = self.status >= 500 && told.is_some();
        (!self.is_success && !is_own).then_some(self.retry)
    }

    /// `404 Not Found`.
    pub(in super::super) fn status_line(&self) -> String {
        format!("{} {}", self.status, self.reason)
    }

    /// Why it is not the answer of a worker: a proxy has answered, or somebody who wants a login.
    pub(in super::super) fn is_no_object(&self) -> String {
        let shown: String = self.body.chars().take(SHOWN).collect();
        format!("the answer is not a JSON object: {shown}")
    }

    /// The body, if it is such an object; else why it is none.
    pub(in super::super) fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(&self.body).map_err(|_| self.is_no_object())
    }

    /// What this says of something that was to be removed. That it is not there is well.
    pub(in super::super) fn removed(&self) -> Result<(), Failure> {
        if self.is_success || self.status == 404 {
            return Ok(());
        }
        Err(Failure::answered(format!("{} {}", self.status_line(), self.body), self))
    }

    /// The body as JSON: what it is, without white space, or a string.
    #[cfg(feature = "gcp")]
    pub(in super::super) fn as_json(&self) -> String {
        let own = if self.is_text() { None } else { json::squeezed(&self.body) };
        own.unwrap_or_else(|| json::string(&self.body))
    }

    /// The fields that all workers answer with.
    pub(in super::super) fn into_fields(self) -> Reply {
        let object = self.object.unwrap_or_default();
        let some = |name| object.text(name).filter(|text| !text.is_empty());
        Reply {
            exit_code: object.exit_code("exitCode").unwrap_or(0),
            stdout: some("stdout").or_else(|| some("output")).unwrap_or_default().to_owned(),
            stderr: object.text("stderr").unwrap_or_default().to_owned(),
            output_url: object.output_url(),
            ..Reply::default()
        }
    }
}
