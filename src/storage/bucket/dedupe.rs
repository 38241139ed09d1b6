//! Bundles that are kept by content: what another job has stored already is copied within the bucket, and not sent again.
//!
//! A job has its own copy of every blob, and a manifest that says which file is which. An index in the root of the bucket
//! names, for each blob, the job that had it last: a hint where to copy from, and nothing more. A hint that is wrong costs
//! an upload; no job depends on another.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use object_store::{ObjectMeta, path::Path as Key};
use serde::{Deserialize, Serialize};

use super::{
    super::{Error, Exclusions, relative},
    client::Client,
    download::Wanted,
    keys::{self, BLOBS},
    parallel,
    source::{Hashed, Properties},
    upload,
};

/// Which file has which content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    files: BTreeMap<String, Entry>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    size: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    executable: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

const VERSION: u32 = 1;

/// Stores a folder in the place of a job.
pub(super) async fn bundle(
    client: &Arc<Client>,
    job: &str,
    folder: &Path,
    exclusions: Exclusions,
) -> Result<(), Error> {
    let tree = upload::look(folder, exclusions).await?;
    let bundle = Arc::new(Bundle { job: job.to_owned(), ..Bundle::default() });
    let mut files = Vec::with_capacity(tree.files.len());
    for path in tree.files {
        files.push((folder.join(&path), upload::name(&path)?));
    }
    parallel::each(files, client.concurrency, |(path, name)| {
        let (client, bundle) = (Arc::clone(client), Arc::clone(&bundle));
        async move {
            let file = upload::read(&client, path).await?;
            bundle.store(&client, name, file).await
        }
    })
    .await?;
    let files = std::mem::take(&mut *lock(&bundle.files));
    // Last: whoever sees it finds all that it names.
    store(client, job, files).await
}

/// Keeps a folder without files: nothing else would tell it from one that was never stored.
pub(super) async fn empty(client: &Client, job: &str) -> Result<(), Error> {
    store(client, job, BTreeMap::new()).await
}

/// Stores a manifest.
async fn store(client: &Client, job: &str, files: BTreeMap<String, Entry>) -> Result<(), Error> {
    let text = serde_json::to_vec(&Manifest { version: VERSION, files });
    let text = text.unwrap_or_else(|_| unreachable!("names and numbers have a JSON form"));
    client.put(&keys::manifest(job), text.into(), Properties::default().attributes()).await
}

/// A bundle that is being stored.
#[derive(Debug, Default)]
struct Bundle {
    job: String,
    files: Mutex<BTreeMap<String, Entry>>,
    /// The blobs that somebody sees to already.
    blobs: Mutex<HashMap<String, u64>>,
}

impl Bundle {
    async fn store(&self, client: &Client, name: String, file: Hashed) -> Result<(), Error> {
        let sha256 = file.properties.sha256.clone().unwrap_or_default();
        let (size, executable) = (file.source.size, file.properties.executable);
        let is_new = lock(&self.blobs).insert(sha256.clone(), size).is_none();
        if is_new {
            self.store_blob(client, &sha256, file).await?;
        }
        lock(&self.files).insert(name, Entry { sha256, size, executable });
        Ok(())
    }

    async fn store_blob(&self, client: &Client, sha256: &str, file: Hashed) -> Result<(), Error> {
        let (index, blob) = (keys::index(sha256), keys::blob(&self.job, sha256));
        let is_there = match holder(client, &index).await? {
            Some(job) if job == self.job => client.holds(&blob, file.source.size, sha256).await?,
            // Whatever is in the way, such as a size that is too large to copy: it can still be sent.
            Some(job) => {
                let other = keys::blob(&job, sha256);
                // One that is damaged must not go from job to job.
                let is_whole = client.holds(&other, file.source.size, sha256).await;
                is_whole.unwrap_or(false) && client.copy(&other, &blob).await.unwrap_or(false)
            }
            None => false,
        };
        if !is_there {
            // What is the same in content may differ in what may be done with it: that is for the manifest.
            let properties = Properties { executable: false, ..file.properties };
            upload::send(client, Hashed { properties, ..file }, &blob).await?;
        }
        client
            .put(&index, self.job.clone().into_bytes().into(), Properties::default().attributes())
            .await
    }
}

/// The job that had a blob last. Whoever may not look, or finds nonsense, knows of none.
async fn holder(client: &Client, index: &str) -> Result<Option<String>, Error> {
    let text = client.hint(index).await?.and_then(|bytes| String::from_utf8(bytes.into()).ok());
    Ok(text.filter(|job| keys::job(job).is_ok()))
}

/// What is to be fetched of a bundle that is kept by content.
pub(super) async fn wanted(
    client: &Client,
    job: &str,
    target: &Path,
) -> Result<Vec<Wanted>, Error> {
    let key = keys::manifest(job);
    let damaged = |what| Error::Damaged { url: client.keys.url(&key), what };
    let manifest: Manifest = serde_json::from_slice(&client.require(&key).await?)
        .map_err(|error| damaged(error.to_string()))?;
    if manifest.version != VERSION {
        return Err(damaged(format!("its version is {}, not {VERSION}", manifest.version)));
    }
    let mut wanted = Vec::with_capacity(manifest.files.len());
    for (name, entry) in manifest.files {
        let Entry { sha256, size, executable } = entry;
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(damaged(format!("{sha256:?} is no SHA-256")));
        }
        let path = relative(&name).ok_or(Error::Key(name))?;
        wanted.push(Wanted {
            key: keys::blob(job, &sha256),
            target: target.join(path),
            size: Some(size),
            properties: Some(Properties { sha256: Some(sha256), executable }),
        });
    }
    Ok(wanted)
}

/// Removes from the index what is about to go with a job.
pub(super) async fn forget(
    client: &Arc<Client>,
    job: &str,
    objects: &[ObjectMeta],
) -> Result<(), Error> {
    let place = Key::from_iter([BLOBS]);
    let prefix = format!("{job}/{place}/");
    let blobs = objects.iter().filter_map(|object| object.location.as_ref().strip_prefix(&prefix));
    let blobs: Vec<String> = blobs.map(keys::index).collect();
    parallel::each(blobs, client.concurrency, |index| {
        let (client, job) = (Arc::clone(client), job.to_owned());
        async move {
            // Who takes the entry over at this very moment has his copy, and the next one an upload.
            if holder(&client, &index).await?.is_some_and(|holder| holder == job) {
                client.delete(&index).await?;
            }
            Ok(())
        }
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
