//! Keeps each record as a JSON file in a folder, in the format of the original package.

mod cached;
mod journal;
mod listing;
mod managers;
mod strays;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tracing::debug;

pub use listing::Listing;

use self::{
    cached::Cached,
    journal::{FileJournal, fold, journal_path},
};
use super::{Error, JobRepository, Journal, Managers};
use crate::{
    Result,
    error::SystemError,
    files::{
        self,
        atomic::{self, Durability, Replacement},
    },
    keyed_lock::KeyedLock,
    model::{JobDocument, JobStatus, RecordView, json},
    task,
};

/// Settings of a [`FileJobRepository`].
#[derive(Clone, Copy, Debug)]
pub struct FileJobRepositoryOptions {
    /// Whether a save survives a power cut. Default `true`; without it a save survives a crash of the process only.
    pub fsync: bool,
}

impl Default for FileJobRepositoryOptions {
    fn default() -> Self {
        Self { fsync: true }
    }
}

/// One file `<id>.json` per job, replaced atomically. While a job runs, `<id>.journal` beside it holds what has happened
/// since.
#[derive(Clone, Debug)]
pub struct FileJobRepository {
    folder: Arc<Path>,
    durability: Durability,
    writers: Rc<KeyedLock>,
}

impl FileJobRepository {
    /// A repository in `folder`, which is made on the first save.
    pub fn new(folder: impl AsRef<Path>, options: FileJobRepositoryOptions) -> Self {
        let durability = if options.fsync { Durability::Synced } else { Durability::Cached };
        Self { folder: path_clean::clean(folder).into(), durability, writers: Rc::default() }
    }

    /// Stores a record that is a JSON text without indentation.
    ///
    /// # Errors
    /// When the id is not a plain file name, or the disk says no. What was saved before is then still there.
    pub async fn save_json(&self, id: &str, text: Vec<u8>) -> Result<(), Error> {
        self.write(id, move |out| json::indent(&text, 0, out)).await
    }

    /// The text of a record, with what its journal adds.
    ///
    /// # Errors
    /// When the id is not a plain file name, or the file cannot be read. A missing file is `None`.
    pub async fn read(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(id)?;
        task::blocking(move || read(&path)).await
    }

    /// As [`FileJobRepository::read`], but never waits for a disk: `None` when it would have to. A thread hop costs
    /// ten times as much as reading a record from the page cache.
    ///
    /// # Errors
    /// As [`FileJobRepository::read`].
    pub fn read_cached(&self, id: &str) -> Option<Result<Option<Vec<u8>>, Error>> {
        match self.path(id) {
            Ok(path) => match (cached::read(&journal_path(&path)), cached::read(&path)) {
                // Folding a journal takes longer than the hop.
                (Cached::Content(_) | Cached::Unknown, _) | (_, Cached::Unknown) => None,
                (_, Cached::Content(text)) => Some(Ok(Some(text))),
                (_, Cached::Missing) => Some(Ok(None)),
            },
            Err(error) => Some(Err(error)),
        }
    }

    /// The texts of all records.
    ///
    /// # Errors
    /// When the folder cannot be read. A missing folder is empty.
    pub async fn read_all(&self) -> Result<Listing, Error> {
        let folder = Arc::clone(&self.folder);
        task::blocking(move || listing::read(&folder)).await
    }

    /// Removes a record.
    ///
    /// # Errors
    /// When the id is not a plain file name, or the disk says no.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        let path = self.path(id)?;
        let durability = self.durability;
        let _writer = self.writers.acquire(id).await;
        task::blocking(move || remove_if_there(&path, durability)).await
    }

    async fn write(
        &self,
        id: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let path = self.path(id)?;
        let durability = self.durability;
        let _writer = self.writers.acquire(id).await;
        task::blocking(move || {
            let record = Replacement::begin(&path).map_err(Error::System)?;
            journal::replace(record, durability, write)?;
            debug!(record = %path.display(), "record written");
            Ok(())
        })
        .await
    }

    /// The file of a job. Ids that mean another folder, or no file at all, are refused before anything is touched.
    fn path(&self, id: &str) -> Result<PathBuf, Error> {
        if matches!(id, "" | "." | "..") || id.contains(['/', '\\', '\0']) {
            return Err(Error::InvalidId(id.to_owned()));
        }
        Ok(self.folder.join(format!("{id}.json")))
    }
}

impl JobRepository for FileJobRepository {
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let document: JobDocument = job.document()?;
            Ok(self.write(&job.id, move |out| document.write_to(out)).await?)
        }
        .boxed_local()
    }

    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>> {
        async move {
            let path = self.path(id)?;
            let view =
                task::blocking(move || read(&path)?.as_deref().map(view).transpose()).await?;
            Ok(view.map(RecordView::into_status))
        }
        .boxed_local()
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>> {
        async move {
            let listing = self.read_all().await?;
            let views = task::blocking(move || {
                listing.records().map(|text| view(text.as_bytes())).collect::<Vec<_>>()
            })
            .await;
            Ok(views.into_iter().filter_map(Result::ok).map(RecordView::into_status).collect())
        }
        .boxed_local()
    }

    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        async move { Ok(self.remove(id).await?) }.boxed_local()
    }

    fn journal(&self, id: &str) -> Option<Box<dyn Journal>> {
        let path = self.path(id).ok()?;
        let writers = Rc::clone(&self.writers);
        Some(Box::new(FileJournal::new(id, path, self.durability, writers)))
    }

    fn managers(&self) -> Option<&dyn Managers> {
        Some(self)
    }
}

fn view(text: &[u8]) -> Result<RecordView, Error> {
    RecordView::parse(&String::from_utf8_lossy(text)).map_err(Error::Syntax)
}

/// The record at `path`, with what its journal adds.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    // The journal first: when the record is written anew in between, it holds all that the journal had, and does not fit it.
    let journal = read_if_there(&journal_path(path));
    let Some(record) = read_if_there(path)? else { return Ok(None) };
    Ok(Some(fold(record, journal?.as_deref())))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::System(SystemError::new(error, "open", path))),
    }
}

fn remove_if_there(path: &Path, durability: Durability) -> Result<(), Error> {
    atomic::remove_stray(path);
    remove_record(path, durability)
}

fn remove_record(path: &Path, durability: Durability) -> Result<(), Error> {
    // First, so that none is left without its record.
    journal::remove(path).map_err(Error::System)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => {
            removed.map_err(|error| Error::System(SystemError::new(error, "unlink", path)))?;
        }
    }
    if durability == Durability::Synced {
        files::sync_folder(path)
            .map_err(|error| Error::System(SystemError::new(error, "fsync", path)))?;
    }
    Ok(())
}
