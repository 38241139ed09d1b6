//! What happened in a running job since its record was last written: one line per event, appended and synced.
//!
//! `<id>.journal` beside `<id>.json`, in the format of [`mod@format`].

mod format;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crc32fast::Hasher;
use futures_util::{FutureExt, future::LocalBoxFuture};

#[cfg(test)]
pub(super) use self::format::written;
use self::format::{Chain, Identity};
pub(super) use self::format::{continues, fold};
use super::super::{Appended, Error, Journal};
use crate::{
    Result,
    error::SystemError,
    files::{
        self,
        atomic::{Durability, Replacement},
    },
    keyed_lock::KeyedLock,
    model::{JobEvent, JobStatus},
    task,
};

/// A journal smaller than this need not be folded into its record for its size.
const SMALLEST_LIMIT: u64 = 256 * 1024;
/// How old a record may be that others read without its journal, as the original package does.
const OLDEST_RECORD: Duration = Duration::from_secs(5);
/// Whole records may take one part in so many of the time, however large they grow: writing then costs time in proportion
/// to how long the job runs, not to the square of its chunks.
const WRITING_SHARE: u32 = 20;

/// The journal of the record at `record`.
pub(super) fn journal_path(record: &Path) -> PathBuf {
    record.with_extension("journal")
}

/// The journal of one running job.
#[derive(Debug)]
pub(super) struct FileJournal {
    pub(super) id: String,
    pub(super) record: PathBuf,
    pub(super) durability: Durability,
    pub(super) writers: Rc<KeyedLock>,
    state: Arc<Mutex<Place>>,
}

/// What a journal holds open. Threads that write put it back here, so that it is found when nobody waits for them any more.
#[derive(Debug, Default)]
struct Place {
    /// `None` where the record was not written by us, or something went wrong since: then it has to be written again.
    state: Option<State>,
    released: bool,
}

impl Place {
    fn put(&mut self, state: State) {
        self.state = Some(state).filter(|_| !self.released);
    }
}

fn open(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a journal is.
#[derive(Debug)]
struct State {
    record: WrittenRecord,
    file: Option<File>,
    chain: Chain,
    size: u64,
    /// When the record was written, and how long that took.
    written: (Instant, Duration),
}

impl FileJournal {
    pub(super) fn new(
        id: &str,
        record: PathBuf,
        durability: Durability,
        writers: Rc<KeyedLock>,
    ) -> Self {
        Self { id: id.to_owned(), record, durability, writers, state: Arc::default() }
    }
}

impl Journal for FileJournal {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            open(&self.state).state = None;
            let document = job.document()?;
            let (path, durability) = (self.record.clone(), self.durability);
            let _writer = self.writers.acquire(&self.id).await;
            let place = Arc::clone(&self.state);
            task::blocking(move || {
                let started = Instant::now();
                let record = save(&path, durability, |out| document.write_to(out))?;
                let written = (Instant::now(), started.elapsed());
                open(&place).put(State {
                    record,
                    file: None,
                    chain: Chain::default(),
                    size: 0,
                    written,
                });
                Ok::<_, Error>(())
            })
            .await?;
            Ok(())
        }
        .boxed_local()
    }

    fn append(&self, events: Vec<JobEvent>) -> LocalBoxFuture<'_, Result<Appended>> {
        async move {
            // Taken out: what goes wrong, or is left in the middle, leaves nothing to go on from.
            let Some(mut state) = open(&self.state).state.take() else {
                return Ok(Appended::NotHere);
            };
            let (path, durability) = (self.record.clone(), self.durability);
            let place = Arc::clone(&self.state);
            let _writer = self.writers.acquire(&self.id).await;
            let appended = task::blocking(move || {
                let appended = state.append(&path, durability, &events)?;
                if appended == Appended::Stored {
                    open(&place).put(state);
                }
                Ok::<_, Error>(appended)
            });
            Ok(appended.await?)
        }
        .boxed_local()
    }

    fn release(&self) -> Box<dyn FnOnce()> {
        let place = Arc::downgrade(&self.state);
        Box::new(move || {
            if let Some(place) = place.upgrade() {
                *open(&place) = Place { state: None, released: true };
            }
        })
    }
}

