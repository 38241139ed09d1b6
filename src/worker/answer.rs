//! What a worker answers about a chunk, within what its platform lets through.

use std::borrow::Cow;

use serde::Serialize;

use crate::model::{ExitCode, Text, json};

/// How much of a message is answered, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// An answer has two streams: this part of what may be answered is kept of each while the command runs, so that both fit
/// with as many escapes as text has.
const KEPT_OF_EACH: (usize, usize) = (2, 5);

/// The form of answers of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// `{exitCode, output, stderr}` as a string in another JSON text, at most 6 MB of that.
    Lambda,
    /// `{exitCode, stdout, stderr}`, at most 32 MiB.
    Http,
}

impl AnswerForm {
    /// How many bytes an answer may have.
    fn limit(self) -> usize {
        match self {
            // https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
            Self::Lambda => 6_291_556,
            // https://cloud.google.com/run/quotas; 64 KiB for the headers.
            Self::Http => 32 * 1024 * 1024 - 64 * 1024,
        }
    }

    /// What goes around the body.
    fn around(self) -> usize {
        match self {
            Self::Lambda => r#"{"statusCode":200,"body":""}"#.len(),
            Self::Http => 0,
        }
    }

    /// How many bytes of each stream of a command are worth keeping.
    pub fn max_output(self) -> usize {
        self.limit() * KEPT_OF_EACH.0 / KEPT_OF_EACH.1
    }

    /// How many bytes `c` takes in an answer.
    fn cost(self, c: char) -> usize {
        let is_twice = self == Self::Lambda;
        match c {
            '"' | '\\' => 2 + 2 * usize::from(is_twice),
            '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2 + usize::from(is_twice),
            c if c < ' ' => 6 + usize::from(is_twice),
            c => c.len_utf8(),
        }
    }

    fn cost_of(self, text: &str) -> usize {
        text.chars().map(|c| self.cost(c)).sum()
    }

    /// The answer about a command that ran.
    pub fn result(
        self,
        exit_code: &ExitCode,
        stdout: &str,
        stderr: &str,
        output_url: Option<&str>,
    ) -> Answer {
        self.result_within(self.limit(), exit_code, [stdout, stderr], output_url)
    }

    fn result_within(
        self,
        limit: usize,
        exit_code: &ExitCode,
        [stdout, stderr]: [&str; 2],
        output_url: Option<&str>,
    ) -> Answer {
        let body = |stdout, stderr| {
            let (output, stdout) = match self {
                Self::Lambda => (Some(stdout), None),
                Self::Http => (None, Some(stdout)),
            };
            let exit_code = match exit_code {
                ExitCode::Code(code) => Code::Number(*code),
                ExitCode::Odd(text) => Code::Text(text),
            };
            json::compact(&Body { exit_code, output, stdout, stderr, output_url })
        };
        let room = limit.saturating_sub(self.around() + self.cost_of(&body("", "")));
        let [out, err] = share(room, [self.cost_of(stdout), self.cost_of(stderr)]);
        let body = body(&self.clipped(stdout, out), &self.clipped(stderr, err));
        Answer { status: if exit_code.is_success() { 200 } else { 500 }, body }
    }

    /// Beginning and end of `text`, with a line between that says so, at a cost of no more than `room`.
    fn clipped(self, text: &str, room: usize) -> Cow<'_, str> {
        if self.cost_of(text) <= room {
            return text.into();
        }
        // What was left out while the command ran is counted in the middle, which goes.
        let more = if text.len() > self.max_output() { "more than " } else { "" };
        let line = |left_out: usize| format!("\n[{more}{left_out} bytes left out]\n");
        let half = room.saturating_sub(self.cost_of(&line(text.len()))) / 2;
        let head: usize = self.fitting(text.chars(), half);
        let tail: usize = self.fitting(text[head..].chars().rev(), half);
        let end = text.len() - tail;
        format!("{}{}{}", &text[..head], line(end - head), &text[end..]).into()
    }

    /// How many bytes of `chars` cost no more than `room`.
    fn fitting(self, chars: impl Iterator<Item = char>, mut room: usize) -> usize {
        let mut bytes = 0;
        for c in chars {
            let Some(left) = room.checked_sub(self.cost(c)) else { break };
            room = left;
            bytes += c.len_utf8();
        }
        bytes
    }
}

