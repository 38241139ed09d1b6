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

    /// The text for somebody who keeps it alive himself.
    pub fn shared(&self) -> Arc<String> {
        Arc::clone(&self.text)
    }
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
