//! Removes what dead processes have left in a folder of records.

use std::path::Path;

use super::{
    super::Error,
    journal::{self, continues, journal_path},
    managers::{ASKED, PREFIX},
    read_if_there, view,
};
use crate::{
    files::atomic::{self, Replacement},
    model::JobState,
};

/// Removes temporary files that nobody writes, journals that add nothing to their records, and requests to managers that are
/// gone. Best effort: what stays is found the next time.
pub(super) fn remove(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let temporary = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
        let target = temporary.map(|target| folder.join(target));
        if let Some(target) = target.filter(|target| ends_with(target, "json")) {
            atomic::remove_stray(&target);
        } else if ends_with(&path, "journal") {
            drop(remove_void_journal(&path.with_extension("json")));
        } else if name.starts_with(PREFIX) && ends_with(&path, ASKED) {
            // A manager has its own file before anybody can ask it for something.
            if !path.with_extension("").exists() {
                drop(std::fs::remove_file(path));
            }
        }
    }
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|its| its == extension)
}

fn remove_void_journal(record: &Path) -> Result<(), Error> {
    // As long as this is held nobody begins to run the job.
    let _held = Replacement::begin(record).map_err(Error::System)?;
    if let Some(text) = read_if_there(record)? {
        // Whoever runs it may just be beginning its journal.
        let is_run =
            matches!(view(&text)?.into_status().state, Some(JobState::Pending | JobState::Running));
        let journal = read_if_there(&journal_path(record))?.unwrap_or_default();
        if is_run || continues(&text, &journal) {
            return Ok(());
        }
    }
    journal::remove(record).map_err(Error::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_needs_goes() {
        let folder = tempfile::tempdir().unwrap();
        let manager = |n: u8| format!(".manager-00000000-0000-4000-8000-00000000000{n}");
        let [one, two] = [manager(1), manager(2)];
        let (asked, orphan) = (format!("{one}.asked"), format!("{two}.asked"));
        for (name, text) in [
            ("a.json", r#"{"state":"completed"}"#),
            ("a.journal", "of another record"),
            ("b.json", r#"{"state":"running"}"#),
            ("b.journal", ""),
            ("c.journal", "of none"),
            (".d.json.tmp", "{"),
            ("note.tmp", "somebody else's"),
            (&one, "{}"),
            (&asked, ""),
            (&orphan, ""),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        remove(folder.path());
        let left = std::fs::read_dir(folder.path()).unwrap();
        let mut left: Vec<_> =
            left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, [&*one, &*asked, "a.json", "b.journal", "b.json", "note.tmp"]);
    }

    #[test]
    fn journal_that_adds_to_its_record_stays() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("a.json");
        let text = br#"{"id":"a","state":"failed"}"#;
        std::fs::write(&record, text).unwrap();
        let journal = journal::written(text, r#"{"event":"phase","at":1,"phase":"merging"}"#);
        std::fs::write(journal_path(&record), &journal).unwrap();
        remove(folder.path());
        assert_eq!(std::fs::read(journal_path(&record)).unwrap(), journal);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