impl State {
    fn append(
        &mut self,
        record: &Path,
        durability: Durability,
        events: &[JobEvent],
    ) -> Result<Appended, Error> {
        let path = journal_path(record);
        let failed = |syscall| {
            let path = &path;
            move |source| Error::System(SystemError::new(source, syscall, path))
        };
        match self.record.is_at(record) {
            Ok(true) => {}
            Ok(false) => return Ok(Appended::NotHere),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Appended::Deleted),
            Err(error) => return Err(Error::System(SystemError::new(error, "stat", record))),
        }
        let (written, took) = self.written;
        if self.size > SMALLEST_LIMIT.max(self.record.identity.length)
            || written.elapsed() > OLDEST_RECORD.max(took * WRITING_SHARE)
            || self.file.as_ref().is_some_and(is_removed)
        {
            return Ok(Appended::NotHere);
        }
        let (mut chain, mut lines) = (self.chain, Vec::new());
        let is_new = self.file.is_none();
        if is_new {
            chain.write(&self.record.identity.header(), &mut lines);
        }
        for event in events {
            chain.write(&event.json(), &mut lines);
        }
        if is_new {
            self.file = Some(create(&path, record).map_err(failed("open"))?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&lines).map_err(failed("write"))?;
            if durability == Durability::Synced {
                file.sync_data().map_err(failed("fsync"))?;
            }
        }
        if is_new && durability == Durability::Synced {
            files::sync_folder(&path).map_err(failed("fsync"))?;
        }
        self.chain = chain;
        self.size += lines.len() as u64;
        Ok(Appended::Stored)
    }
}

/// Makes an empty journal that those may read who may read the record.
fn create(journal: &Path, record: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(journal)?;
    file.set_permissions(std::fs::metadata(record)?.permissions())?;
    Ok(file)
}

/// Writes a record, which makes its journal void, and removes that before somebody else may begin the next one.
pub(super) fn replace(
    record: Replacement<'_>,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<File, Error> {
    let path = record.target();
    record.commit(durability, write, || remove(path)).map_err(Error::System)
}

/// Writes a record; gives what it will be known by.
fn save(
    record: &Path,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<WrittenRecord, Error> {
    let mut identity = None;
    let begun = Replacement::begin(record).map_err(Error::System)?;
    let file = replace(begun, durability, |out| {
        let mut summed = Summed { out, hasher: Hasher::new(), length: 0 };
        write(&mut summed)?;
        let checksum = summed.hasher.finalize();
        identity = Some(Identity { length: summed.length, checksum });
        Ok(())
    })?;
    let identity = identity.expect("a file that was replaced was written");
    let written = WrittenRecord::new(identity, file);
    written.map_err(|source| Error::System(SystemError::new(source, "stat", record)))
}

/// Removes the journal of a record, if it has one.
pub(super) fn remove(record: &Path) -> Result<(), SystemError> {
    let path = journal_path(record);
    files::gone(std::fs::remove_file(&path))
        .map_err(|error| SystemError::new(error, "unlink", path))
}

/// Passes a text on and adds it up.
struct Summed<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
    length: u64,
}

impl Write for Summed<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let written = self.out.write(text)?;
        self.hasher.update(&text[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A record as we wrote it.
#[derive(Debug)]
struct WrittenRecord {
    identity: Identity,
    /// Open, so that the number of its inode is given to no other file.
    file: File,
    modified: std::time::SystemTime,
}

impl WrittenRecord {
    fn new(identity: Identity, file: File) -> io::Result<Self> {
        let modified = file.metadata()?.modified()?;
        Ok(Self { identity, file, modified })
    }

    /// Whether it is still what its name means. Somebody may have saved another one, or written into it.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let now = std::fs::metadata(path)?;
        Ok(now.len() == self.identity.length
            && now.modified()? == self.modified
            && files::is_same(&self.file.metadata()?, &now))
    }
}

/// Whether a file has no name any more. Somebody may have tidied the folder up.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests;
