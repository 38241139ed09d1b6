//! Hears a child out: bounded memory, back pressure, no character cut in two.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::MAX_OUTPUT;
use crate::model::{OutputTarget, Text, clip};

/// How much is read at once. The pipe holds as much once [`super::platform::widen_pipe`] has been called.
const READ_SIZE: usize = 128 * 1024;

/// What others see of a stream while it is read.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Whether the reader waits for its sink just now.
    pub(super) held_up: AtomicBool,
    /// How many bytes were read.
    pub(super) bytes: AtomicU64,
}

/// What was read so far of one stream. Lives outside the reading future, so that it survives when that one is dropped.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    pub(super) flow: Arc<Flow>,
    /// With a limit: the beginning and the end, with what was left out missing at half of the limit.
    bytes: Vec<u8>,
    passed_on: usize,
    overflowed: bool,
    limit: Option<usize>,
    left_out: usize,
}

impl Capture {
    /// Keeps everything, or the beginning and the end, `limit` bytes together.
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// How many bytes were read.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn bytes(&self) -> u64 {
        self.flow.bytes.load(Relaxed)
    }

    /// Whether more was written than can be handed over.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// What was kept, as text.
    pub(crate) fn into_text(self) -> Text {
        match self.limit {
            Some(limit) => self.into_clipped(limit),
            None => Text::decode(self.bytes),
        }
    }

    /// Beginning and end of what was read: no more than `max` bytes, or than its own limit.
    pub(super) fn into_clipped(self, max: usize) -> Text {
        let max = self.limit.map_or(max, |limit| limit.min(max));
        Text::decode(clip(self.bytes, max, self.left_out))
    }

    /// Reads `stream` to its end, or until there is more than can be kept. It is all there is.
    pub(super) async fn read<R: AsyncRead + Unpin>(
        &mut self,
        stream: R,
        target: &OutputTarget,
        widen: impl Fn(&R),
    ) {
        self.read_on(stream, target, widen).await;
        self.end(target).await;
    }

    /// Reads `stream` to its end, after which another one may go on: a character that is not complete waits for its rest.
    pub(crate) async fn read_on<R: AsyncRead + Unpin>(
        &mut self,
        mut stream: R,
        target: &OutputTarget,
        widen: impl Fn(&R),
    ) {
        let mut total = 0;
        // Most children write next to nothing: start small, and ask the kernel for a wider pipe only when one fills.
        let mut size = 4096;
        loop {
            self.bytes.reserve(size);
            let read = match stream.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            self.flow.bytes.fetch_add(read as u64, Relaxed);
            if read >= size && size < READ_SIZE {
                widen(&stream);
                size = READ_SIZE;
            }
            if self.limit.is_none() {
                total += utf16_len(&self.bytes[self.bytes.len() - read..]);
                if total > MAX_OUTPUT {
                    self.overflowed = true;
                    return;
                }
            }
            self.pass_on(target, false).await;
            self.leave_out(target.sink.is_some());
        }
    }

    /// There is nothing more to read.
    pub(crate) async fn end(&mut self, target: &OutputTarget) {
        if !self.overflowed {
            self.pass_on(target, true).await;
        }
    }

    /// Gives the sink what it has not seen yet; an incomplete character waits for its rest.
    async fn pass_on(&mut self, target: &OutputTarget, all: bool) {
        let Some(sink) = &target.sink else { return };
        let fresh = &self.bytes[self.passed_on..];
        let end = if all { fresh.len() } else { fresh.len() - incomplete_tail(fresh) };
        if end > 0 {
            self.flow.held_up.store(true, Relaxed);
            sink.write(&fresh[..end]).await;
            self.flow.held_up.store(false, Relaxed);
        }
        self.passed_on += end;
        if !target.keep {
            self.bytes.drain(..self.passed_on);
            self.passed_on = 0;
        }
    }

    /// Drops the middle of what was read when there is twice as much as may be kept.
    fn leave_out(&mut self, is_passed_on: bool) {
        let Some(limit) = self.limit else { return };
        if self.bytes.len() < limit.saturating_mul(2).saturating_add(READ_SIZE) {
            return;
        }
        let start = limit / 2;
        let mut end = self.bytes.len() - (limit - start);
        if is_passed_on {
            end = end.min(self.passed_on);
            self.passed_on -= end.saturating_sub(start);
        }
        self.left_out += self.bytes.drain(start..end.max(start)).len();
    }
}

/// How many UTF-16 units `bytes` make, but for characters cut at their ends.
fn utf16_len(bytes: &[u8]) -> usize {
    if bytes.is_ascii() {
        return bytes.len();
    }
    // A unit begins at each byte that is no continuation; characters of four bytes make two units.
    bytes.iter().map(|&byte| usize::from((byte & 0xc0) != 0x80) + usize::from(byte >= 0xf0)).sum()
}

/// How many bytes at the end of `bytes` begin a character that is not complete.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for len in 1..=bytes.len().min(3) {
        let tail = &bytes[bytes.len() - len..];
        if tail[0] & 0xc0 != 0x80 {
            let cut = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
            return if cut { len } else { 0 };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;
    use crate::model::OutputSink;

    #[derive(Debug, Default)]
    struct Pieces(Mutex<Vec<Vec<u8>>>);

    impl OutputSink for Pieces {
        fn write<'a>(&'a self, text: &'a [u8]) -> BoxFuture<'a, ()> {
            self.0.lock().unwrap().push(text.to_vec());
            Box::pin(async {})
        }
    }

    async fn pieces(chunks: &[Vec<u8>], keep: bool) -> (Vec<Vec<u8>>, Text) {
        let sink = Arc::new(Pieces::default());
        let target = OutputTarget { sink: Some(Arc::clone(&sink) as _), keep };
        let mut capture = Capture::default();
        let mut stream = tokio_test_reader(chunks);
        capture.read(&mut stream, &target, |_| {}).await;
        let pieces = std::mem::take(&mut *sink.0.lock().unwrap());
        (pieces, capture.into_text())
    }

    /// A stream that gives the chunks one read at a time.
    fn tokio_test_reader(chunks: &[Vec<u8>]) -> impl AsyncRead + Unpin + use<> {
        let mut all: Box<dyn AsyncRead + Unpin + Send> = Box::new(tokio::io::empty());
        for chunk in chunks.iter().rev().filter(|chunk| !chunk.is_empty()) {
            all = Box::new(std::io::Cursor::new(chunk.clone()).chain(all));
        }
        all
    }

    #[tokio::test]
    async fn characters_are_never_cut() {
        let text = "aü€😀";
        for at in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            let (pieces, whole) = pieces(&[head.to_vec(), tail.to_vec()], true).await;
            assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()), "cut at {at}");
            assert_eq!((pieces.concat(), whole.as_str()), (text.as_bytes().to_vec(), text));
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_when_the_sink_keeps_it() {
        let (pieces, whole) = pieces(&[b"abc".to_vec()], false).await;
        assert_eq!((pieces, whole.as_str()), (vec![b"abc".to_vec()], ""));
    }

    proptest! {
        #[test]
        fn pieces_decode_to_the_same_text_as_the_whole(chunks: Vec<Vec<u8>>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (pieces, whole) = runtime.block_on(pieces(&chunks, true));
            let decoded: String = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
            prop_assert_eq!(&decoded, whole.as_str());
            let expected = chunks.concat();
            prop_assert_eq!(&decoded, &String::from_utf8_lossy(&expected));
        }
    }
}
