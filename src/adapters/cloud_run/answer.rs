//! What a service's answer says.

use super::{
    super::service::{Reply, Said},
    PREFIX,
};
use crate::cloud::http::Answer;

/// Reads an answer.
pub(super) fn read(answer: Answer) -> Reply {
    let said = Said::from(answer);
    if !said.is_success {
        let text = format!("{PREFIX}HTTP {}: {}", said.status, said.as_json());
        return Reply::failed(text, said.retry());
    }
    let (is_ok, error) =
        (said.status == 200, format!("HTTP Error {}: {}", said.status, said.reason));
    match (is_ok, said.object.is_some()) {
        (true, true) => said.into_fields(),
        (true, false) => Reply::failed(format!("{PREFIX}{}", said.is_no_object()), None),
        (false, true) => Reply { exit_code: 1, ..said.into_fields() }.or_stderr(error),
        (false, false) => Reply::failed(error, None),
    }
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
