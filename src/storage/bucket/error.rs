//! What object_store reports, in one line.
//!
//! Its own texts name the method, the URL, the retries, the time and the whole body of the answer, and its types for
//! them are private: what matters is taken from the chain of causes.

use std::{error::Error as StdError, io};

use super::super::{Error, StoreError};

/// Precedes status and body of an answer in the text of the cause that holds them.
const STATUS: &str = "Server returned non-2xx status code: ";
/// Precedes the body of an answer that says that all is well, and is an error.
const BODY: &str = "Server returned error response: ";
/// More of a store's words than this is of no use in a line.
const MAX_REASON: usize = 300;

/// What `action` with what is at `url` failed with.
pub(super) fn failed(
    action: &'static str,
    url: String,
) -> impl FnOnce(object_store::Error) -> Error {
    move |error| Error::Store(Box::new(shape(action, url, &error)))
}

/// Whether there is no such object. A bucket that is not there is another matter.
pub(super) fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && shape("", String::new(), error).code.as_deref() != Some("NoSuchBucket")
}

fn shape(action: &'static str, url: String, error: &object_store::Error) -> StoreError {
    let mut shaped = StoreError { action, url, code: None, status: None, reason: String::new() };
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        let text = current.to_string();
        if let Some(answer) = text.strip_prefix(STATUS) {
            read_answer(&mut shaped, answer);
            return shaped;
        }
        if let Some(body) = text.strip_prefix(BODY) {
            shaped.reason.clear();
            read_body(&mut shaped, body);
            return shaped;
        }
        if let Some(system) = current.downcast_ref::<io::Error>()
            && system.raw_os_error().is_some()
        {
            let code = crate::error::code(system);
            shaped.code = (code != "UNKNOWN").then(|| code.to_owned());
        }
        // The innermost cause says what happened.
        shaped.reason = line(&text);
        cause = current.source();
    }
    shaped
}

/// Reads `403 Forbidden: <body>`.
fn read_answer(shaped: &mut StoreError, answer: &str) {
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    let (number, words) = status.split_once(' ').unwrap_or((status, ""));
    shaped.status = number.parse().ok();
    words.clone_into(&mut shaped.reason);
    read_body(shaped, body);
}

/// Reads `<Error><Code>…</Code><Message>…</Message>…</Error>`, if it is that.
fn read_body(shaped: &mut StoreError, body: &str) {
    let between = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(line(rest.split_once("</")?.0)).filter(|text| !text.is_empty())
    };
    shaped.code = between("Code");
    if let Some(message) = between("Message") {
        shaped.reason = message;
    }
}

/// `text` in one line.
fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: impl StdError + Send + Sync + 'static) -> String {
        let error = object_store::Error::Generic { store: "S3", source: Box::new(source) };
        shape("write", "s3://b/k".into(), &error).to_string()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("Error performing PUT http://host/b/k in 3ms, after 2 retries - and so on")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Inner(&'static str);

    #[test]
    fn answer_is_its_code_its_status_and_its_message() {
        for (answer, expected) in [
            (
                "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>AccessDenied\
                 </Code><Message>Access\n Denied</Message></Error>",
                "AccessDenied (403): Access Denied",
            ),
            ("Server returned non-2xx status code: 404 Not Found: ", "status 404: Not Found"),
            ("Server returned error response: <Error><Code>SlowDown</Code></Error>", "SlowDown"),
        ] {
            assert_eq!(text(Outer(Inner(answer))), format!("cannot write s3://b/k: {expected}"));
        }
    }

    #[test]
    #[cfg(unix)]
    fn failure_of_the_network_has_nodes_code() {
        let refused = text(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert!(refused.starts_with("cannot write s3://b/k: ECONNREFUSED: "), "{refused}");
        assert_eq!(text(Outer(Inner("no luck"))), "cannot write s3://b/k: no luck");
    }
}
