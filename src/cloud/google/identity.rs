//! OIDC ID tokens of Google, by which a service knows who calls it.

use std::{
    env, fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use google_cloud_auth::{
    build_errors::Error as BuildError,
    credentials::idtoken::{Builder, IDTokenCredentials, user_account},
    errors::CredentialsError,
};
use serde_json::Value;

use super::super::{
    Secret,
    failure::{FATAL, TRANSIENT, describe},
};
use crate::model::RetryHint;

/// The longest that getting a token may take, with all that the library tries.
const LIMIT: Duration = Duration::from_mins(1);

/// Tokens for one service: fetched when the first is needed, kept, and renewed before they expire.
#[derive(Debug)]
pub(crate) struct IdTokens {
    audience: String,
    source: Mutex<Option<Arc<IDTokenCredentials>>>,
    looking: tokio::sync::Mutex<()>,
}

/// A token, and where it is from.
pub(crate) struct Issued {
    pub(crate) token: Secret,
    source: Arc<IDTokenCredentials>,
}

impl IdTokens {
    /// Tokens for the service that `audience` names.
    pub(crate) fn new(audience: String) -> Self {
        Self { audience, source: Mutex::default(), looking: tokio::sync::Mutex::default() }
    }

    /// A token that is valid, as far as one can know here.
    pub(crate) async fn token(&self) -> Result<Issued, Error> {
        let source = self.source().await?;
        let asked = Arc::clone(&source);
        // In a task of its own: the library panics at what is no token.
        let asked = tokio::spawn(async move { asked.id_token().await });
        let token = match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(token)) => token.map_err(Error::from),
            Ok(Err(_panic)) => Err(Error::new("what was issued is no token", FATAL)),
            Err(_late) => Err(Error::new("no token was issued in time", TRANSIENT)),
        };
        match token {
            Ok(token) => Ok(Issued { token: Secret(token), source }),
            Err(error) => {
                // What has failed for good would fail for ever.
                self.forget(&source);
                Err(error)
            }
        }
    }

    /// The service did not take a token: the next one is another.
    pub(crate) fn refused(&self, issued: &Issued) {
        self.forget(&issued.source);
    }

    async fn source(&self) -> Result<Arc<IDTokenCredentials>, Error> {
        let known = || self.lock().clone();
        if let Some(source) = known() {
            return Ok(source);
        }
        // Many who begin together look once.
        let _looking = self.looking.lock().await;
        if let Some(source) = known() {
            return Ok(source);
        }
        // A file that never ends, or is on a share that is gone, holds up nobody else.
        let audience = self.audience.clone();
        let found = tokio::task::spawn_blocking(move || credentials(&audience));
        let found = match tokio::time::timeout(LIMIT, found).await {
            Ok(Ok(found)) => Arc::new(found?),
            Ok(Err(_panic)) => return Err(Error::new("the credentials cannot be used", FATAL)),
            Err(_late) => return Err(Error::new("the credentials cannot be read", TRANSIENT)),
        };
        Ok(Arc::clone(self.lock().get_or_insert(found)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<IDTokenCredentials>>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of several who were refused together only the first has an effect.
    fn forget(&self, used: &Arc<IDTokenCredentials>) {
        self.lock().take_if(|source| Arc::ptr_eq(source, used));
    }
}

/// The application default credentials. The library leaves the user's own login to those who ask for it by name.
fn credentials(audience: &str) -> Result<IDTokenCredentials, Error> {
    let login = default_file().and_then(|file| fs::read(file).ok());
    let login = login.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let built = match login {
        Some(login) if login["type"] == "authorized_user" => {
            user_account::Builder::new(login).build()
        }
        _ => Builder::new(audience).build(),
    };
    Ok(built?)
}

/// Where the application default credentials are, [if they are in a file](https://google.aip.dev/auth/4110).
fn default_file() -> Option<PathBuf> {
    let named = env::var_os("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let known = || {
        let (root, folder) =
            if cfg!(windows) { ("APPDATA", "gcloud") } else { ("HOME", ".config/gcloud") };
        Some(
            PathBuf::from(env::var_os(root)?)
                .join(folder)
                .join("application_default_credentials.json"),
        )
    };
    named.or_else(known)
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("no ID token: {text}")]
pub(crate) struct Error {
    text: String,
    /// Whether to ask again.
    pub(crate) retry: RetryHint,
}

impl Error {
    fn new(text: &str, retry: RetryHint) -> Self {
        Self { text: text.to_owned(), retry }
    }
}

impl From<CredentialsError> for Error {
    fn from(error: CredentialsError) -> Self {
        let retry = if error.is_transient() { TRANSIENT } else { FATAL };
        Self { text: describe(&error), retry }
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self { text: describe(&error), retry: FATAL }
    }
}
