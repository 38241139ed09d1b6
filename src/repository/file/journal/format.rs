//! The format of journals.
//!
//! Each line is eight hexadecimal digits, a blank and a JSON object. The digits are the CRC-32 of the object, carried on from
//! the line before: a line that was cut off, changed, or left over from another journal ends what counts. The first object is
//! `{"journal":1,"record":"<length>-<CRC-32>"}` and names the record it continues; a journal that does not fit its
//! record was left by a crash, or overtaken by a save, and does not count. The others are events.

use crc32fast::Hasher;

use crate::model::{JobEvent, JobStatus};

/// A record with what its journal adds.
pub(in super::super) fn fold(record: Vec<u8>, journal: Option<&[u8]>) -> Vec<u8> {
    let Some(events) = journal.and_then(|journal| events(journal, &Identity::of(&record))) else {
        return record;
    };
    let Ok(mut status) = JobStatus::parse(&String::from_utf8_lossy(&record)) else {
        return record;
    };
    for event in events {
        event.apply(&mut status);
    }
    status.document().map_or(record, |document| document.json().into_bytes())
}

/// Whether a journal adds anything to `record`.
pub(in super::super) fn continues(record: &[u8], journal: &[u8]) -> bool {
    events(journal, &Identity::of(record)).is_some()
}

/// The events of a journal that continues `record`; `None` when it does not, or holds none.
fn events(journal: &[u8], record: &Identity) -> Option<Vec<JobEvent>> {
    let mut chain = Chain::default();
    let mut lines =
        journal.split_inclusive(|byte| *byte == b'\n').map_while(|line| chain.read(line));
    if lines.next()? != record.header() {
        return None;
    }
    let events: Vec<JobEvent> = lines.map_while(JobEvent::parse).collect();
    (!events.is_empty()).then_some(events)
}

/// What tells a record from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) length: u64,
    pub(super) checksum: u32,
}

impl Identity {
    fn of(record: &[u8]) -> Self {
        Self { length: record.len() as u64, checksum: crc32fast::hash(record) }
    }

    pub(super) fn header(self) -> String {
        format!(r#"{{"journal":1,"record":"{}-{:08x}"}}"#, self.length, self.checksum)
    }
}

/// The checksum of everything up to some line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain(u32);

impl Chain {
    fn extend(self, text: &[u8]) -> Self {
        let mut hasher = Hasher::new_with_initial(self.0);
        hasher.update(text);
        Self(hasher.finalize())
    }

    pub(super) fn write(&mut self, text: &str, out: &mut Vec<u8>) {
        *self = self.extend(text.as_bytes());
        out.extend_from_slice(format!("{:08x} {text}\n", self.0).as_bytes());
    }

    /// The text of a line, if it is whole and the next one.
    fn read<'a>(&mut self, line: &'a [u8]) -> Option<&'a str> {
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let (sum, text) = line.split_once(' ')?;
        let next = self.extend(text.as_bytes());
        (sum == format!("{:08x}", next.0)).then_some(())?;
        *self = next;
        Some(text)
    }
}

/// A journal of one event on top of `record`.
#[cfg(test)]
pub(in super::super) fn written(record: &[u8], event: &str) -> Vec<u8> {
    let (mut chain, mut journal) = (Chain::default(), Vec::new());
    chain.write(&Identity::of(record).header(), &mut journal);
    chain.write(event, &mut journal);
    journal
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{ChunkId, EventKind, FileSeen, JobPhase, LogEntry, Progress};

    const RECORD: &[u8] = br#"{"id":"a","state":"running","odd":[1.50],"logs":[]}"#;

    fn event() -> impl Strategy<Value = EventKind> {
        let id = (0..20_u32).prop_map(|id| ChunkId::new(id.into()));
        let output = prop::option::of(
            (0..9_u64, 0.0..1e13_f64).prop_map(|(size, at)| FileSeen { size, modified_ms: at }),
        );
        let done = (id.clone(), 0.0..1e6_f64, ".*", "[\\x00-\\x7f]*", output, any::<bool>())
            .prop_map(|(id, took, stdout, stderr, output, counts)| EventKind::ChunkDone {
                entry: Arc::new(LogEntry::new(id, took, stdout.into(), stderr.into())),
                output,
                progress: counts.then_some(Progress { done: 1, total: 3 }),
            });
        prop_oneof![
            4 => done,
            1 => id.prop_map(EventKind::AttemptFailed),
            1 => Just(EventKind::Phase(JobPhase::Merging)),
            1 => (0..9_usize).prop_map(|done| EventKind::Progress(Progress { done, total: 9 })),
        ]
    }

    /// A journal of events on top of [`RECORD`], and the record after each of them.
    fn written(kinds: Vec<EventKind>) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut chain, mut journal) = (Chain::default(), Vec::new());
        chain.write(&Identity::of(RECORD).header(), &mut journal);
        let mut status = JobStatus::parse(std::str::from_utf8(RECORD).unwrap()).unwrap();
        let mut states = vec![RECORD.to_vec()];
        for (at, kind) in (1_u32..).zip(kinds) {
            let event = JobEvent { at: at.into(), kind };
            event.apply(&mut status);
            chain.write(&event.json(), &mut journal);
            states.push(status.document().unwrap().json().into_bytes());
        }
        (journal, states)
    }

    fn folded(journal: &[u8]) -> Vec<u8> {
        fold(RECORD.to_vec(), Some(journal))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn every_prefix_is_a_state_that_was(kinds in prop::collection::vec(event(), 0..12)) {
            let (journal, states) = written(kinds);
            prop_assert_eq!(&folded(&journal), states.last().unwrap());
            let mut reached = 0;
            for end in 0..=journal.len() {
                let state = folded(&journal[..end]);
                let found = states[reached..].iter().position(|one| *one == state);
                // Never further back than with less of it.
                prop_assert!(found.is_some(), "cut at {end}");
                reached += found.unwrap_or_default();
            }
        }

        #[test]
        fn every_flipped_bit_leaves_a_state_that_was(
            kinds in prop::collection::vec(event(), 1..6),
            rest in 0..8_usize,
        ) {
            let (mut journal, states) = written(kinds);
            for place in (0..journal.len() * 8).filter(|place| place % 8 == rest) {
                journal[place / 8] ^= 1 << (place % 8);
                prop_assert!(states.contains(&folded(&journal)), "bit {place}");
                journal[place / 8] ^= 1 << (place % 8);
            }
        }

        #[test]
        fn lines_of_another_journal_do_not_count(
            one in prop::collection::vec(event(), 1..4),
            other in prop::collection::vec(event(), 1..4),
        ) {
            let (mut journal, states) = written(one);
            let (older, _) = written(other);
            // As a disk may leave it that had the older one in the same place: from the next line on.
            let lines: Vec<&[u8]> = older.split_inclusive(|byte| *byte == b'\n').collect();
            for start in 1..lines.len() {
                let whole = journal.len();
                journal.extend(lines[start..].concat());
                prop_assert!(states.contains(&folded(&journal)) || older.starts_with(&journal[..whole]));
                journal.truncate(whole);
            }
        }
    }

    #[test]
    fn journal_of_another_record_does_not_count() {
        let (journal, _) = written(vec![EventKind::Phase(JobPhase::Merging)]);
        let record = br#"{"id":"a","state":"paused"}"#.to_vec();
        assert_eq!(fold(record.clone(), Some(&journal)), record);
        assert_eq!(fold(record.clone(), Some(b"")), record);
        assert_eq!(fold(b"{".to_vec(), Some(&journal)), b"{");
    }
}
