//! Where a service takes chunks.

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};

use serde_json::Value;

use super::Said;
use crate::cloud::{
    Secret,
    http::{self, Answer},
};

/// The longest that an API may take to answer.
const API_TIMEOUT: Duration = Duration::from_mins(1);

/// A URL, and what shows there who asks.
#[derive(Clone, Debug)]
pub(in super::super) struct Endpoint {
    url: String,
    key: Option<(HeaderName, Secret)>,
}

impl Endpoint {
    /// One that wants a bearer token, if there is one.
    pub(in super::super) fn bearer(url: String, token: Option<&Secret>) -> Self {
        let bearer = |Secret(token): &Secret| Secret(format!("Bearer {token}"));
        Self { url, key: token.map(|token| (AUTHORIZATION, bearer(token))) }
    }

    /// One that wants a key in a header of its own, if there is one.
    pub(in super::super) fn keyed(url: String, name: &'static str, key: Option<Secret>) -> Self {
        Self { url, key: key.map(|key| (HeaderName::from_static(name), key)) }
    }

    /// Sends JSON and reads the answer.
    pub(in super::super) async fn post(&self, body: String) -> Result<Answer, http::Error> {
        let request = http::client()?.post(&self.url);
        http::send(self.show(request).header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Asks for what is at a `path` below, as an API of the service has it. It has a limit of time: APIs answer soon.
    pub(in super::super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Said, http::Error> {
        let mut url =
            Url::parse(&self.url).map_err(|_| http::Error::malformed("the URL is none"))?;
        url.path_segments_mut()
            .map_err(|()| http::Error::malformed("the URL cannot have a path"))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = http::client()?.request(method, url).timeout(API_TIMEOUT);
        if let Some(body) = body {
            request = request.json(body);
        }
        http::send(self.show(request)).await.map(Said::from)
    }

    /// Says who asks.
    fn show(&self, request: RequestBuilder) -> RequestBuilder {
        let Some((name, Secret(key))) = &self.key else { return request };
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
