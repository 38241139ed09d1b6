//! What a service's answer says.

use super::{
    super::service::{Fields, Reply, json_object},
    PREFIX,
};
use crate::{
    cloud::{failure, http::Answer},
    model::{decode_utf8, json},
};

/// So many characters of an answer that is none are shown.
const SHOWN: usize = 200;

/// Reads an answer.
pub(super) fn read(answer: Answer) -> Reply {
    let (status, retry_after) = (answer.status.as_u16(), answer.header("retry-after"));
    let is_text =
        answer.header("content-type").is_some_and(|kind| kind.trim_start().starts_with("text/"));
    let retry = failure::hint(status, retry_after);
    let body = decode_utf8(answer.body);
    let object = json_object(&body);
    if !answer.status.is_success() {
        // The worker has done what it could: not the platform has failed, but the chunk.
        let is_own =
            status >= 500 && object.is_some_and(|object| object.exit_code("exitCode").is_some());
        let body = if is_text { json::string(&body) } else { as_json(&body) };
        let text = format!("{PREFIX}HTTP {status}: {body}");
        return Reply::failed(text, Some(retry).filter(|_| !is_own));
    }
    let Some(object) = object else {
        if status == 200 {
            let shown: String = body.chars().take(SHOWN).collect();
            return Reply::failed(
                format!("{PREFIX}the answer is not a JSON object: {shown}"),
                None,
            );
        }
        return Reply::failed(http_error(status, &answer.reason), None);
    };
    let some = |name| object.text(name).filter(|text| !text.is_empty());
    let stdout = some("stdout").or_else(|| some("output")).unwrap_or_default().to_owned();
    let output_url = object.output_url();
    if status == 200 {
        let stderr = object.text("stderr").unwrap_or_default().to_owned();
        let exit_code = object.exit_code("exitCode").unwrap_or(0);
        return Reply { exit_code, stdout, stderr, output_url, ..Reply::default() };
    }
    let stderr = some("stderr").map_or_else(|| http_error(status, &answer.reason), str::to_owned);
    Reply { exit_code: 1, stdout, stderr, output_url, ..Reply::default() }
}

fn http_error(status: u16, reason: &str) -> String {
    format!("HTTP Error {status}: {reason}")
}

/// A text as JSON: what it is, without white space, or a string.
fn as_json(text: &str) -> String {
    json::squeezed(text).unwrap_or_else(|| json::string(text))
}

#[cfg(test)]
mod tests {
    use reqwest::{StatusCode, header::HeaderMap};

    use super::*;
    use crate::model::RetryKind;

    fn reply(status: u16, kind: &str, body: &str) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        headers.insert("retry-after", "2".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        read(Answer { status, reason: "Odd".to_owned(), headers, body: body.into() })
    }

    #[test]
    fn answers_are_read() {
        const JSON: &str = "application/json";
        for (status, kind, body, code, stdout, stderr) in [
            (200, JSON, r#"{"exitCode":0,"stdout":"o","stderr":"e"}"#, 0, "o", "e"),
            (200, JSON, r#"{"exitCode":3,"output":"o"}"#, 3, "o", ""),
            (200, JSON, r#"{"exitCode":"3","stdout":""}"#, 0, "", ""),
            (
                200,
                "text/html",
                "<html>",
                1,
                "",
                "Cloud Run execution failed: the answer is not a JSON object: <html>",
            ),
            (
                200,
                JSON,
                "null",
                1,
                "",
                "Cloud Run execution failed: the answer is not a JSON object: null",
            ),
            (201, JSON, r#"{"exitCode":0,"stdout":"o"}"#, 1, "o", "HTTP Error 201: Odd"),
            (204, JSON, "", 1, "", "HTTP Error 204: Odd"),
            (
                500,
                JSON,
                r#"{ "b": 1, "a": " " }"#,
                1,
                "",
                r#"Cloud Run execution failed: HTTP 500: {"b":1,"a":" "}"#,
            ),
            (
                503,
                "text/plain",
                r#"{"b":1}"#,
                1,
                "",
                r#"Cloud Run execution failed: HTTP 503: "{\"b\":1}""#,
            ),
            (404, JSON, "", 1, "", r#"Cloud Run execution failed: HTTP 404: """#),
        ] {
            let reply = reply(status, kind, body);
            assert_eq!((reply.exit_code, &*reply.stdout, &*reply.stderr), (code, stdout, stderr));
        }
    }

    #[test]
    fn chunk_that_failed_is_told_from_a_platform_that_did() {
        let kind =
            |status, body| reply(status, "application/json", body).retry.map(|hint| hint.kind);
        assert_eq!(kind(500, r#"{"exitCode":1}"#), None);
        assert_eq!(kind(500, r#"{"message":"boom"}"#), Some(RetryKind::Transient));
        assert_eq!(kind(429, ""), Some(RetryKind::Throttled));
        assert_eq!(kind(403, "{}"), Some(RetryKind::Fatal));
        assert_eq!(kind(302, ""), Some(RetryKind::Fatal));
        assert_eq!(kind(200, "{}"), None);
    }
}
