//! Our HTTP client for the SDK.

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use reqwest::{Method, Request, Url, header::HeaderValue};

use super::super::http;
use crate::model::RetryKind;

/// The client of this process, as the SDK wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedClient;

impl HttpClient for SharedClient {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(*self)
    }
}

impl HttpConnector for SharedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(async move {
            let sent = send(&request).await;
            sent.map_err(|error| match error.retry.kind {
                RetryKind::Fatal => ConnectorError::user(error.into()),
                _ => ConnectorError::io(error.into()),
            })
        })
    }
}

async fn send(request: &HttpRequest) -> Result<HttpResponse, http::Error> {
    let response = http::client()?.execute(translated(request)?).await?;
    let status = StatusCode::try_from(response.status().as_u16());
    let status = status.map_err(|_| http::Error::malformed("its status is none"))?;
    let headers = response.headers().clone();
    let mut answer = HttpResponse::new(status, SdkBody::from(http::body(response).await?));
    for (name, value) in &headers {
        // The SDK knows text only; none of its own headers is anything else.
        if let Ok(value) = value.to_str() {
            let _ = answer.headers_mut().try_append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(answer)
}

fn translated(request: &HttpRequest) -> Result<Request, http::Error> {
    let malformed = |()| http::Error::malformed("a request of the SDK cannot be sent");
    let method = Method::from_bytes(request.method().as_bytes()).map_err(|_| malformed(()))?;
    let url = Url::parse(request.uri()).map_err(|_| malformed(()))?;
    let mut translated = Request::new(method, url);
    for (name, value) in request.headers() {
        let name =
            reqwest::header::HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed(()))?;
        let value = HeaderValue::from_str(value).map_err(|_| malformed(()))?;
        translated.headers_mut().append(name, value);
    }
    // All that is sent here is in memory.
    let body = request.body().bytes().unwrap_or_default();
    *translated.body_mut() = Some(body.to_vec().into());
    Ok(translated)
}
