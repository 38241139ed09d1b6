//! What failures of the API mean, and requests that are made again.

use std::{process::ExitStatus, time::Duration};

use futures_util::future::BoxFuture;
use kube::{client::AuthError, config::KubeconfigError};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    cloud::failure::{FATAL, TRANSIENT, describe, hint},
    error::exact_millis,
    model::{RetryHint, RetryKind},
};

/// How often a request is made before its failure counts.
const ATTEMPTS: u32 = 12;
/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause that the API may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that an answer may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// So much of a text of the API is shown.
const SHOWN: usize = 2000;

/// Why the API did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    text: String,
    /// The status of its answer, if it answered.
    pub(super) status: Option<u16>,
    pub(super) retry: RetryHint,
    /// Whether the API has heard what was asked, as far as that is known.
    is_heard: bool,
}

impl Failure {
    /// It will go wrong every time.
    pub(super) fn fatal(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: None, retry: FATAL, is_heard: true }
    }

    /// It may go well the next time.
    pub(super) fn transient(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: None, retry: TRANSIENT, is_heard: true }
    }

    /// There is no answer.
    pub(super) fn late() -> Self {
        Self::transient(format!("no answer within {}ms", exact_millis(ANSWER_TIMEOUT)))
    }

    /// Whether what was asked for has certainly not been done.
    pub(super) fn is_refusal(&self) -> bool {
        !self.is_heard || self.retry.kind != RetryKind::Transient
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let mut retry = hint(status.code, None);
                // Kubernetes has no status of its own for this; there will be room when other Jobs have ended.
                if status.code == 403 && status.message.contains("exceeded quota") {
                    retry.kind = RetryKind::Throttled;
                }
                let seconds = status.details.as_ref().map_or(0, |it| it.retry_after_seconds);
                retry.after =
                    (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LONGEST_PAUSE));
                let text = [&status.message, &status.reason]
                    .into_iter()
                    .find(|text| !text.is_empty())
                    .map_or_else(|| format!("HTTP {}", status.code), |text| shown(text));
                Self { text, status: Some(status.code), retry, is_heard: true }
            }
            kube::Error::Auth(error) => Self::fatal(describe_login(&error)),
            kube::Error::InferKubeconfig(error) => error.into(),
            kube::Error::Service(error) => match error.downcast::<AuthError>() {
                Ok(error) => Self::fatal(describe_login(&error)),
                Err(error) => {
                    let is_heard = !error.downcast_ref().is_some_and(reqwest::Error::is_connect);
                    Self { is_heard, ..Self::transient(describe(&*error)) }
                }
            },
            kube::Error::HyperError(_)
            | kube::Error::ReadEvents(_)
            | kube::Error::SerdeError(_)
            | kube::Error::FromUtf8(_) => Self::transient(describe(&error)),
            other => Self::fatal(describe(&other)),
        }
    }
}

impl From<KubeconfigError> for Failure {
    fn from(error: KubeconfigError) -> Self {
        // The parser shows the lines around a mistake, which may have a token in them.
        Self::fatal(match error {
            KubeconfigError::Parse(_) => "the kubeconfig is not valid".to_owned(),
            other => describe(&other),
        })
    }
}

/// What went wrong with a login, without what a program that logs in has printed: it prints tokens.
fn describe_login(error: &AuthError) -> String {
    let ended = |status: ExitStatus| format!("the program that logs in failed with {status}");
    match error {
        AuthError::AuthExecRun { out, .. } => ended(out.status),
        AuthError::AuthExec(text) if text.contains("not supported") => text.clone(),
        AuthError::AuthExec(_) | AuthError::AuthExecParse(_) => {
            "the program or auth-provider that logs in did not answer as it should".to_owned()
        }
        other => describe(other),
    }
}

fn shown(text: &str) -> String {
    let shown: String = text.trim().chars().take(SHOWN).collect();
    shown
}

/// Asks until there is an answer that counts: not one that says "too much" or "not now". Pauses grow up to `longest`, and end
/// with `cancel`: then the last failure counts.
pub(super) async fn patiently<'a, T>(
    longest: Duration,
    cancel: &CancellationToken,
    mut ask: impl FnMut() -> BoxFuture<'a, Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let answer = timeout(ANSWER_TIMEOUT, ask()).await;
        let failure = match answer.unwrap_or_else(|_| Err(Failure::late())) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if failure.retry.kind == RetryKind::Fatal || attempt >= ATTEMPTS {
            return Err(failure);
        }
        let wait = failure.retry.after.unwrap_or_else(|| spread(pause.min(longest)));
        if cancel.run_until_cancelled(sleep(wait)).await.is_none() {
            return Err(failure);
        }
        pause *= 2;
    }
    unreachable!("the last attempt returns")
}

