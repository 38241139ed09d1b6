//! The HTTP client that everything in this process shares, so that connections are used again.
//!
//! As Node's users expect: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, NODE_EXTRA_CA_CERTS and NODE_TLS_REJECT_UNAUTHORIZED are
//! followed, as they are when the first request is made.

use std::{
    env, fs,
    sync::LazyLock,
    time::{Duration, Instant},
};

use hyper::ext::ReasonPhrase;
use reqwest::{
    Certificate, Client, RequestBuilder, Response, StatusCode, Url,
    header::HeaderMap,
    redirect::{Attempt, Policy},
};
use tracing::debug;

use super::failure::{FATAL, TRANSIENT, describe};
use crate::{error::exact_millis, model::RetryHint};

/// The longest body of an answer that is read.
pub(crate) const MAX_BODY: usize = 64 * 1024 * 1024;
/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often an HTTP/2 connection on which somebody waits is asked whether it still lives. TCP asks by itself.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How often an answer may lead elsewhere.
const MAX_REDIRECTS: usize = 5;

/// The client, made when it is first needed: it reads the system's certificates.
static CLIENT: LazyLock<Result<Client, Error>> = LazyLock::new(build);

/// The client of this process.
pub(crate) fn client() -> Result<&'static Client, Error> {
    CLIENT.as_ref().map_err(Clone::clone)
}

fn build() -> Result<Client, Error> {
    let mut client = Client::builder()
        .user_agent(concat!("helios-infrastructure/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::custom(follow))
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE);
    if let Some(file) = env::var_os("NODE_EXTRA_CA_CERTS").filter(|file| !file.is_empty()) {
        // Node warns of what it cannot read, and goes on.
        let certificates =
            fs::read(file).ok().and_then(|pem| Certificate::from_pem_bundle(&pem).ok());
        client = client.tls_certs_merge(certificates.unwrap_or_default());
    }
    if env::var("NODE_TLS_REJECT_UNAUTHORIZED").is_ok_and(|value| value == "0") {
        client = client.tls_danger_accept_invalid_certs(true);
    }
    client.build().map_err(Error::from)
}

/// Only where the method stays what it was, and on the same host, which may have the token. Any other redirect is an answer.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let keeps_method =
        matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let is_known = attempt.previous().last().is_some_and(|from| is_same_host(from, attempt.url()));
    if keeps_method && is_known && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Whether one may be told what the other was. A connection that is not secret must not follow one that was.
fn is_same_host(from: &Url, to: &Url) -> bool {
    let is_upgrade = from.scheme() == "http"
        && to.scheme() == "https"
        && from.port().is_none()
        && to.port().is_none();
    from.host_str() == to.host_str()
        && (is_upgrade
            || (from.scheme() == to.scheme()
                && from.port_or_known_default() == to.port_or_known_default()))
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The status text, as the server wrote it.
    pub(crate) reason: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends a request and reads the whole answer. Dropping this ends both.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer, Error> {
    let started = Instant::now();
    let mut response = request.send().await.inspect_err(|error| {
        let ms = exact_millis(started.elapsed());
        debug!(%ms, timeout = error.is_timeout(), connect = error.is_connect(), "no answer");
    })?;
    // Not the query, which may have a key in it.
    let (url, ms) = (response.url(), exact_millis(started.elapsed()));
    debug!(status = response.status().as_u16(), host = url.host_str(), path = url.path(), %ms, "answer");
    let (status, reason) = (response.status(), reason(&response));
    let headers = std::mem::take(response.headers_mut());
    Ok(Answer { status, reason, headers, body: body(response).await? })
}

fn reason(response: &Response) -> String {
    let own = response.extensions().get::<ReasonPhrase>();
    own.map_or_else(
        || response.status().canonical_reason().unwrap_or_default().to_owned(),
        |own| String::from_utf8_lossy(own.as_bytes()).into_owned(),
    )
}

/// The whole body, if it is not too long.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, Error> {
    let expected =
        usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
    if expected > MAX_BODY {
        return Err(Error::too_long());
    }
    let mut body = Vec::with_capacity(expected);
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > MAX_BODY {
            return Err(Error::too_long());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Error {
    text: String,
    /// Whether to ask again.
    pub(crate) retry: RetryHint,
    /// Whether the service has heard what was asked, as far as that is known.
    pub(crate) is_heard: bool,
}

impl Error {
    /// Something that was not to be expected of request or answer.
    pub(crate) fn malformed(text: &str) -> Self {
        Self { text: text.to_owned(), retry: FATAL, is_heard: false }
    }

    fn too_long() -> Self {
        let text = format!("the answer is longer than {MAX_BODY} bytes");
        Self { text, retry: FATAL, is_heard: true }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let retry = if error.is_builder() { FATAL } else { TRANSIENT };
        let is_heard = !error.is_builder() && !error.is_connect();
        // A URL may have a key in it.
        Self { text: describe(&error.without_url()), retry, is_heard }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_their_host() {
        for (from, to, same) in [
            ("https://a/x", "https://a/y", true),
            ("http://a/x", "https://a/x", true),
            ("https://a/x", "http://a/x", false),
            ("https://a/x", "https://b/x", false),
            ("http://a:1/x", "http://a:2/x", false),
            ("http://a:1/x", "https://a/x", false),
            ("https://a/", "https://a:443/", true),
        ] {
            let url = |text: &str| Url::parse(text).unwrap();
            assert_eq!(is_same_host(&url(from), &url(to)), same, "{from} {to}");
        }
    }
}
