//! From files to objects.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::debug;

use super::{
    super::{Error, Exclusions, OUTPUTS, SPEC, tree::Tree},
    client::Client,
    dedupe,
    keys::{self, BLOBS, MANIFEST},
    multipart::Multipart,
    parallel,
    source::{Hash, Hashed, Properties, Source},
};
use crate::task;

/// Files up to this size are read without asking for room: there are no more of them than are on their way at once.
const SMALL: u64 = 1024 * 1024;
/// Larger files are stored in pieces.
const SINGLE: u64 = 16 * 1024 * 1024;
/// The size of a piece, but for files that have too many of them.
const PIECE: u64 = 8 * 1024 * 1024;
/// As many pieces as S3 takes.
const MAX_PIECES: u64 = 10_000;

/// What is stored of a folder.
pub(super) async fn look(folder: &Path, exclusions: Exclusions) -> Result<Tree, Error> {
    let folder = folder.to_owned();
    task::blocking(move || {
        if !folder.is_dir() {
            return Err(Error::NoLocalFolder(folder));
        }
        let mut tree = Tree::read(&folder, &exclusions)?;
        for own in [OUTPUTS, MANIFEST, BLOBS] {
            tree.leave_out(Path::new(own));
        }
        Ok(tree)
    })
    .await
}

/// The name of a file in a folder as keys have it.
pub(super) fn name(file: &Path) -> Result<String, Error> {
    let parts: Option<Vec<&str>> = file.iter().map(|part| part.to_str()).collect();
    let name =
        parts.map(|parts| parts.join("/")).filter(|name| super::super::relative(name).is_some());
    name.ok_or_else(|| Error::Name(file.to_owned()))
}

/// Stores a folder in the place of a job.
pub(super) async fn bundle(
    client: &Arc<Client>,
    job: &str,
    folder: &Path,
    exclusions: Exclusions,
) -> Result<(), Error> {
    let tree = look(folder, exclusions).await?;
    if tree.has_file(SPEC) {
        move_definition(client, job).await?;
    }
    let mut files = Vec::with_capacity(tree.files.len());
    for path in tree.files {
        files.push((folder.join(&path), format!("{job}/{}", name(&path)?)));
    }
    if files.is_empty() {
        return dedupe::empty(client, job).await;
    }
    // What was kept by content before would hide what is stored now.
    let manifest = keys::manifest(job);
    if client.has(&manifest).await? {
        client.delete(&manifest).await?;
    }
    debug!(job, files = files.len(), "storing a folder");
    let client = Arc::clone(client);
    parallel::each(files, client.concurrency, |(path, key)| {
        let client = Arc::clone(&client);
        async move { file(&client, &path, &key).await }
    })
    .await
}

/// From now on the job's definition is beside its place: what is in it is the user's own.
async fn move_definition(client: &Client, job: &str) -> Result<(), Error> {
    let (own, beside) = (keys::spec(job), keys::spec_beside(job));
    if client.has(&beside).await? || client.copy(&own, &beside).await? {
        return Ok(());
    }
    client.put(&beside, Vec::new().into(), Properties::default().attributes()).await
}

/// Removes what says that a bundle has a `job.json` of its own, where there is no such bundle any more. A definition stays.
pub(super) async fn forget_own(client: &Client, job: &str) -> Result<(), Error> {
    let beside = keys::spec_beside(job);
    if client.is_empty(&beside).await? { client.delete(&beside).await } else { Ok(()) }
}

/// Stores a file.
pub(super) async fn file(client: &Client, path: &Path, key: &str) -> Result<(), Error> {
    let file = read(client, path.to_owned()).await?;
    send(client, file, key).await
}

/// Reads a file, of a large one only what its content is.
pub(super) async fn read(client: &Client, path: PathBuf) -> Result<Hashed, Error> {
    let (source, bytes) = task::blocking(move || {
        let source = Source::open(&path)?;
        let bytes = if source.size <= SMALL { Some(source.read_all()?) } else { None };
        Ok::<_, Error>((Arc::new(source), bytes))
    })
    .await?;
    let sha256 = match &bytes {
        Some(bytes) => Hash::of(bytes),
        None => hash(client, &source).await?,
    };
    let properties = Properties { sha256: Some(sha256), executable: source.is_executable() };
    Ok(Hashed { source, bytes, properties })
}

/// Reads a large file piece by piece, so that who does not want it any more need not wait for its end.
async fn hash(client: &Client, source: &Arc<Source>) -> Result<String, Error> {
    let room = client.room(SMALL).await;
    let (mut hash, mut left) = (Hash::new(), source.size);
    while left > 0 {
        let of = Arc::clone(source);
        let piece;
        (hash, piece) = task::blocking(move || {
            let bytes = of.read(SMALL)?;
            hash.update(&bytes);
            Ok::<_, Error>((hash, bytes.len() as u64))
        })
        .await?;
        if piece == 0 {
            source.is_unchanged(source.size - left)?;
        }
        left = left.saturating_sub(piece);
    }
    drop(room);
    Ok(hash.finish())
}

/// Stores a file that was read.
pub(super) async fn send(client: &Client, file: Hashed, key: &str) -> Result<(), Error> {
    let Hashed { source, bytes, properties } = file;
    if let Some(bytes) = bytes {
        return client.put(key, bytes.into(), properties.attributes()).await;
    }
    let from = Arc::clone(&source);
    task::blocking(move || from.rewind()).await?;
    if source.size > SINGLE {
        return send_pieces(client, &source, properties, key).await;
    }
    let room = client.room(source.size).await;
    let bytes = task::blocking(move || source.read_all()).await?;
    let stored = client.put(key, bytes.into(), properties.attributes()).await;
    drop(room);
    stored
}

async fn send_pieces(
    client: &Client,
    source: &Arc<Source>,
    properties: Properties,
    key: &str,
) -> Result<(), Error> {
    let mut upload = client.begin(key, properties.attributes()).await?;
    let sent = pieces(client, source, &mut upload).await;
    upload.end(sent).await
}

async fn pieces(
    client: &Client,
    source: &Arc<Source>,
    upload: &mut Multipart,
) -> Result<(), Error> {
    let length = PIECE.max(source.size.div_ceil(MAX_PIECES));
    let mut read = 0;
    while read < source.size {
        let room = client.room(length).await;
        let from = Arc::clone(source);
        let length = length.min(source.size - read);
        let bytes = task::blocking(move || from.read(length)).await?;
        if bytes.is_empty() {
            break;
        }
        read += bytes.len() as u64;
        upload.send(bytes.into(), room).await?;
    }
    source.is_unchanged(read)
}
