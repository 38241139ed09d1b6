//! Keeps the files of jobs in a bucket of Google Cloud Storage.

use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::future::BoxFuture;
use object_store::{
    CredentialProvider,
    gcp::{GcpCredential, GoogleCloudStorageBuilder},
};

use super::{
    Error, StoreError,
    bucket::{
        BucketOptions, BucketStorage, Connect, Opened, WholeAnswers, client_options, retries,
    },
};
use crate::cloud::{
    Secret,
    google::{AccessTokens, GoogleKey},
};

/// Where Google's own is.
const ENDPOINT: &str = "https://storage.googleapis.com";

/// A storage in a bucket of Google's.
pub type GcsStorageAdapter = BucketStorage<GcsOptions>;

/// What a bucket of Google's is reached with.
#[derive(Clone, Debug, Default)]
pub struct GcsOptions {
    /// Default: whoever this machine is to Google.
    pub key: Option<GoogleKey>,
    /// Where the service is, if not at Google's. Without a scheme: `https`.
    pub endpoint: Option<String>,
    /// Whether an `http` endpoint is told who we are even where no key is given.
    pub always_authenticate: bool,
}

impl GcsOptions {
    /// The URL of the service.
    fn locate(&self) -> String {
        let endpoint = self.endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
    }

    fn open(&self, options: &BucketOptions) -> Result<Opened, Error> {
        let endpoint = self.locate();
        // Emulators have no use for a token, and what goes over the network in the clear needs none of ours unasked.
        let is_anonymous =
            endpoint.starts_with("http:") && self.key.is_none() && !self.always_authenticate;
        let tokens = Arc::new(Tokens(AccessTokens::new(self.key.clone())));
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&options.bucket)
            .with_client_options(client_options(&endpoint))
            .with_http_connector(WholeAnswers)
            .with_retry(retries(options))
            .with_base_url(&endpoint)
            .with_credentials(tokens)
            .with_skip_signature(is_anonymous);
        let store = builder.clone().build().map_err(|error| {
            let url = format!("gcs://{}", options.bucket);
            Error::Store(Box::new(StoreError::unreachable(url, error.to_string())))
        })?;
        // A key signs by itself. One that cannot be read fails where it is needed for everything else.
        let signing = match &self.key {
            Some(GoogleKey::File(path)) => {
                builder.with_service_account_path(path.to_string_lossy())
            }
            Some(GoogleKey::Json(Secret(key))) => builder.with_service_account_key(key),
            None => return Ok(Opened::signing(Arc::new(store))),
        };
        let signer = signing.build().ok().map(|signer| Arc::new(signer) as _);
        Ok(Opened { store: Arc::new(store), signer })
    }
}

impl Connect for GcsOptions {
    const SCHEME: &'static str = "gcs";
    const SERVICE: &'static str = "GCS";

    fn connect<'a>(&'a self, options: &'a BucketOptions) -> BoxFuture<'a, Result<Opened, Error>> {
        Box::pin(async { self.open(options) })
    }
}

/// Gives object_store the tokens it sends.
#[derive(Debug)]
struct Tokens(AccessTokens);

impl CredentialProvider for Tokens {
    type Credential = GcpCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<GcpCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            let token = self.0.token().await;
            let token = token.map_err(|error| object_store::Error::Generic {
                store: "GCS",
                source: Box::new(error),
            })?;
            Ok(Arc::new(GcpCredential { bearer: token }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_read_as_googles_client_does() {
        for (endpoint, url) in [
            (None, ENDPOINT),
            (Some("http://127.0.0.1:9305/"), "http://127.0.0.1:9305"),
            (Some("storage.example"), "https://storage.example"),
        ] {
            let endpoint = endpoint.map(str::to_owned);
            assert_eq!(GcsOptions { endpoint, ..GcsOptions::default() }.locate(), url);
        }
    }
}
