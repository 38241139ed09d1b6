//! From objects to files.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{GetResult, ObjectMeta};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::{
    super::{Error, OUTPUTS, failed, partial::Partial, relative},
    client::Client,
    dedupe,
    keys::{self, BLOBS, MANIFEST},
    parallel,
    source::{Hash, Properties, make_executable},
};
use crate::task;

/// Objects up to this size are written at once.
const SMALL: u64 = 1024 * 1024;
/// How many pieces of a larger one wait to be written: each is what the network gave at once.
const WAITING: usize = 4;

/// An object that is to become a file.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) target: PathBuf,
    /// What is known of it already.
    pub(super) size: Option<u64>,
    pub(super) properties: Option<Properties>,
}

/// Brings what is in the place of a job into a folder.
pub(super) async fn bundle(
    client: &Arc<Client>,
    job: &str,
    url: &str,
    target: &Path,
) -> Result<(), Error> {
    let objects = client.list(job).await?;
    let is_manifest = |object: &ObjectMeta| name_in(job, object) == Some(MANIFEST);
    let wanted = if objects.iter().any(is_manifest) {
        dedupe::wanted(client, job, target).await?
    } else {
        let mut wanted = plain(job, &objects, target)?;
        let definition = keys::spec(job);
        if wanted.iter().any(|wanted| wanted.key == definition)
            && !client.has(&keys::spec_beside(job)).await?
        {
            wanted.retain(|wanted| wanted.key != definition);
        }
        if wanted.is_empty() {
            return Err(Error::NothingStored(url.to_owned()));
        }
        wanted
    };
    let folder = target.to_owned();
    task::blocking(move || std::fs::create_dir_all(&folder).map_err(failed("mkdir", &folder)))
        .await?;
    debug!(job, files = wanted.len(), "bringing a folder");
    let brought = Arc::new(Brought::default());
    let fetched = parallel::each(wanted, client.concurrency, |wanted| {
        let (client, brought) = (Arc::clone(client), Arc::clone(&brought));
        async move { fetch(&client, wanted, &brought).await }
    });
    brought.settle(fetched.await).await
}

/// Brings one object into a file.
pub(super) async fn file(client: &Client, key: String, target: PathBuf) -> Result<(), Error> {
    let brought = Arc::new(Brought::default());
    let wanted = Wanted { key, target, size: None, properties: None };
    let fetched = fetch(client, wanted, &brought).await;
    brought.settle(fetched).await
}

/// The name of an object in the place of a job.
fn name_in<'a>(job: &str, object: &'a ObjectMeta) -> Option<&'a str> {
    object.location.as_ref().strip_prefix(job)?.strip_prefix('/')
}

/// The files of a bundle that is kept as it is.
fn plain(job: &str, objects: &[ObjectMeta], target: &Path) -> Result<Vec<Wanted>, Error> {
    let mut wanted = Vec::with_capacity(objects.len());
    // Blobs are left of a bundle that was kept by content before.
    let own = [OUTPUTS, BLOBS].map(|folder| format!("{folder}/"));
    for (index, object) in objects.iter().enumerate() {
        // The console of AWS makes an empty object with the name of a folder.
        let Some(name) = name_in(job, object) else { continue };
        let is_own = own.iter().any(|folder| name.starts_with(folder));
        if is_own || is_folder(object, objects.get(index + 1)) {
            continue;
        }
        let key = object.location.to_string();
        let name = relative(name).ok_or_else(|| Error::Key(key.clone()))?;
        let (target, size) = (target.join(name), Some(object.size));
        wanted.push(Wanted { key, target, size, properties: None });
    }
    Ok(wanted)
}

/// Whether an object stands for a folder, going by what follows it: the `/` at its end is cut off in lists.
fn is_folder(object: &ObjectMeta, next: Option<&ObjectMeta>) -> bool {
    let follows = |next: &ObjectMeta| next.location.prefix_matches(&object.location);
    object.size == 0 && next.is_some_and(follows)
}

