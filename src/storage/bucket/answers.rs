//! Answers that come whole, or count as requests that failed.
//!
//! object_store makes a request again when the head of its answer does not come, and resumes an object that breaks off; a
//! list, or any other answer that it reads at once, it gives up when the body breaks off. Here such bodies are read before
//! it sees the answer, so that its retries cover them.

use std::pin::Pin;

use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpService, ReqwestConnector,
    },
};
use reqwest::{Method, StatusCode};

/// Makes clients whose answers are whole.
#[derive(Debug)]
pub(in super::super) struct WholeAnswers;

impl HttpConnector for WholeAnswers {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        ReqwestConnector::default().connect(options).map(|client| HttpClient::new(Whole(client)))
    }
}

#[derive(Debug)]
struct Whole(HttpClient);

impl HttpService for Whole {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let is_get = request.method() == Method::GET;
            let is_list = request.uri().query().is_some_and(|query| query.contains("list-type="));
            let answer = self.0.execute(request).await?;
            // Objects may be large, and are resumed.
            if is_get && !is_list {
                return Ok(answer);
            }
            let (head, body) = answer.into_parts();
            // All that is asked here may be asked twice, also to delete a batch, which object_store takes for unsafe.
            let body = body
                .bytes()
                .await
                .map_err(|error| HttpError::new(HttpErrorKind::Request, error))?;
            // object_store reads any other text as a list of nothing, such as the page of a proxy that wants a login.
            let marker = b"<ListBucketResult";
            if is_list
                && head.status == StatusCode::OK
                && !body.windows(marker.len()).any(|text| text == marker)
            {
                return Err(HttpError::new(HttpErrorKind::Decode, NoList));
            }
            Ok(HttpResponse::from_parts(head, body.into()))
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is not a list of objects")]
struct NoList;
