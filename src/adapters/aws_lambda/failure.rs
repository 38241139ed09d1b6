//! Why there is no answer of a function.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_lambda::{
    error::{ErrorMetadata, ProvideErrorMetadata, SdkError},
    operation::invoke::InvokeError,
};
use aws_smithy_runtime_api::client::{
    endpoint::error::ResolveEndpointError, orchestrator::HttpResponse,
};

use super::super::service::Reply;
use crate::{
    cloud::failure::{self, FATAL, TRANSIENT, describe},
    model::{RetryHint, RetryKind},
};

/// Codes that come with a status as if it were the service's fault, and go wrong every time: what is wrong is the
/// function's own [configuration](https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors).
const MISCONFIGURED: &[&str] = &[
    "EC2AccessDeniedException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
];
/// Codes of a function that is about to be ready.
const SOON: &[&str] = &["ResourceConflictException", "SnapStartNotReadyException"];
/// Codes of somebody who has too much to do.
const THROTTLED: &[&str] =
    &["EC2ThrottledException", "TooManyRequestsException", "ThrottlingException"];

/// The failure as users see it, in the service's own words where it has said some.
pub(super) fn read(error: &SdkError<InvokeError, HttpResponse>) -> Reply {
    if let Some(error) = endpoint_error(error) {
        // Its own text has the whole request in it, and with it the job's URL, which may be signed.
        let reason = error.source().map_or_else(|| "it is not valid".to_owned(), describe);
        return Reply::failed(format!("the endpoint cannot be used: {reason}"), Some(FATAL));
    }
    match error {
        SdkError::ServiceError(said) => {
            let (status, code) = (said.raw().status().as_u16(), said.err().code());
            // An answer without a code keeps what it says one step further in.
            let unknown = said.err().source().and_then(|source| source.downcast_ref());
            let message = said.err().message().or(unknown.and_then(ErrorMetadata::message));
            let text = message.or(code).filter(|text| !text.is_empty());
            let text = text.map_or_else(|| format!("HTTP {status}"), str::to_owned);
            let retry_after = said.raw().headers().get("retry-after");
            Reply::failed(text, Some(hint(status, code, retry_after)))
        }
        SdkError::ConstructionFailure(_) => Reply::failed(cause(error), Some(FATAL)),
        SdkError::DispatchFailure(failure) => {
            let source = failure.as_connector_error().and_then(StdError::source);
            let text = source.map_or_else(|| cause(error), describe);
            Reply::failed(text, Some(if is_hopeless(error) { FATAL } else { TRANSIENT }))
        }
        // Nothing that can be read: somebody else answered, or it was cut short.
        _ => Reply::failed(cause(error), Some(TRANSIENT)),
    }
}

fn hint(status: u16, code: Option<&str>, retry_after: Option<&str>) -> RetryHint {
    let by_status = failure::hint(status, retry_after);
    let among = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    if among(MISCONFIGURED) {
        FATAL
    } else if among(SOON) {
        RetryHint { kind: RetryKind::Transient, ..failure::hint(503, retry_after) }
    } else if among(THROTTLED) {
        RetryHint { kind: RetryKind::Throttled, ..failure::hint(429, retry_after) }
    } else {
        by_status
    }
}

/// What is behind an error of the SDK, whose own text says only where it happened.
fn cause(error: &SdkError<InvokeError, HttpResponse>) -> String {
    error.source().map_or_else(|| error.to_string(), describe)
}

/// What is wrong with where the request should go.
fn endpoint_error(error: &SdkError<InvokeError, HttpResponse>) -> Option<&ResolveEndpointError> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}

/// Whether there are no credentials, or the request cannot be sent to anybody.
fn is_hopeless(error: &SdkError<InvokeError, HttpResponse>) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return matches!(
                error,
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            );
        }
        source = error.source();
    }
    matches!(error, SdkError::DispatchFailure(failure) if failure.is_user())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_code_then_status() {
        for (status, code, kind) in [
            (429, Some("TooManyRequestsException"), RetryKind::Throttled),
            (429, None, RetryKind::Throttled),
            (502, Some("EC2ThrottledException"), RetryKind::Throttled),
            (502, Some("KMSDisabledException"), RetryKind::Fatal),
            (502, None, RetryKind::Transient),
            (500, Some("ServiceException"), RetryKind::Transient),
            (409, Some("ResourceConflictException"), RetryKind::Transient),
            (404, Some("ResourceNotFoundException"), RetryKind::Fatal),
            (403, Some("AccessDeniedException"), RetryKind::Fatal),
            (413, Some("RequestTooLargeException"), RetryKind::Fatal),
        ] {
            assert_eq!(hint(status, code, None).kind, kind, "{status} {code:?}");
        }
        assert_eq!(hint(429, None, Some("3")).after.map(|after| after.as_secs()), Some(3));
    }
}