/// Brings an object into its file, which appears when it is whole.
async fn fetch(client: &Client, wanted: Wanted, brought: &Arc<Brought>) -> Result<(), Error> {
    let Wanted { key, target, size, properties } = wanted;
    let Some(result) = client.get(&key).await? else {
        if size == Some(0) && properties.is_none() {
            // An empty object whose name ends with `/`.
            return task::blocking(move || {
                std::fs::create_dir_all(&target).map_err(failed("mkdir", &target))
            })
            .await;
        }
        return client.require(&key).await.map(drop);
    };
    let arrival = Arrival {
        url: client.keys.url(&key),
        target,
        // A manifest says what there must be; a list what there was a moment ago.
        size: if properties.is_some() { size.unwrap_or_default() } else { result.meta.size },
        properties: properties.unwrap_or_else(|| Properties::read(&result.attributes)),
        brought: Arc::clone(brought),
    };
    if arrival.size <= SMALL {
        return arrive_at_once(client, &key, result, arrival).await;
    }
    let (send, mut pieces) = mpsc::channel(WAITING);
    let written = brought
        .writers
        .spawn_blocking(move || arrival.write(std::iter::from_fn(|| pieces.blocking_recv())));
    let mut stream = result.into_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| client.broken(&key, error))?;
        // Nobody to hear it: the disk said no.
        if send.send(piece).await.is_err() {
            break;
        }
    }
    drop(send);
    joined(written.await)
}

async fn arrive_at_once(
    client: &Client,
    key: &str,
    result: GetResult,
    arrival: Arrival,
) -> Result<(), Error> {
    let bytes = result.bytes().await.map_err(|error| client.broken(key, error))?;
    let writers = arrival.brought.writers.clone();
    joined(writers.spawn_blocking(move || arrival.write([bytes].into_iter())).await)
}

fn joined(written: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    // A panic is a bug of ours and goes on in the caller, who turns it into a rejection.
    written.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// An object on its way into a file.
struct Arrival {
    url: String,
    target: PathBuf,
    size: u64,
    properties: Properties,
    brought: Arc<Brought>,
}

impl Arrival {
    /// Writes the pieces to a file, which gets its name when it is what was stored.
    fn write(self, pieces: impl Iterator<Item = Bytes>) -> Result<(), Error> {
        if let Some(folder) = self.target.parent() {
            std::fs::create_dir_all(folder).map_err(failed("mkdir", folder))?;
        }
        let partial = Partial::beside(&self.target);
        let mut file = File::create_new(partial.path()).map_err(failed("open", &self.target))?;
        let (mut hash, mut size) = (Hash::new(), 0);
        for piece in pieces {
            hash.update(&piece);
            size += piece.len() as u64;
            file.write_all(&piece).map_err(failed("write", &self.target))?;
        }
        self.check(size, hash)?;
        if self.properties.executable {
            make_executable(&file).map_err(failed("fchmod", &self.target))?;
        }
        let is_new = !self.target.exists();
        partial.rename(&self.target)?;
        if is_new {
            self.brought.add(self.target);
        }
        Ok(())
    }

    fn check(&self, size: u64, hash: Hash) -> Result<(), Error> {
        let damaged = |what| Err(Error::Damaged { url: self.url.clone(), what });
        if size != self.size {
            return damaged(format!("{size} of {} bytes came", self.size));
        }
        let is = hash.finish();
        match &self.properties.sha256 {
            Some(sha256) if *sha256 != is => damaged(format!("its SHA-256 is {is}, not {sha256}")),
            _ => Ok(()),
        }
    }
}

/// The new files that a download has brought. They go again unless all of it succeeds, also when nobody waits for it any
/// more: then with the last of those who write.
#[derive(Debug, Default)]
struct Brought {
    files: Mutex<Vec<PathBuf>>,
    writers: TaskTracker,
}

impl Brought {
    fn add(&self, file: PathBuf) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    /// Keeps the files, or removes them once nobody writes any more.
    async fn settle(&self, outcome: Result<(), Error>) -> Result<(), Error> {
        self.writers.close();
        self.writers.wait().await;
        let files = std::mem::take(&mut *self.files.lock().unwrap_or_else(PoisonError::into_inner));
        if outcome.is_err() {
            task::blocking(move || remove(files)).await;
        }
        outcome
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        remove(std::mem::take(self.files.get_mut().unwrap_or_else(PoisonError::into_inner)));
    }
}

fn remove(files: Vec<PathBuf>) {
    for file in files {
        // The failure that is told is the one that led here.
        drop(std::fs::remove_file(file));
    }
}
