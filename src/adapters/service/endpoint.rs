//! Where a service takes chunks.

use std::fmt;

use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};

use crate::cloud::http::{self, Answer};

/// A URL, and what shows there who asks.
#[derive(Clone)]
pub(in super::super) struct Endpoint {
    url: String,
    key: Option<(HeaderName, String)>,
}

impl Endpoint {
    /// One that wants a bearer token, if there is one.
    pub(in super::super) fn bearer(url: String, token: Option<&str>) -> Self {
        Self { url, key: token.map(|token| (AUTHORIZATION, format!("Bearer {token}"))) }
    }

    /// One that wants a key in a header of its own, if there is one.
    pub(in super::super) fn keyed(url: String, name: &'static str, key: Option<String>) -> Self {
        Self { url, key: key.map(|key| (HeaderName::from_static(name), key)) }
    }

    /// Sends JSON and reads the answer.
    pub(in super::super) async fn post(&self, body: String) -> Result<Answer, http::Error> {
        let request = http::client()?.post(&self.url);
        http::send(self.show(request).header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Says who asks.
    fn show(&self, request: RequestBuilder) -> RequestBuilder {
        let Some((name, key)) = &self.key else { return request };
        match HeaderValue::from_str(key) {
            Ok(mut value) => {
                value.set_sensitive(true);
                request.header(name, value)
            }
            // The request tells it, without the key.
            Err(_) => request.header(name, key),
        }
    }
}

impl fmt::Debug for Endpoint {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}
