//! What failures of services mean: whether it is worth asking again, and when.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use crate::model::{RetryHint, RetryKind};

/// No service is left alone for longer, whatever it asks for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What to make of an answer that is no success, by its status and its `Retry-After`.
pub(crate) fn hint(status: u16, retry_after: Option<&str>) -> RetryHint {
    let after = retry_after.and_then(|text| pause(text, SystemTime::now()));
    match status {
        429 => RetryHint { kind: RetryKind::Throttled, after },
        408 | 500.. => RetryHint { kind: RetryKind::Transient, after },
        _ => FATAL,
    }
}

/// It will go wrong every time.
pub(crate) const FATAL: RetryHint = RetryHint { kind: RetryKind::Fatal, after: None };
/// It may go well the next time.
pub(crate) const TRANSIENT: RetryHint = RetryHint { kind: RetryKind::Transient, after: None };

/// A `Retry-After`: seconds, or a date. Now, and what is over, says nothing.
fn pause(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let pause = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok()?,
    };
    (!pause.is_zero()).then(|| pause.min(LONGEST_PAUSE))
}

/// An error and all that caused it, on one line, each said once, and without URLs, which may have keys in them.
pub(crate) fn describe(error: &dyn StdError) -> String {
    let mut text = without_url(error.to_string());
    let mut source = error.source();
    while let Some(error) = source {
        let more = without_url(error.to_string());
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// The text of an error without what HTTP clients put at its end: ` for url (…)`.
fn without_url(mut text: String) -> String {
    if let Some(start) = text.find(" for url (") {
        let end = text.rfind(')').map_or(text.len(), |end| end + 1);
        text.replace_range(start..end.max(start), "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_seconds_or_dates_that_are_still_to_come() {
        let now = httpdate::parse_http_date("Thu, 26 Nov 2026 12:00:00 GMT").unwrap();
        for (text, seconds) in [
            ("7", Some(7.0)),
            (" 0.5 ", Some(0.5)),
            ("Thu, 26 Nov 2026 12:00:30 GMT", Some(30.0)),
            ("Thu, 26 Nov 2026 11:59:59 GMT", None),
            ("0", None),
            ("-1", None),
            ("1e300", None),
            ("999999999", Some(3600.0)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(pause(text, now).map(|pause| pause.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn urls_are_left_out() {
        for (text, shown) in [
            ("cannot send for url (http://a/?key=(x))", "cannot send"),
            ("no: cannot send for url (http://a/) today", "no: cannot send today"),
            ("cannot send for url (http://a/?key", "cannot send"),
            ("cannot send", "cannot send"),
        ] {
            assert_eq!(without_url(text.to_owned()), shown);
        }
    }

    #[test]
    fn kinds_go_by_the_status() {
        let kind = |status| hint(status, None).kind;
        for status in [301, 302, 400, 401, 403, 404, 409, 413] {
            assert_eq!(kind(status), RetryKind::Fatal, "{status}");
        }
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(kind(status), RetryKind::Transient, "{status}");
        }
        assert_eq!(kind(429), RetryKind::Throttled);
        assert_eq!(hint(503, Some("2")).after, Some(Duration::from_secs(2)));
    }
}
