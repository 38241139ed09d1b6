//! Keeps the files of jobs as objects in a bucket, whoever's it is.

mod answers;
mod client;
mod dedupe;
mod download;
mod error;
mod keys;
mod multipart;
mod parallel;
mod source;
mod undo;
mod upload;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, LocalBoxFuture},
};
use object_store::{
    Attributes, BackoffConfig, ClientOptions, ObjectStore, RetryConfig, signer::Signer,
};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(super) use self::answers::WholeAnswers;
use self::{client::Client, keys::Keys};
use super::{ArtifactStorage, DELETED, Error, Exchange, Exclusions, mark_name, output_name};
use crate::{
    Result,
    model::{ChunkId, JobSpec, JsonSpec, decode_utf8, json},
    task,
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a store may say nothing. A piece of a file has to be sent within it, beside others, on a slow line.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// What all storages in buckets are told.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// Its name.
    pub bucket: String,
    /// How many objects are on their way at once.
    pub concurrency: usize,
    /// How often a request is made before it has failed.
    pub max_attempts: usize,
    /// Whether what is in the bucket already is copied there instead of sent.
    pub dedupe: bool,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self { bucket: String::new(), concurrency: 16, max_attempts: 3, dedupe: false }
    }
}

/// How the buckets of a service are reached.
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// What its URLs begin with.
    const SCHEME: &'static str;
    /// Its name, in errors.
    const SERVICE: &'static str;

    /// Reaches a bucket. Called when it is needed for the first time.
    fn connect<'a>(&'a self, options: &'a BucketOptions) -> BoxFuture<'a, Result<Opened, Error>>;
}

/// A bucket that can be reached.
#[derive(Debug)]
pub struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Makes URLs for those without credentials.
    pub(super) signer: Option<Arc<dyn Signer>>,
}

impl Opened {
    /// A bucket of a service that takes signed URLs.
    pub(super) fn signing(store: Arc<impl ObjectStore + Signer>) -> Self {
        Self { store: Arc::clone(&store) as _, signer: Some(store) }
    }
}

/// Keeps each job below a key of its own in a bucket: `${id}/${path}`, `${id}/job.json`.
///
/// Files are sent and fetched many at a time, in pieces where they are large, with their SHA-256, by which they are checked
/// when they come back. They appear when they are whole.
#[derive(Debug)]
pub struct BucketStorage<C>(Arc<Inner<C>>);

#[derive(Debug)]
struct Inner<C> {
    connect: C,
    options: BucketOptions,
    keys: Keys,
    client: OnceCell<Arc<Client>>,
}

impl<C: Connect> BucketStorage<C> {
    /// A storage in a bucket, which is not looked at yet.
    pub fn new(connect: C, options: BucketOptions) -> Self {
        let bucket = options.bucket.clone();
        let keys = Keys { scheme: C::SCHEME, service: C::SERVICE, bucket };
        Self(Arc::new(Inner { connect, options, keys, client: OnceCell::new() }))
    }

    /// Does `work` off this thread, until nobody waits for it any more.
    async fn run<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Client>) -> F + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        let work = async move {
            let client = inner.client.get_or_try_init(|| inner.reach()).await?;
            work(Arc::clone(client)).await
        };
        Ok(task::owned(work).await?)
    }
}

impl<C: Connect> Inner<C> {
    async fn reach(&self) -> Result<Arc<Client>, Error> {
        let opened = self.connect.connect(&self.options).await?;
        let concurrency = self.options.concurrency.max(1);
        Ok(Arc::new(Client::new(opened, self.keys.clone(), concurrency)))
    }
}

/// How often and when requests are made again.
pub(super) fn retries(options: &BucketOptions) -> RetryConfig {
    RetryConfig {
        max_retries: options.max_attempts.saturating_sub(1),
        backoff: BackoffConfig::default(),
        ..RetryConfig::default()
    }
}

/// How the service at `endpoint` is talked to.
pub(super) fn client_options(endpoint: &str) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(endpoint.starts_with("http:"))
        .with_connect_timeout(CONNECT_TIMEOUT)
        // A large file takes as long as it takes.
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
}