/// Somewhere between half and all of a pause, so that those who were sent away together do not come back together.
fn spread(pause: Duration) -> Duration {
    let random = u32::from(Uuid::new_v4().as_bytes()[0]);
    pause * (256 + random) / 512
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::{pending, ready},
        io,
    };

    use futures_util::FutureExt;
    use serde_json::{Value, json};

    use super::*;

    fn api(status: Value) -> Failure {
        kube::Error::Api(serde_json::from_value(status).unwrap()).into()
    }

    #[test]
    fn answers_say_what_to_make_of_them() {
        for (code, kind) in [
            (401, RetryKind::Fatal),
            (403, RetryKind::Fatal),
            (404, RetryKind::Fatal),
            (422, RetryKind::Fatal),
            (429, RetryKind::Throttled),
            (500, RetryKind::Transient),
            (503, RetryKind::Transient),
        ] {
            let failure = api(json!({ "code": code, "message": "no", "reason": "No" }));
            assert_eq!((failure.to_string().as_str(), failure.retry.kind), ("no", kind), "{code}");
            assert_eq!(failure.is_refusal(), kind != RetryKind::Transient, "{code}");
        }
        let quota = api(json!({ "code": 403, "message": "forbidden: exceeded quota: jobs" }));
        assert_eq!(quota.retry.kind, RetryKind::Throttled);
        let asked = api(json!({ "code": 429, "details": { "retryAfterSeconds": 7 } }));
        assert_eq!(asked.to_string(), "HTTP 429");
        assert_eq!(asked.retry.after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn logins_that_fail_keep_their_secrets() {
        let out = std::process::Output {
            status: ExitStatus::default(),
            stdout: b"token: hush".into(),
            stderr: b"hush".into(),
        };
        let (cmd, out) = ("login --password hush".to_owned(), Box::new(out));
        let failure: Failure = kube::Error::Auth(AuthError::AuthExecRun { cmd, out }).into();
        assert!(!failure.to_string().contains("hush"), "{failure}");
        assert_eq!(failure.retry.kind, RetryKind::Fatal);
        let kubeconfig = "users:\n- name: u\n  user: {token: hush, username: [}\n";
        let broken = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap_err();
        assert_eq!(Failure::from(broken).to_string(), "the kubeconfig is not valid");
    }

    #[test]
    fn broken_connections_may_be_whole_the_next_time() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let failure: Failure = kube::Error::Service(reset.into()).into();
        assert_eq!(failure.retry.kind, RetryKind::Transient);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_made_again_until_they_are_answered() {
        let ask = async |failures: Vec<Failure>, cancel: CancellationToken| {
            let asked = Cell::new(0);
            let answer = patiently(Duration::from_secs(2), &cancel, || {
                asked.set(asked.get() + 1);
                let failure = failures.get(asked.get() - 1).cloned();
                ready(failure.map_or(Ok(()), Err)).boxed()
            });
            (answer.await.is_ok(), asked.get())
        };
        let busy = || Failure::transient("busy");
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        for (failures, cancel, expected) in [
            (vec![], CancellationToken::new(), (true, 1)),
            (vec![busy(); 3], CancellationToken::new(), (true, 4)),
            (vec![busy(); 99], CancellationToken::new(), (false, 12)),
            (vec![Failure::fatal("no"); 9], CancellationToken::new(), (false, 1)),
            (vec![busy(); 9], cancelled, (false, 1)),
        ] {
            assert_eq!(ask(failures, cancel).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_do_not_come_are_not_waited_for() {
        let asked = Cell::new(0);
        let cancel = CancellationToken::new();
        let answer = patiently(Duration::from_secs(2), &cancel, || {
            asked.set(asked.get() + 1);
            if asked.get() == 1 { pending().boxed() } else { ready(Ok(())).boxed() }
        });
        assert_eq!((answer.await, asked.get()), (Ok(()), 2));
    }
}
