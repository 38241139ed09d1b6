//! Keeps the files of jobs in a bucket of S3, or of a service that speaks its language, such as R2.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use futures_util::future::BoxFuture;
use object_store::{
    CredentialProvider,
    aws::{AmazonS3Builder, AwsCredential},
};
use reqwest::header::HeaderValue;

use super::{
    Error, StoreError,
    bucket::{
        BucketOptions, BucketStorage, Connect, Opened, WholeAnswers, client_options, retries,
    },
};
use crate::cloud::aws::{self, Credentials, CredentialsError, CredentialsSource, Kept};

/// A storage in a bucket of S3.
pub type S3StorageAdapter = BucketStorage<S3Options>;

/// What a bucket of S3 is reached with.
#[derive(Clone, Debug, Default)]
pub struct S3Options {
    /// Default: that of the environment or the profile.
    pub region: Option<String>,
    /// Where the service is, if not at Amazon's.
    pub endpoint: Option<String>,
    /// Whether the bucket is named in the path of URLs, not in the name of the host.
    pub force_path_style: bool,
    /// Default: those of the environment, profile, container or instance.
    pub credentials: Option<Arc<dyn CredentialsSource>>,
}

/// Where R2 keeps the buckets of an account.
pub fn r2_endpoint(account_id: &str) -> String {
    format!("https://{account_id}.r2.cloudflarestorage.com")
}

impl S3Options {
    async fn open(&self, options: &BucketOptions) -> Result<Opened, Error> {
        let (mut region, mut credentials) = (self.region.clone(), self.credentials.clone());
        if region.is_none() || credentials.is_none() {
            let config = aws::sdk_config(region).await;
            region = config.region().map(ToString::to_string);
            credentials.get_or_insert_with(|| Arc::new(config));
        }
        let bucket = &options.bucket;
        // Services with an endpoint of their own have but one.
        let region = region.or_else(|| self.endpoint.as_ref().map(|_| "us-east-1".to_owned()));
        let region = region.ok_or_else(|| no_store(bucket, "Region is missing".to_owned()))?;
        let (endpoint, by_host) = self.locate(bucket, &region);
        // object_store takes it for one. It may hold a password, and is not told.
        if reqwest::Url::parse(&endpoint).is_err() {
            return Err(no_store(bucket, "its endpoint is no URL".to_owned()));
        }
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_virtual_hosted_style_request(by_host)
            .with_client_options(client_options(&endpoint))
            .with_http_connector(WholeAnswers)
            .with_retry(retries(options))
            .with_endpoint(endpoint);
        if let Some(credentials) = credentials {
            builder = builder.with_credentials(Arc::new(Provider(Kept::new(credentials))));
        }
        let store = builder.build().map_err(|error| no_store(bucket, error.to_string()))?;
        Ok(Opened::signing(Arc::new(store)))
    }

    /// The URL of the service, and whether the bucket is in its host, as Amazon's own client has it.
    fn locate(&self, bucket: &str, region: &str) -> (String, bool) {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let own = || format!("https://s3.{region}.amazonaws.com{suffix}");
        let endpoint = self.endpoint.clone().unwrap_or_else(own);
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", &endpoint));
        let name = host.split(['/', ':']).next().unwrap_or_default();
        let is_address = host.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
        // A certificate for `*.host` is none for `a.b.host`.
        if self.force_path_style || is_address || bucket.contains('.') {
            return (format!("{scheme}://{host}"), false);
        }
        (format!("{scheme}://{bucket}.{host}"), true)
    }
}

fn no_store(bucket: &str, reason: String) -> Error {
    Error::Store(Box::new(StoreError::unreachable(format!("s3://{bucket}"), reason)))
}

impl Connect for S3Options {
    const SCHEME: &'static str = "s3";
    const SERVICE: &'static str = "S3";

    fn connect<'a>(&'a self, options: &'a BucketOptions) -> BoxFuture<'a, Result<Opened, Error>> {
        Box::pin(self.open(options))
    }
}

/// Gives object_store the credentials it signs with.
struct Provider(Kept<AwsCredential>);

impl From<Credentials> for AwsCredential {
    fn from(credentials: Credentials) -> Self {
        Self {
            key_id: credentials.access_key_id,
            secret_key: credentials.secret_access_key,
            token: credentials.session_token,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl CredentialProvider for Provider {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            self.0.get().await.and_then(usable).map_err(|error| object_store::Error::Generic {
                store: Self::NAME,
                source: Box::new(error),
            })
        })
    }
}

/// object_store takes them for what headers can hold.
fn usable(credential: Arc<AwsCredential>) -> Result<Arc<AwsCredential>, CredentialsError> {
    let mut texts = std::iter::once(&credential.key_id).chain(&credential.token);
    if texts.any(|text| HeaderValue::from_str(text).is_err()) {
        return Err(CredentialsError("they have characters that no header can hold".to_owned()));
    }
    Ok(credential)
}

impl Provider {
    const NAME: &'static str = "S3";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_is_named_where_amazons_client_names_it() {
        let at = |endpoint: Option<&str>, force_path_style, bucket, region| {
            let endpoint = endpoint.map(str::to_owned);
            S3Options { endpoint, force_path_style, ..S3Options::default() }.locate(bucket, region)
        };
        for (given, url, by_host) in [
            (at(None, false, "b", "eu-west-1"), "https://b.s3.eu-west-1.amazonaws.com", true),
            (at(None, true, "b", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com", false),
            (at(None, false, "a.b", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com", false),
            (at(None, false, "b", "cn-north-1"), "https://b.s3.cn-north-1.amazonaws.com.cn", true),
            (at(Some("http://127.0.0.1:9000/"), false, "b", "x"), "http://127.0.0.1:9000", false),
            (at(Some("http://[::1]:9000"), false, "b", "x"), "http://[::1]:9000", false),
            (at(Some("http://store:9000"), false, "b", "x"), "http://b.store:9000", true),
            (at(Some("https://store"), true, "b", "x"), "https://store", false),
        ] {
            assert_eq!(given, (url.to_owned(), by_host));
        }
    }
}
