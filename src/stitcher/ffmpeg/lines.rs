//! Understands what programs write, line by line while they write it.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use futures_util::future::BoxFuture;

use crate::model::OutputSink;

/// Takes lines, one after the other.
pub(super) trait Reader: Send + fmt::Debug {
    /// Takes the next line.
    fn line(&mut self, line: &str);
}

/// Cuts output into lines for a reader.
#[derive(Debug, Default)]
pub(super) struct Lines<R>(Mutex<(R, Vec<u8>)>);

impl<R: Reader> Lines<R> {
    /// For a reader that begins with something.
    pub(super) fn to(reader: R) -> Self {
        Self(Mutex::new((reader, Vec::new())))
    }

    /// The reader, when all was written.
    pub(super) fn end(&self) -> R
    where
        R: Default,
    {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, rest) = &mut *state;
        reader.line(&String::from_utf8_lossy(rest));
        std::mem::take(&mut *state).0
    }
}

impl<R: Reader> OutputSink for Lines<R> {
    fn write<'a>(&'a self, text: &'a [u8]) -> BoxFuture<'a, ()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, rest) = &mut *state;
        let mut pieces = text.split(|byte| *byte == b'\n');
        // The last piece is the beginning of a line that is still to come.
        rest.extend_from_slice(pieces.next().unwrap_or_default());
        for piece in pieces {
            reader.line(String::from_utf8_lossy(rest).trim_end_matches('\r'));
            rest.clear();
            rest.extend_from_slice(piece);
        }
        drop(state);
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Vec<String>);

    impl Reader for Heard {
        fn line(&mut self, line: &str) {
            self.0.push(line.to_owned());
        }
    }

    #[tokio::test]
    async fn lines_are_whole_wherever_they_were_cut() {
        let lines = Lines::<Heard>::default();
        for piece in ["a", "b\r\nc", "", "\n\nd"] {
            lines.write(piece.as_bytes()).await;
        }
        assert_eq!(lines.end().0, ["ab", "c", "", "d"]);
    }
}
