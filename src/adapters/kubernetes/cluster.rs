//! What is asked of a cluster: Jobs are created, looked at and deleted, logs are read.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::{AsyncBufRead, FutureExt, TryFutureExt};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, LogParams, PostParams},
    core::Request,
};
use serde_json::Value;
use tokio::{runtime::Handle, sync::OnceCell, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    client,
    failure::{ANSWER_TIMEOUT, Failure, patiently},
    manifest::CONTAINER,
};
use crate::task;

/// One namespace of a cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    kubeconfig: Option<PathBuf>,
    namespace: String,
    /// The longest pause between two attempts.
    pub(super) pause: Duration,
    client: OnceCell<Connected>,
}

/// A client, whose own `Debug` would show nothing.
struct Connected(Client);

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connected")
    }
}

/// Why a Job was not created, as far as that is known.
pub(super) struct NotCreated {
    pub(super) failure: Failure,
    /// Whether it may be there all the same.
    pub(super) may_exist: bool,
}

impl Cluster {
    /// The cluster of that file, or of this process. It is looked for when it is first needed.
    pub(super) fn new(kubeconfig: Option<PathBuf>, namespace: String, pause: Duration) -> Self {
        Self { kubeconfig, namespace, pause, client: OnceCell::new() }
    }

    async fn client(&self) -> Result<Client, Failure> {
        let connect = || {
            let connecting = client::connect(self.kubeconfig.clone());
            let connected = task::blocking(move || Handle::current().block_on(connecting));
            connected.map_ok(Connected)
        };
        self.client.get_or_try_init(connect).await.map(|connected| connected.0.clone())
    }

    /// The pods of the namespace.
    pub(super) async fn pods(&self) -> Result<Api<Pod>, Failure> {
        Ok(Api::namespaced(self.client().await?, &self.namespace))
    }

    async fn jobs(&self) -> Result<Api<Job>, Failure> {
        Ok(Api::namespaced(self.client().await?, &self.namespace))
    }

    /// Creates a Job. No new attempt begins after `cancel`.
    pub(super) async fn create(
        &self,
        manifest: &Value,
        cancel: &CancellationToken,
    ) -> Result<(), NotCreated> {
        let client = self.client().await;
        let client = &client.map_err(|failure| NotCreated { failure, may_exist: false })?;
        let path = &Job::url_path(&(), Some(&self.namespace));
        let may_exist = &AtomicBool::new(false);
        let ask = || {
            // Until it is certain that it has not been made.
            let may_exist_already = may_exist.swap(true, Relaxed);
            let created = async move {
                let body = manifest.to_string().into_bytes();
                let request = Request::new(path).create(&PostParams::default(), body);
                client.request_text(request.map_err(kube::Error::BuildRequest)?).await
            };
            async move {
                match created.await.map_err(Failure::from) {
                    // Its name is nobody else's: an attempt whose answer was lost has made it.
                    Err(failure) if may_exist_already && failure.status == Some(409) => Ok(()),
                    created => created.map(drop).inspect_err(|failure| {
                        if failure.is_refusal() {
                            may_exist.store(may_exist_already, Relaxed);
                        }
                    }),
                }
            }
            .boxed()
        };
        let created = patiently(self.pause, cancel, ask).await;
        // An attempt before may have made it, whatever the last one was told.
        created.map_err(|failure| NotCreated { may_exist: may_exist.load(Relaxed), failure })
    }

    /// A Job, if it is there.
    pub(super) async fn job(&self, name: &str) -> Result<Option<Job>, Failure> {
        let jobs = self.jobs().await?;
        let ask = || jobs.get_opt(name).map_err(Failure::from).boxed();
        patiently(self.pause, &CancellationToken::new(), ask).await
    }

    /// Deletes a Job; its pods follow.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Failure> {
        let jobs = self.jobs().await?;
        let (params, cancel) = (DeleteParams::background(), CancellationToken::new());
        let delete = || jobs.delete(name, &params).map_ok(drop).map_err(Failure::from).boxed();
        match patiently(self.pause, &cancel, delete).await {
            Err(failure) if failure.status == Some(404) => Ok(()),
            deleted => deleted,
        }
    }

    /// What the cluster last warned of about a Job. Not everybody may read this.
    pub(super) async fn warning(&self, job: &str) -> Option<String> {
        let events: Api<Event> = Api::namespaced(self.client().await.ok()?, &self.namespace);
        let about = format!("involvedObject.kind=Job,involvedObject.name={job},type=Warning");
        let warnings = events.list(&ListParams::default().fields(&about)).await.ok()?;
        let last = warnings.items.into_iter().next_back()?;
        Some(format!("{}: {}", last.reason.unwrap_or_default(), last.message.unwrap_or_default()))
    }

    /// What the container of a pod has written. With `follow` until it ends.
    pub(super) async fn log(
        &self,
        pod: &str,
        follow: bool,
    ) -> Result<impl AsyncBufRead + use<>, Failure> {
        let pods = self.pods().await?;
        let params =
            LogParams { container: Some(CONTAINER.to_owned()), follow, ..LogParams::default() };
        let log = timeout(ANSWER_TIMEOUT, pods.log_stream(pod, &params)).await;
        Ok(log.map_err(|_| Failure::late())??)
    }
}
