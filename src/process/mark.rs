//! What tells the processes of one attempt from all others.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Makes marks that begin alike, and as no others do: also those of other machines and of times past.
#[derive(Debug)]
pub(super) struct Marks {
    beginning: String,
    count: AtomicU64,
}

impl Marks {
    /// What they begin with.
    pub(super) fn beginning(&self) -> &str {
        &self.beginning
    }

    /// A mark that nobody has.
    pub(super) fn next(&self) -> Mark {
        Mark(format!("{}-{:012x}", self.beginning, self.count.fetch_add(1, Relaxed)))
    }
}

impl Default for Marks {
    fn default() -> Self {
        let beginning = format!("{:016x}", uuid::Uuid::new_v4().as_u64_pair().1);
        Self { beginning, count: AtomicU64::new(0) }
    }
}

/// A text that every process of one attempt has in its environment, unless it was started with one that was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark(String);

impl Mark {
    /// The variable that marks are in.
    pub(super) const VARIABLE: &'static str = "HELIOS_ATTEMPT";
    /// How long all of them are.
    #[cfg(unix)]
    pub(super) const LEN: usize = 16 + 1 + 12;

    /// What all marks of a supervisor begin with, if `text` can be that.
    #[cfg(unix)]
    pub(super) fn beginning(text: &str) -> Option<Self> {
        let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(text.to_owned()))
    }

    #[cfg(unix)]
    /// The mark as text. All are equally long, so that none is the beginning of another.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the variable. A process of ours that is part of an attempt itself, as when a chunk's command runs a job,
    /// hands that attempt's mark on.
    pub(super) fn value(&self, inherited: Option<&OsStr>) -> OsString {
        let mut value = inherited.map(OsStr::to_os_string).unwrap_or_default();
        if !value.is_empty() {
            value.push(":");
        }
        value.push(&self.0);
        value
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_and_are_handed_on() {
        let marks = Marks::default();
        let (outer, inner) = (marks.next(), marks.next());
        assert_ne!(outer, inner);
        assert_eq!(outer.as_str().len(), inner.as_str().len());
        assert!(outer.as_str().starts_with(marks.beginning()));
        let value = inner.value(Some(&outer.value(None)));
        assert_eq!(value.to_str().unwrap(), format!("{outer}:{inner}"));
    }
}