impl<C: Connect> ArtifactStorage for BucketStorage<C> {
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
        exclusions: &'a Exclusions,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let (job, dedupe) = (keys::job(job_id)?, self.0.options.dedupe);
            let (url, folder) = (self.0.keys.url(&job), PathBuf::from(local_dir));
            let (exclusions, cancel) = (exclusions.clone(), cancel.clone());
            self.run(async move |client| {
                let stored = async {
                    if dedupe {
                        dedupe::bundle(&client, &job, &folder, exclusions).await
                    } else {
                        upload::bundle(&client, &job, &folder, exclusions).await
                    }
                };
                undo::unless_whole(&client, &job, &cancel, stored).await
            })
            .await?;
            Ok(url)
        }
        .boxed_local()
    }

    fn download_asset_bundle<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
        target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let (job, url) = (self.0.keys.parse(url)?, url.to_owned());
            let target = PathBuf::from(target_dir);
            self.run(async move |client| download::bundle(&client, &job, &url, &target).await).await
        }
        .boxed_local()
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let job = self.0.keys.parse(url)?;
            self.run(async move |client| {
                let objects = client.list(&job).await?;
                dedupe::forget(&client, &job, &objects).await?;
                let keys = objects.into_iter().map(|object| object.location).collect();
                client.delete_all(&job, keys).await?;
                upload::forget_own(&client, &job).await
            })
            .await
        }
        .boxed_local()
    }

    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let (job, text) = (keys::job(job_id)?, spec.json()?);
            let key = self.run(async move |client| {
                let beside = keys::spec_beside(&job);
                let key = if client.has(&beside).await? { beside } else { keys::spec(&job) };
                let mut out = Vec::new();
                let indented = json::indent(text.as_bytes(), 0, &mut out);
                indented.unwrap_or_else(|_| unreachable!("memory takes what is written"));
                client.put(&key, out.into(), Attributes::new()).await?;
                Ok(key)
            });
            Ok(self.0.keys.url(&key.await?))
        }
        .boxed_local()
    }

    fn download_job_spec<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        async move {
            let key = self.0.keys.parse(url)?;
            let text = self.run(async move |client| client.require(&key).await).await?;
            JsonSpec::parse(decode_utf8(text.to_vec()).into())
        }
        .boxed_local()
    }

    fn delete_job_spec<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let key = self.0.keys.parse(url)?;
            self.run(async move |client| {
                client.delete(&key).await?;
                let Some(job) = keys::job_of(&key) else { return Ok(()) };
                let outputs = client.list(&keys::outputs(job)).await?;
                let outputs = outputs.into_iter().map(|object| object.location).collect();
                client.delete_all(job, outputs).await
            })
            .await
        }
        .boxed_local()
    }

    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        chunk: ChunkId,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let (job, file) = (keys::job(job_id)?, PathBuf::from(local_file));
            let key = format!("{}/{}", keys::outputs(&job), output_name(chunk, &file));
            let url = self.0.keys.url(&key);
            self.run(async move |client| upload::file(&client, &file, &key).await).await?;
            Ok(url)
        }
        .boxed_local()
    }

    fn download_chunk_output<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let (key, target) = (self.0.keys.parse(url)?, PathBuf::from(local_file));
            self.run(async move |client| download::file(&client, key, target).await).await
        }
        .boxed_local()
    }

    fn mark_cancelled<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let Some(key) = self.mark(spec_url, chunk)? else { return Ok(()) };
            let mark = Uuid::new_v4().to_string().into_bytes();
            self.run(async move |client| client.put(&key, mark.into(), Attributes::new()).await)
                .await
        }
        .boxed_local()
    }

    fn exchange<'a>(
        &'a self,
        name: &'a str,
        expires: Duration,
    ) -> LocalBoxFuture<'a, Result<Option<Exchange>>> {
        let key = keys::exchange(name);
        self.run(async move |client| client.exchange(&key, expires).await).boxed_local()
    }

    fn cancel_mark<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<Option<String>>> {
        async move {
            let spec = self.0.keys.parse(spec_url)?;
            let Some(key) = self.mark(spec_url, chunk)? else { return Ok(None) };
            self.run(async move |client| {
                if let Some(mark) = client.read(&key).await? {
                    return Ok(Some(decode_utf8(mark.to_vec())));
                }
                let is_defined = client.has_surely(&spec).await?;
                Ok((!is_defined).then(|| DELETED.to_owned()))
            })
            .await
        }
        .boxed_local()
    }
}

impl<C: Connect> BucketStorage<C> {
    /// The key of the mark of a chunk.
    fn mark(&self, spec_url: &str, chunk: ChunkId) -> Result<Option<String>, Error> {
        let spec = self.0.keys.parse(spec_url)?;
        Ok(keys::job_of(&spec).map(|job| format!("{}/{}", keys::outputs(job), mark_name(chunk))))
    }
}

#[cfg(test)]
mod tests;