/// Shares `room` between two: who needs less than half leaves the rest to the other.
fn share(room: usize, [a, b]: [usize; 2]) -> [usize; 2] {
    let half = room / 2;
    if a <= half {
        [a, room - a]
    } else if b <= half {
        [room - b, b]
    } else {
        [half, half]
    }
}

/// The body of an answer about a command that ran.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    exit_code: Code<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<&'a str>,
    stderr: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Code<'a> {
    Number(i32),
    Text(&'a str),
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// A JSON text.
    pub body: String,
}

impl Answer {
    /// An answer without a result.
    pub fn message(status: u16, message: &str) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            message: &'a str,
        }
        let message = Text::from(message).clipped(MAX_MESSAGE);
        Self { status, body: json::compact(&Body { message: message.as_str() }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OK: ExitCode = ExitCode::Code(0);

    /// What travels, in bytes.
    fn size(form: AnswerForm, answer: &Answer) -> usize {
        match form {
            AnswerForm::Lambda => {
                format!(r#"{{"statusCode":200,"body":{}}}"#, json::string(&answer.body)).len()
            }
            AnswerForm::Http => answer.body.len(),
        }
    }

    #[test]
    fn answer_has_what_the_adapters_read() {
        let answer = AnswerForm::Lambda.result(&ExitCode::Code(3), "a\n", "\"b\"", None);
        let body = r#"{"exitCode":3,"output":"a\n","stderr":"\"b\""}"#.to_owned();
        assert_eq!(answer, Answer { status: 500, body });
        let answer = AnswerForm::Http.result(&OK, "", "", Some("s3://b/1.mp4"));
        let body =
            r#"{"exitCode":0,"stdout":"","stderr":"","outputUrl":"s3://b/1.mp4"}"#.to_owned();
        assert_eq!(answer, Answer { status: 200, body });
        assert_eq!(Answer::message(500, "a \"b\"").body, r#"{"message":"a \"b\""}"#);
    }

    #[test]
    fn answers_fit_and_are_used_to_the_full() {
        const LIMIT: usize = 10_000;
        for form in [AnswerForm::Lambda, AnswerForm::Http] {
            for piece in ["x", "\"", "\n", "\u{1}", "\u{20ac}", "\u{1f600}\\"] {
                let text = piece.repeat(LIMIT);
                for output in [[&*text, ""], ["", &text], [&text, &text]] {
                    let answer = form.result_within(LIMIT, &OK, output, None);
                    let size = size(form, &answer);
                    assert!(size <= LIMIT && size > LIMIT - 200, "{form:?} {piece:?}: {size}");
                    assert!(answer.body.contains(" bytes left out]"), "{form:?} {piece:?}");
                }
            }
        }
    }

    #[test]
    fn stream_that_is_short_stays_whole() {
        let long = "x".repeat(AnswerForm::Lambda.limit());
        let answer = AnswerForm::Lambda.result(&OK, &long, "what went wrong", None);
        assert!(answer.body.ends_with(r#"x","stderr":"what went wrong"}"#));
    }

    #[test]
    fn what_was_left_out_before_is_not_counted_again() {
        let form = AnswerForm::Lambda;
        let long = "\u{1}".repeat(form.max_output() + 1);
        assert!(form.clipped(&long, 1000).contains("\n[more than "));
        assert!(form.clipped(&long[1..], 1000).contains("\n[2"));
    }

    proptest! {
        #[test]
        fn cost_is_what_json_takes(text: String) {
            let once = json::string(&text);
            prop_assert_eq!(AnswerForm::Http.cost_of(&text), once.len() - 2);
            let twice = json::string(&once[1..once.len() - 1]);
            prop_assert_eq!(AnswerForm::Lambda.cost_of(&text), twice.len() - 2);
        }

        #[test]
        fn clipped_text_fits_and_begins_and_ends_as_the_whole(text in ".{0,200}", room in 60usize..120) {
            let clipped = AnswerForm::Lambda.clipped(&text, room);
            prop_assert!(AnswerForm::Lambda.cost_of(&clipped) <= room);
            if clipped != text {
                let (head, tail) = clipped.split_once(" bytes left out]\n").unwrap();
                let (head, left_out) = head.rsplit_once("\n[").unwrap();
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                let kept = head.len() + tail.len();
                prop_assert_eq!(kept + left_out.parse::<usize>().unwrap(), text.len());
            }
        }
    }
}
