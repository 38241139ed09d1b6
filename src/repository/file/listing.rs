//! Reads all records of a folder at once.

use std::{
    cmp::Ordering,
    collections::HashSet,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{super::Error, read_if_there};
use crate::{error::SystemError, model::decode_utf8};

/// How many files a thread takes at a time.
const STRIPE: usize = 32;
/// More threads than this do not read a page cache faster.
const MAX_THREADS: usize = 4;

/// The texts of records, the oldest job first, and what could not be read.
#[derive(Debug, Default)]
pub struct Listing {
    records: Vec<Record>,
    /// Files that are no records, with the reason.
    pub failures: Vec<(PathBuf, String)>,
}

#[derive(Debug)]
struct Record {
    created_at: Option<f64>,
    name: OsString,
    text: String,
}

impl Listing {
    /// The texts, each a valid JSON value.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|record| record.text.as_str())
    }
}

/// Reads the records in `folder`. Files that vanish meanwhile were deleted, and are left out.
pub(super) fn read(folder: &Path) -> Result<Listing, Error> {
    let system = |source| Error::System(SystemError::new(source, "scandir", folder));
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        entries => entries.map_err(system)?,
    };
    let mut names = Names::default();
    for entry in entries {
        names.add(entry.map_err(system)?.file_name());
    }
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let work = || read_stripes(folder, &names, &next);
    let parts: Vec<Listing> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(names.records.len().div_ceil(STRIPE)))
            .map(|_| scope.spawn(work))
            .collect();
        let own = work();
        // A panic is a bug of ours: let it go on in the caller.
        let join = |thread: std::thread::ScopedJoinHandle<'_, Listing>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        std::iter::once(own).chain(others.into_iter().map(join)).collect()
    });
    let mut listing = Listing::default();
    for part in parts {
        listing.records.extend(part.records);
        listing.failures.extend(part.failures);
    }
    listing.records.sort_unstable_by(Record::by_age);
    listing.failures.sort_unstable();
    Ok(listing)
}

/// What is in a folder.
#[derive(Default)]
struct Names {
    records: Vec<OsString>,
    /// Of the records, those that had a journal when the folder was read: the events of any other are newer than that.
    with_journal: HashSet<OsString>,
}

impl Names {
    fn add(&mut self, name: OsString) {
        match Path::new(&name).extension() {
            Some(extension) if extension == "json" => self.records.push(name),
            Some(extension) if extension == "journal" => {
                self.with_journal.insert(Path::new(&name).with_extension("json").into());
            }
            _ => {}
        }
    }
}

fn read_stripes(folder: &Path, names: &Names, next: &AtomicUsize) -> Listing {
    let mut listing = Listing::default();
    loop {
        let start = next.fetch_add(STRIPE, Relaxed);
        let Some(rest) = names.records.get(start..).filter(|rest| !rest.is_empty()) else {
            return listing;
        };
        for name in rest.iter().take(STRIPE) {
            let path = folder.join(name);
            let read = if names.with_journal.contains(name) { super::read } else { read_if_there };
            match read(&path).map(|text| text.map(decode_utf8)) {
                Ok(None) => {}
                Err(error) => listing.failures.push((path, error.to_string())),
                Ok(Some(text)) => match Record::parse(name, text) {
                    Ok(record) => listing.records.push(record),
                    Err(error) => listing.failures.push((path, error.to_string())),
                },
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
}

impl Record {
    fn parse(name: &OsString, text: String) -> Result<Self, serde_json::Error> {
        let created_at = match serde_json::from_str::<Head<'_>>(&text) {
            Ok(head) => head.created_at.and_then(|number| serde_json::from_str(number.get()).ok()),
            // Not an object, or with a key that is no Unicode: still a value for JavaScript, only without an age.
            Err(_) => serde_json::from_str::<IgnoredAny>(&text).map(|_| None)?,
        };
        Ok(Self { created_at, name: name.clone(), text })
    }

    /// Records without a date come first.
    fn by_age(&self, other: &Self) -> Ordering {
        let age = |record: &Self| record.created_at.unwrap_or(f64::NEG_INFINITY);
        age(self).total_cmp(&age(other)).then_with(|| self.name.cmp(&other.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_sorted_and_broken_files_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.json", r#"{"createdAt":2}"#),
            ("a.json", r#"{"createdAt":2}"#),
            ("c.json", r#"{"createdAt":1}"#),
            ("d.json", r#"{"createdAt":"x"}"#),
            ("e.json", "{"),
            (".f.json.tmp", "{"),
            ("g.txt", "{}"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("h.json")).unwrap();
        let listing = read(folder.path()).unwrap();
        let names: Vec<_> =
            listing.records.iter().map(|record| record.name.to_str().unwrap()).collect();
        assert_eq!(names, ["d.json", "c.json", "a.json", "b.json"]);
        let failed: Vec<_> = listing
            .failures
            .iter()
            .map(|(path, _)| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(failed, ["e.json", "h.json"]);
        assert!(listing.failures[1].1.starts_with("EISDIR: illegal operation on a directory, "));
    }

    #[test]
    fn missing_folder_is_empty() {
        assert_eq!(read(Path::new("/no/such/folder")).unwrap().records().count(), 0);
    }
}
