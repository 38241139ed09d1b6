//! What a function's answer says.

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use serde_json::Value;

use super::super::service::{self, Fields, Reply, json_object};
use crate::model::decode_utf8;

/// Reads what came of an invocation.
pub(super) fn read(output: InvokeOutput) -> Reply {
    let payload =
        output.payload.map(|payload| decode_utf8(payload.into_inner())).unwrap_or_default();
    if output.function_error.is_some() {
        return function_error(payload);
    }
    if payload.is_empty() {
        return Reply::default();
    }
    match parse(&payload) {
        Ok(reply) => reply.unwrap_or(Reply { stdout: payload, ..Reply::default() }),
        Err(problem) => Reply {
            exit_code: 1,
            stderr: format!("Failed to parse Lambda response: {problem}"),
            stdout: payload,
            ..Reply::default()
        },
    }
}

/// The function threw, ran out of time or memory, or could not be started.
fn function_error(payload: String) -> Reply {
    let message = json_object(&payload).and_then(|error| {
        error.text("errorMessage").filter(|text| !text.is_empty()).map(str::to_owned)
    });
    let message = message.unwrap_or(payload);
    let message = if message.is_empty() { "Unknown Lambda Error" } else { &message };
    Reply::failed(format!("Lambda execution failed: {message}"), None)
}

/// The answer of a handler of ours, or of one like it; `None` for one of another kind, which has no `body`.
fn parse(payload: &str) -> Result<Option<Reply>, String> {
    let answer: Value = service::parse(payload).map_err(|error| error.to_string())?;
    if answer.is_null() {
        return Err("the payload is null".to_owned());
    }
    let body = match answer.get("body") {
        Some(Value::String(text)) if !text.is_empty() => {
            service::parse(text).map_err(|error| format!("body: {error}"))?
        }
        Some(body) if is_truthy(body) => body.clone(),
        _ => return Ok(None),
    };
    if body.is_null() {
        return Err("body: it is null".to_owned());
    }
    let fields = body.as_object().cloned().unwrap_or_default();
    let text = |name| fields.text(name).map(str::to_owned);
    let is_ok = answer.get("statusCode").and_then(Value::as_f64) == Some(200.0);
    let told = fields.exit_code("exitCode");
    let exit_code =
        if is_ok { told.unwrap_or(0) } else { told.filter(|code| *code != 0).unwrap_or(1) };
    let reason =
        || text("message").unwrap_or_else(|| "Lambda returned non-200 status code".to_owned());
    let stderr = text("stderr").unwrap_or_else(|| if is_ok { String::new() } else { reason() });
    Ok(Some(Reply {
        exit_code,
        stdout: text("output").unwrap_or_default(),
        stderr,
        output_url: fields.output_url(),
        ..Reply::default()
    }))
}

/// Whether JavaScript takes a value for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64().is_none_or(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::primitives::Blob;

    use super::*;

    fn reply(payload: &str) -> (i32, String, String) {
        let output = InvokeOutput::builder().payload(Blob::new(payload)).build();
        let reply = read(output);
        (reply.exit_code, reply.stdout, reply.stderr)
    }

    fn expect(payload: &str, code: i32, stdout: &str, stderr: &str) {
        assert_eq!(reply(payload), (code, stdout.to_owned(), stderr.to_owned()), "{payload}");
    }

    #[test]
    fn answers_with_a_body_are_read() {
        expect(r#"{"statusCode":200,"body":"{\"output\":\"o\"}"}"#, 0, "o", "");
        expect(
            r#"{"statusCode":200,"body":{"output":"o","stderr":"e","exitCode":3}}"#,
            3,
            "o",
            "e",
        );
        expect(r#"{"statusCode":500,"body":{"message":"m","output":"o"}}"#, 1, "o", "m");
        expect(r#"{"statusCode":500,"body":{}}"#, 1, "", "Lambda returned non-200 status code");
        expect(r#"{"statusCode":500,"body":{"exitCode":0,"stderr":"e"}}"#, 1, "", "e");
        expect(
            r#"{"statusCode":"200","body":{"output":5,"exitCode":"0"}}"#,
            1,
            "",
            "Lambda returned non-200 status code",
        );
        expect(r#"{"statusCode":200,"body":{"exitCode":0.5}}"#, 1, "", "");
        expect(r#"{"statusCode":200,"body":"5"}"#, 0, "", "");
    }

    #[test]
    fn answers_without_a_body_are_output() {
        for payload in [
            r#"{"a":1}"#,
            "5",
            "\"x\"",
            "true",
            "[]",
            r#"{"body":""}"#,
            r#"{"body":0}"#,
            r#"{"body":null}"#,
        ] {
            expect(payload, 0, payload, "");
        }
        expect("", 0, "", "");
    }

    #[test]
    fn what_cannot_be_parsed_is_a_failure_with_its_text() {
        for payload in
            ["null", "{", r#"{"statusCode":200,"body":"{"}"#, r#"{"statusCode":200,"body":"null"}"#]
        {
            let (code, stdout, stderr) = reply(payload);
            assert_eq!((code, &*stdout), (1, payload));
            assert!(stderr.starts_with("Failed to parse Lambda response: "), "{stderr}");
        }
    }

    #[test]
    fn errors_of_functions_say_their_message() {
        for (payload, message) in [
            (r#"{"errorMessage":"boom","errorType":"Error"}"#, "boom"),
            (r#"{"errorType":"Error"}"#, r#"{"errorType":"Error"}"#),
            ("oops", "oops"),
            ("", "Unknown Lambda Error"),
        ] {
            let output = InvokeOutput::builder()
                .function_error("Unhandled")
                .payload(Blob::new(payload))
                .build();
            assert_eq!(
                read(output),
                Reply::failed(format!("Lambda execution failed: {message}"), None)
            );
        }
    }
}
