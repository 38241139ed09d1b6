//! Amazon's credentials, and where they come from.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

/// Credentials are asked for again this long before they expire, or at half of their time if that is less.
const EXPIRY_MARGIN: Duration = Duration::from_mins(5);

/// What the environment, profiles, containers and instances say: credentials, and the region where none is given.
///
/// The environment is that of the process, which Node keeps equal to `process.env` of the main thread.
pub async fn sdk_config(region: Option<String>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    match region {
        Some(region) => loader.region(Region::new(region)).load().await,
        None => loader.load().await,
    }
}

/// A key of Amazon's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Who it is.
    pub access_key_id: String,
    /// How he proves it.
    pub secret_access_key: String,
    /// Belongs to temporary ones.
    pub session_token: Option<String>,
    /// When they end. `None` means never.
    pub expiration: Option<SystemTime>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[error("no credentials: {0}")]
pub struct CredentialsError(pub String);

/// Somebody who is asked for credentials.
pub trait CredentialsSource: fmt::Debug + Send + Sync {
    /// New ones.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;
}

impl CredentialsSource for Credentials {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(async { Ok(self.clone()) })
    }
}

impl CredentialsSource for SdkConfig {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(async {
            let none = || CredentialsError("nobody provides any".to_owned());
            let provider = self.credentials_provider().ok_or_else(none)?;
            let found = provider.provide_credentials().await.map_err(|error| refusal(&error))?;
            Ok(Credentials {
                access_key_id: found.access_key_id().to_owned(),
                secret_access_key: found.secret_access_key().to_owned(),
                session_token: found.session_token().map(str::to_owned),
                expiration: found.expiry(),
            })
        })
    }
}

/// The cause, which the kind of the error hides.
fn refusal(error: &dyn std::error::Error) -> CredentialsError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    CredentialsError(text)
}

/// Keeps what a source gave until it is about to expire. `T` is the form in which it is used.
pub(crate) struct Kept<T> {
    source: Arc<dyn CredentialsSource>,
    kept: Mutex<Option<(Arc<T>, Option<SystemTime>)>>,
}

impl<T: From<Credentials>> Kept<T> {
    pub(crate) fn new(source: Arc<dyn CredentialsSource>) -> Self {
        Self { source, kept: Mutex::new(None) }
    }

    /// Credentials that are still good for a while. Who asks meanwhile waits for the same answer.
    pub(crate) async fn get(&self) -> Result<Arc<T>, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some((value, until)) = &*kept
            && until.is_none_or(|until| now < until)
        {
            return Ok(Arc::clone(value));
        }
        let fresh = self.source.credentials().await?;
        let until = fresh.expiration.map(|end| {
            let left = end.duration_since(now).unwrap_or_default();
            end - EXPIRY_MARGIN.min(left / 2)
        });
        let value = Arc::new(T::from(fresh));
        *kept = Some((Arc::clone(&value), until));
        Ok(value)
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    /// Gives credentials that last for some seconds from now, or for ever.
    #[derive(Debug)]
    struct Counting(AtomicU64, Option<f64>);

    impl CredentialsSource for Counting {
        fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
            let access_key_id = (self.0.fetch_add(1, Relaxed) + 1).to_string();
            let expiration =
                self.1.map(|seconds| SystemTime::now() + Duration::from_secs_f64(seconds));
            Box::pin(async move {
                Ok(Credentials { access_key_id, expiration, ..Credentials::default() })
            })
        }
    }

    async fn asked(lasts: Option<f64>, pause: Duration) -> u64 {
        let source = Arc::new(Counting(AtomicU64::new(0), lasts));
        let kept: Kept<Credentials> = Kept::new(Arc::clone(&source) as _);
        for _ in 0..3 {
            kept.get().await.unwrap();
            std::thread::park_timeout(pause);
        }
        source.0.load(Relaxed)
    }

    #[tokio::test]
    async fn credentials_are_asked_for_before_they_expire() {
        assert_eq!(asked(None, Duration::ZERO).await, 1);
        assert_eq!(asked(Some(3600.0), Duration::ZERO).await, 1);
        assert_eq!(asked(Some(0.0), Duration::ZERO).await, 3);
        // Each is used for half of its time.
        assert_eq!(asked(Some(0.02), Duration::from_millis(15)).await, 3);
    }

    #[test]
    fn secrets_do_not_show() {
        let secret = Credentials {
            access_key_id: "AKIA".into(),
            secret_access_key: "hush".into(),
            session_token: Some("hush".into()),
            expiration: None,
        };
        assert!(!format!("{secret:?}").contains("hush"));
    }
}
