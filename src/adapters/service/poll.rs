//! Asks a service again and again.

use std::time::Duration;

use super::Said;
use crate::{
    cloud::http,
    model::{RetryHint, RetryKind},
};

/// So many answers in a row may be none before it is taken for a failure.
const MOST_FAULTS: u32 = 5;

/// Why a service did not do what it was asked.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Failure {
    pub(in super::super) text: String,
    pub(in super::super) retry: Option<RetryHint>,
}

impl Failure {
    /// Something that may go well the next time.
    pub(in super::super) fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), retry: Some(crate::cloud::failure::TRANSIENT) }
    }

    /// Something that will not go better the next time, as far as one can see.
    pub(in super::super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), retry: None }
    }

    /// What an answer says that is no success.
    pub(in super::super) fn answered(text: impl Into<String>, said: &Said) -> Self {
        Self { text: text.into(), retry: said.retry() }
    }

    /// With what was being done.
    pub(in super::super) fn during(mut self, what: &str) -> Self {
        self.text = format!("{what}{}", self.text);
        self
    }

    fn may_pass(&self) -> bool {
        self.retry.is_some_and(|retry| retry.kind != RetryKind::Fatal)
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Self { text: error.to_string(), retry: Some(error.retry) }
    }
}

/// Asks until there is an answer, with a `pause` before each question but the first. Faults that may pass are passed over, a
/// few in a row.
pub(in super::super) async fn poll<T, F>(
    mut pause: impl FnMut(u32) -> Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<Option<T>, Failure>>,
{
    let (mut asked, mut faults) = (0, 0);
    loop {
        let asked_for = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {
                faults = 0;
                None
            }
            Err(failure) if failure.may_pass() && faults < MOST_FAULTS => {
                faults += 1;
                failure.retry.and_then(|retry| retry.after)
            }
            Err(failure) => return Err(failure),
        };
        asked += 1;
        tokio::time::sleep(pause(asked).max(asked_for.unwrap_or_default())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque};

    use tokio::time::Instant;

    use super::*;

    async fn asking(answers: &[Result<Option<u8>, &str>]) -> (Result<u8, String>, Duration) {
        let answers: RefCell<VecDeque<_>> = RefCell::new(answers.iter().copied().collect());
        let started = Instant::now();
        let outcome = poll(
            |_| Duration::from_secs(1),
            || async {
                let answer = answers.borrow_mut().pop_front();
                answer.expect("a question too many").map_err(|text| match text {
                    "fatal" => {
                        Failure { text: text.into(), retry: Some(crate::cloud::failure::FATAL) }
                    }
                    text => Failure::passing(text),
                })
            },
        );
        (outcome.await.map_err(|failure| failure.text), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_passed_over_a_few_in_a_row() {
        let many = |count| vec![Err("fault"); count];
        let seconds = Duration::from_secs;
        assert_eq!(asking(&[Ok(Some(1))]).await, (Ok(1), seconds(0)));
        assert_eq!(asking(&[Ok(None), Ok(None), Ok(Some(2))]).await, (Ok(2), seconds(2)));
        assert_eq!(asking(&[Ok(None), Err("fatal")]).await, (Err("fatal".into()), seconds(1)));
        let again = [many(5), vec![Ok(None)], many(5), vec![Ok(Some(3))]].concat();
        assert_eq!(asking(&again).await, (Ok(3), seconds(11)));
        assert_eq!(asking(&many(6)).await, (Err("fault".into()), seconds(5)));
    }
}
