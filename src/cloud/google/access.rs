//! Access tokens, for the APIs of Google itself.

use std::{fmt, path::PathBuf, sync::Arc};

use gcp_auth::{CustomServiceAccount, TokenProvider};
use tokio::sync::OnceCell;

use super::super::Secret;

/// Who may read and write objects.
const SCOPES: &[&str] = &["https://www.googleapis.com/auth/devstorage.read_write"];

/// The key of a service account.
#[derive(Clone, Debug)]
pub enum GoogleKey {
    /// In a file, as Google gives it out.
    File(PathBuf),
    /// The content of such a file.
    Json(Secret),
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("no access token: {0}")]
pub struct TokenError(String);

impl From<gcp_auth::Error> for TokenError {
    fn from(error: gcp_auth::Error) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let text = error.to_string();
        let cause = cause.filter(|cause| !text.ends_with(cause.as_str())).unwrap_or_default();
        Self(format!("{text}{cause}"))
    }
}

/// Access tokens of a service account, or else of whoever this machine is to Google. They are kept until they expire.
pub struct AccessTokens {
    key: Option<GoogleKey>,
    provider: OnceCell<Arc<dyn TokenProvider>>,
}

impl AccessTokens {
    /// Tokens for `key`; without one, by `GOOGLE_APPLICATION_CREDENTIALS`, the user's own login, the metadata server.
    pub fn new(key: Option<GoogleKey>) -> Self {
        Self { key, provider: OnceCell::new() }
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// When the key cannot be read, nobody knows who we are, or Google does not give one.
    pub async fn token(&self) -> Result<String, TokenError> {
        let provider = self.provider.get_or_try_init(|| self.connect()).await?;
        Ok(provider.token(SCOPES).await?.as_str().to_owned())
    }

    async fn connect(&self) -> Result<Arc<dyn TokenProvider>, TokenError> {
        Ok(match &self.key {
            Some(GoogleKey::File(path)) => {
                let read = CustomServiceAccount::from_file(path);
                Arc::new(read.map_err(|error| {
                    TokenError(format!("{}: {}", path.display(), TokenError::from(error).0))
                })?)
            }
            Some(GoogleKey::Json(Secret(text))) => Arc::new(CustomServiceAccount::from_json(text)?),
            None => gcp_auth::provider().await?,
        })
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("key", &self.key).finish_non_exhaustive()
    }
}
