//! A record on its way to a file or to JavaScript.

use std::{io, sync::Arc};

use super::{Logs, json};

/// Entries formatted under one lock of the log.
const LOG_BATCH: usize = 256;

/// A field: its text, or what it is made of.
#[derive(Debug)]
pub(super) enum Piece {
    Json(Arc<str>),
    Logs(Logs),
}

/// The fields of a record; can be written on any thread.
#[derive(Debug)]
pub struct JobDocument {
    pub(super) pieces: Vec<(String, Piece)>,
}

impl JobDocument {
    /// The whole document on one line (as far as its fields are).
    pub fn json(&self) -> String {
        let mut out = String::from("{");
        for (index, (name, piece)) in self.pieces.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&json::string(name));
            out.push(':');
            match piece {
                Piece::Json(text) => out.push_str(text),
                Piece::Logs(logs) => out.push_str(&logs.json()),
            }
        }
        out.push('}');
        out
    }

    /// Writes the document as `JSON.stringify(job, null, 2)` would.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn write_to(&self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        out.write_all(b"{")?;
        for (index, (name, piece)) in self.pieces.iter().enumerate() {
            out.write_all(if index > 0 { b",\n  " } else { b"\n  " })?;
            out.write_all(json::string(name).as_bytes())?;
            out.write_all(b": ")?;
            match piece {
                Piece::Json(text) => json::indent(text.as_bytes(), 1, out)?,
                Piece::Logs(logs) => write_logs(logs, out)?,
            }
        }
        out.write_all(if self.pieces.is_empty() { b"}" } else { b"\n}" })
    }
}

fn write_logs(logs: &Logs, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
    out.write_all(b"[")?;
    for start in (0..logs.len()).step_by(LOG_BATCH) {
        for (index, entry) in logs.range(start, start + LOG_BATCH).iter().enumerate() {
            out.write_all(if start + index > 0 { b",\n    " } else { b"\n    " })?;
            json::indent(entry.json().as_bytes(), 2, out)?;
        }
    }
    out.write_all(if logs.is_empty() { b"]" } else { b"\n  ]" })
}
