//! The journal of a running job, on a disk.

use std::sync::Arc;

use super::*;
use crate::{
    model::{ChunkId, EventKind, JobState, LogEntry},
    repository::{FileJobRepository, FileJobRepositoryOptions, JobRepository},
};

struct Desk {
    folder: tempfile::TempDir,
    repository: FileJobRepository,
    journal: Box<dyn Journal>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = FileJobRepository::new(folder.path(), FileJobRepositoryOptions::default());
        let journal = repository.journal("a").unwrap();
        Self { folder, repository, journal }
    }

    /// One with a record.
    async fn begun() -> Self {
        let desk = Self::new();
        desk.journal.save(&running()).await.unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn append(&self, ids: impl IntoIterator<Item = u32>) -> Appended {
        self.journal.append(ids.into_iter().map(|id| done(id, "out")).collect()).await.unwrap()
    }

    async fn logged(&self) -> usize {
        let record = self.repository.get("a").await.unwrap().unwrap();
        let listed = self.repository.list().await.unwrap().remove(0);
        let read = self.repository.read("a").await.unwrap().unwrap();
        let read = JobStatus::parse(std::str::from_utf8(&read).unwrap()).unwrap();
        let counts = [record, listed, read].map(|job| job.logs.unwrap_or_default().len());
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        counts[0]
    }
}

fn running() -> JobStatus {
    JobStatus { id: "a".into(), state: Some(JobState::Running), ..JobStatus::default() }
}

fn done(id: u32, stdout: &str) -> JobEvent {
    let entry = LogEntry::new(ChunkId::new(id.into()), 1.0, stdout.into(), "".into());
    let kind = EventKind::ChunkDone { entry: Arc::new(entry), output: None, progress: None };
    JobEvent { at: 1.0, kind }
}

#[tokio::test]
async fn events_are_part_of_the_record_until_it_is_written_anew() {
    let desk = Desk::begun().await;
    let before = std::fs::read(desk.path("a.json")).unwrap();
    assert_eq!(desk.append([1, 2]).await, Appended::Stored);
    assert_eq!(desk.append([3]).await, Appended::Stored);
    assert_eq!(desk.logged().await, 3);
    assert_eq!(std::fs::read(desk.path("a.json")).unwrap(), before, "only the journal is written");
    assert!(desk.repository.read_cached("a").is_none(), "what has to be folded takes the hop");
    desk.journal.save(&running()).await.unwrap();
    assert!(!desk.path("a.journal").exists());
    assert_eq!(desk.logged().await, 0);
}

#[tokio::test]
async fn journal_needs_a_record_that_is_still_its_own() {
    let desk = Desk::new();
    assert_eq!(desk.append([1]).await, Appended::NotHere, "never saved");
    for overtaken in ["saved", "written in place"] {
        let desk = Desk::begun().await;
        desk.append([1]).await;
        let text = r#"{"id":"a","state":"running","by":"somebody else"}"#;
        if overtaken == "saved" {
            desk.repository.save_json("a", text.into()).await.unwrap();
        } else {
            std::fs::write(desk.path("a.json"), text).unwrap();
        }
        assert_eq!(desk.logged().await, 0, "what somebody saves is what there is");
        assert_eq!(desk.append([2]).await, Appended::NotHere, "{overtaken}");
        assert_eq!(desk.append([2]).await, Appended::NotHere, "and so until it is saved");
    }
    let desk = Desk::begun().await;
    desk.append([1]).await;
    desk.repository.delete("a").await.unwrap();
    assert_eq!(desk.append([2]).await, Appended::Deleted);
    assert_eq!(std::fs::read_dir(desk.folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn journal_that_was_removed_is_not_written_to() {
    let desk = Desk::begun().await;
    desk.append([1]).await;
    std::fs::remove_file(desk.path("a.journal")).unwrap();
    assert_eq!(desk.append([2]).await, Appended::NotHere);
}

#[tokio::test]
async fn journal_that_has_grown_is_folded_in() {
    let desk = Desk::begun().await;
    let large = "x".repeat(100_000);
    let mut appended = Appended::Stored;
    let mut count = 0;
    while appended == Appended::Stored {
        count += 1;
        appended = desk.journal.append(vec![done(count, &large)]).await.unwrap();
    }
    assert_eq!((appended, count), (Appended::NotHere, 4));
}

#[tokio::test]
async fn events_that_cannot_be_written_leave_those_before() {
    let desk = Desk::begun().await;
    std::fs::create_dir(desk.path("a.journal")).unwrap();
    let error = desk.journal.append(vec![done(1, "")]).await.unwrap_err().to_string();
    assert!(error.starts_with("EISDIR: ") && error.contains("a.journal"), "{error}");
    assert_eq!(desk.append([1]).await, Appended::NotHere, "after an error comes the whole record");
}

#[cfg(unix)]
#[tokio::test]
async fn journal_may_be_read_by_those_who_may_read_the_record() {
    use std::os::unix::fs::PermissionsExt;
    for wanted in [0o600, 0o640, 0o644] {
        let desk = Desk::begun().await;
        let allow = std::fs::Permissions::from_mode(wanted);
        std::fs::set_permissions(desk.path("a.json"), allow).unwrap();
        desk.append([1]).await;
        let mode = std::fs::metadata(desk.path("a.journal")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, wanted);
    }
}
