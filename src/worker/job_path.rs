//! Where the definition of a job is, and how it is read.

use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind, Read},
    path::PathBuf,
    sync::Arc,
};

use futures_util::future::LocalBoxFuture;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    Result,
    error::SystemError,
    model::{Fields, JobSpec, JsonSpec, decode_utf8},
    storage::{ArtifactStorage, stored_id},
    task,
};

/// The longest file that is read as a definition. Some, such as devices, have no end.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Fetches definitions by HTTP: the client of whoever embeds the worker.
pub trait SpecClient: fmt::Debug {
    /// What is at `url`. It is of no use any more once `cancel` is cancelled.
    ///
    /// # Errors
    /// [`Error::NotFetched`] for answers other than 2xx, [`Error::NoChunks`] for what is no job.
    fn fetch<'a>(
        &'a self,
        url: &'a str,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<JobSpec>>;
}

/// What kind of place a job path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobPath<'a> {
    /// A URL to fetch.
    Http(&'a str),
    /// A URL of a storage.
    Storage(&'a str),
    /// A file.
    File(&'a str),
}

impl<'a> JobPath<'a> {
    /// Tells by the scheme. Who lets only some paths in (`worker/job-paths.cjs`) tells them apart in the same way.
    pub(super) fn new(path: &'a str) -> Self {
        let scheme = path.split_once("://").map(|(scheme, _)| scheme);
        let is_scheme = |scheme: &&str| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        };
        match scheme.filter(is_scheme).map(str::to_ascii_lowercase).as_deref() {
            Some("http" | "https") => Self::Http(path),
            Some(_) => Self::Storage(path),
            None => Self::File(path),
        }
    }

    /// Reads the definition.
    pub(super) async fn read(
        self,
        storage: Option<&dyn ArtifactStorage>,
        client: &dyn SpecClient,
        cancel: &CancellationToken,
    ) -> Result<JobSpec> {
        let spec = match self {
            Self::Http(url) => client.fetch(url, cancel).await?,
            Self::Storage(url) => {
                let storage = storage.ok_or_else(|| Error::NoStorageForSpec(url.to_owned()))?;
                storage.download_job_spec(stored_id(url).unwrap_or_default(), url).await?
            }
            Self::File(path) => read_file(path.into()).await?,
        };
        // A view of a JSON text has no chunks where the text has none.
        if spec.chunks.is_empty() && !lists_chunks(&spec.json()?) {
            return Err(Error::NoChunks.into());
        }
        Ok(spec)
    }
}

async fn read_file(path: PathBuf) -> Result<JobSpec> {
    let read = move || {
        let read = || {
            let mut text = Vec::new();
            File::open(&path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
            let is_too_long = text.len() as u64 > MAX_FILE;
            if is_too_long { Err(ErrorKind::FileTooLarge.into()) } else { Ok(text) }
        };
        read().map_err(|source: io::Error| {
            // A folder can be opened.
            let is_folder = source.kind() == ErrorKind::IsADirectory;
            SystemError::new(source, if is_folder { "read" } else { "open" }, &path)
        })
    };
    let text = task::blocking(read).await.map_err(crate::Error::System)?;
    let text: Arc<str> = decode_utf8(text).into();
    JsonSpec::parse(Arc::clone(&text)).map_err(|error| {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        if is_json { Error::NoChunks.into() } else { error }
    })
}

fn lists_chunks(json: &str) -> bool {
    let fields = Fields::parse(json).unwrap_or_default();
    fields.text("chunks").is_some_and(|chunks| chunks.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::JobPath::{self, File, Http, Storage};

    #[test]
    fn scheme_tells_where_a_definition_is() {
        for path in ["http://host/job.json", "HTTPS://host/job.json"] {
            assert_eq!(JobPath::new(path), Http(path));
        }
        for path in ["s3://bucket/a/job.json", "gcs://b/a", "local:///a/job.json", "own+x.1-y://a"]
        {
            assert_eq!(JobPath::new(path), Storage(path));
        }
        for path in [
            "/a/job.json",
            "job.json",
            "",
            "https:/host",
            " http://host",
            "://a",
            "1a://b",
            "a b://c",
        ] {
            assert_eq!(JobPath::new(path), File(path));
        }
    }
}
