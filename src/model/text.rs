//! Text on its way to JavaScript.

use std::sync::Arc;

/// UTF-8 text that is cheap to share and knows whether it is ASCII, so that the event loop need not look.
#[expect(clippy::rc_buffer, reason = "output of 100 MB is not copied once more to share it")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    text: Arc<String>,
    ascii: bool,
}

impl Text {
    /// Decodes `bytes` as Node does: what is not UTF-8 becomes U+FFFD.
    pub fn decode(bytes: Vec<u8>) -> Self {
        decode_utf8(bytes).into()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every character is ASCII.
    pub fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// Beginning and end of the text, no more than `max` bytes together, with a line between that says how much was left
    /// out; the text itself, if it is not longer.
    #[must_use]
    pub fn clipped(&self, max: usize) -> Self {
        if self.text.len() <= max {
            return self.clone();
        }
        Self::decode(clip(self.text.as_bytes().to_vec(), max, 0))
    }

    /// The text for somebody who keeps it alive himself.
    pub fn shared(&self) -> Arc<String> {
        Arc::clone(&self.text)
    }
}

/// Beginning and end of `text`, no more than `max` bytes together and no character cut in two, with a line between that
/// says how much was left out. `left_out` bytes are missing at half of `max` already.
pub(crate) fn clip(mut text: Vec<u8>, max: usize, left_out: usize) -> Vec<u8> {
    if left_out == 0 && text.len() <= max {
        return text;
    }
    let is_inside =
        |text: &[u8], place: usize| text.get(place).is_some_and(|byte| byte & 0xc0 == 0x80);
    // A character has at most four bytes; what is no UTF-8 may be cut anywhere.
    let mut head = (max / 2).min(text.len());
    for _ in 0..3 {
        head -= usize::from(head > 0 && is_inside(&text, head));
    }
    let mut tail = text.len().saturating_sub(max - max / 2).max(head);
    for _ in 0..3 {
        tail += usize::from(is_inside(&text, tail));
    }
    let line = format!("\n[{} bytes left out]\n", left_out + tail - head);
    text.splice(head..tail, line.into_bytes());
    text
}

/// Decodes `bytes` as Node does: what is not UTF-8 becomes U+FFFD.
pub(crate) fn decode_utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { ascii: text.is_ascii(), text: Arc::new(text) }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn middle_is_left_out_and_counted() {
        let text = Text::from("0123456789");
        assert_eq!(text.clipped(10), text);
        assert_eq!(text.clipped(4).as_str(), "01\n[6 bytes left out]\n89");
        assert_eq!(text.clipped(0).as_str(), "\n[10 bytes left out]\n");
        assert_eq!(clip(b"0189".to_vec(), 4, 6), b"01\n[6 bytes left out]\n89");
        assert_eq!(
            Text::from("a\u{20ac}b\u{20ac}c").clipped(5).as_str(),
            "a\n[7 bytes left out]\nc"
        );
    }

    proptest! {
        #[test]
        fn clipped_text_begins_and_ends_as_the_whole(text: String, max in 0usize..40) {
            let clipped = Text::from(&*text).clipped(max);
            let clipped = clipped.as_str();
            if text.len() <= max {
                prop_assert_eq!(clipped, text);
                return Ok(());
            }
            let holds = (1..=text.len()).any(|left_out| {
                let line = format!("\n[{left_out} bytes left out]\n");
                clipped.match_indices(&line).any(|(at, _)| {
                    let (head, tail) = (&clipped[..at], &clipped[at + line.len()..]);
                    let kept = head.len() + tail.len();
                    kept <= max && kept + left_out == text.len() && text.starts_with(head) && text.ends_with(tail)
                })
            });
            prop_assert!(holds, "{clipped:?}");
        }
    }
}
