//! What stores on the network fail with.

use std::fmt;

/// What a store answered, or why it could not be asked, in one line: `cannot write s3://bucket/key: AccessDenied (403): …`.
#[derive(Debug)]
pub struct StoreError {
    /// What was tried, such as `write`.
    pub action: &'static str,
    /// With what.
    pub url: String,
    /// The store's own code (`NoSuchBucket`), or that of the system where the network failed (`ECONNREFUSED`).
    pub code: Option<String>,
    /// The status of its answer.
    pub status: Option<u16>,
    /// What happened, in its words.
    pub reason: String,
}

impl StoreError {
    /// That a bucket cannot be reached at all.
    pub fn unreachable(url: String, reason: String) -> Self {
        Self { action: "open", url, code: None, status: None, reason }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.action, self.url)?;
        match (&self.code, self.status) {
            (Some(code), Some(status)) => write!(f, ": {code} ({status})")?,
            (Some(code), None) => write!(f, ": {code}")?,
            (None, Some(status)) => write!(f, ": status {status}")?,
            (None, None) => {}
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

impl std::error::Error for StoreError {}
