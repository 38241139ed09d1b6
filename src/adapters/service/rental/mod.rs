//! What is rented for one command, and given back whatever happens.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::oneshot, time::timeout};

use super::{Call, Failure, Said, Surroundings, poll};
use crate::{cloud::http, console::Console, model::WorkerJob, process::KILL_GRACE};

/// How long something may take to be made, to be looked for, or to be given back, when nobody waits for it.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pauses before each look for what may have been made, in seconds: an order without an answer may still be at work.
const LOOKS: [u64; 5] = [0, 1, 4, 10, 15];

/// Something that costs money for as long as it is there: a machine, a server, a sandbox.
pub(in super::super) trait Rental: Send + Sync + 'static {
    /// What it is called.
    const WHAT: &'static str;
    /// What is known of one that is there.
    type Thing: Send + Sync + 'static;
    /// What comes of its work.
    type Outcome: Send + 'static;

    /// Has one made. When it is dropped half way there may be one.
    fn rent(&self) -> impl Future<Output = Result<Self::Thing, NotRented>> + Send;

    /// Looks for the one that may have been made though nobody said so. A failure where nobody can know.
    fn find(&self) -> impl Future<Output = Result<Option<Self::Thing>, Failure>> + Send;

    /// Has it do its work. May be dropped half way.
    fn work(
        &self,
        thing: &Self::Thing,
    ) -> impl Future<Output = Result<Self::Outcome, Failure>> + Send;

    /// Has it removed. One that is not there any more is no failure.
    fn give_back(&self, thing: &Self::Thing) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why there is nothing, as far as that is known.
pub(in super::super) struct NotRented {
    failure: Failure,
    /// Whether there may be one all the same.
    may_exist: bool,
}

impl NotRented {
    /// There is no answer.
    pub(in super::super) fn unanswered(error: http::Error, during: &str) -> Self {
        Self { may_exist: error.is_heard, failure: Failure::from(error).during(during) }
    }

    /// The answer is no success. Where it may pass, somebody between may have given it for the service.
    pub(in super::super) fn refused(text: String, said: &Said) -> Self {
        let may_exist = said.status == 408 || said.status >= 500;
        Self { failure: Failure::answered(text, said), may_exist }
    }

    /// The answer is a success, and does not say what was made.
    pub(in super::super) fn untold(text: String) -> Self {
        Self { failure: Failure::lasting(text), may_exist: true }
    }
}

/// How a rental ended.
pub(in super::super) struct Ended<T> {
    pub(in super::super) call: Call<Result<T, Failure>>,
    /// Why it is still there.
    pub(in super::super) leftover: Option<Failure>,
}

impl Surroundings {
    /// Rents something for as long as `job` wants it, at most for `limit`. When this is done it has been given back; after an
    /// abort or a timeout it may still be about to, if the service is slow, and so may what was ordered and not answered for;
    /// the process is kept alive for that.
    pub(in super::super) async fn rented<R: Rental>(
        &self,
        job: &WorkerJob,
        limit: Option<Duration>,
        rental: R,
    ) -> Ended<R::Outcome> {
        if job.cancel.is_cancelled() {
            return Ended { call: Call::Aborted, leftover: None };
        }
        let (tell, ended) = oneshot::channel();
        let stop = self.stop(&job.cancel, limit);
        let grace = job.kill_grace.unwrap_or(KILL_GRACE);
        // It goes on when this is dropped: somebody has to give it back.
        let life = tokio::spawn(live(rental, stop, grace, tell));
        let ended = ended.await;
        let console = Rc::clone(&self.console);
        let rest = async move {
            match life.await {
                Ok(leftover) => warn_of_leftover::<R>(&*console, leftover),
                // A panic in a task is a bug of ours and goes on in the caller.
                Err(error) => resume_unwind(error.into_panic()),
            }
        };
        if let Ok(ended) = ended {
            self.spawner.spawn(Box::pin(rest));
            return ended;
        }
        // Nothing was told: it panicked.
        rest.await;
        unreachable!("a rental that ends tells how")
    }
}

/// Says that something that costs money may still be there.
pub(in super::super) fn warn_of_leftover<R: Rental>(console: &dyn Console, why: Option<Failure>) {
    if let Some(Failure { text, .. }) = why {
        console.warn(&format!("Warning: a {} may be left: {text}", R::WHAT));
    }
}

/// From the order to the return. Tells how it ended as soon as that may be known; gives why the thing is still there after
/// that.
async fn live<R: Rental>(
    rental: R,
    stop: impl Future<Output = Call<Result<R::Outcome, Failure>>> + Send,
    grace: Duration,
    tell: oneshot::Sender<Ended<R::Outcome>>,
) -> Option<Failure> {
    let (mut stop, mut renting) = (pin!(stop), pin!(rental.rent()));
    // Whoever wanted to know may have gone.
    let tell = |call, leftover| drop(tell.send(Ended { call, leftover }));
    let thing = tokio::select! {
        biased;
        call = &mut stop => {
            tell(call, None);
            return abandon(&rental, renting).await;
        }
        rented = &mut renting => match rented {
            Ok(thing) => thing,
            Err(NotRented { failure, may_exist }) => {
                tell(Call::Answered(Err(failure)), None);
                return if may_exist { seek(&rental).await } else { None };
            }
        },
    };
    let worked = tokio::select! {
        biased;
        call = &mut stop => Ok(call),
        outcome = AssertUnwindSafe(rental.work(&thing)).catch_unwind() => outcome.map(Call::Answered),
    };
    let call = match worked {
        Ok(call) => call,
        Err(panic) => {
            // What costs money goes first. Whether it went is not told: the panic is.
            let _ = patiently(give_back(&rental, &thing)).await;
            resume_unwind(panic);
        }
    };
    let patience = if matches!(call, Call::Answered(_)) { PATIENCE } else { grace };
    let mut giving = pin!(give_back(&rental, &thing));
    if let Ok(given) = timeout(patience, &mut giving).await {
        tell(call, given.err());
        return None;
    }
    tell(call, None);
    patiently(giving).await
}

/// Gives back what nobody wanted any more when it was only about to be there.
async fn abandon<R: Rental>(
    rental: &R,
    renting: Pin<&mut impl Future<Output = Result<R::Thing, NotRented>>>,
) -> Option<Failure> {
    match timeout(PATIENCE, renting).await {
        Ok(Ok(thing)) => patiently(give_back(rental, &thing)).await,
        Ok(Err(NotRented { may_exist: false, .. })) => None,
        Ok(Err(_)) | Err(_) => seek(rental).await,
    }
}

/// Looks for what may have been made though nobody said so, and gives it back.
async fn seek<R: Rental>(rental: &R) -> Option<Failure> {
    let sought = async {
        for pause in LOOKS {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            if let Some(thing) = poll(backoff, || async { rental.find().await.map(Some) }).await? {
                return give_back(rental, &thing).await;
            }
        }
        // Nobody has ever heard of it.
        Ok(())
    };
    patiently(sought).await
}

async fn give_back<R: Rental>(rental: &R, thing: &R::Thing) -> Result<(), Failure> {
    poll(backoff, || async { rental.give_back(thing).await.map(Some) }).await
}

fn backoff(asked: u32) -> Duration {
    Duration::from_millis(100) * 2_u32.pow(asked)
}

/// Why something is still there for which nobody waits.
async fn patiently(ending: impl Future<Output = Result<(), Failure>>) -> Option<Failure> {
    timeout(PATIENCE, ending).await.unwrap_or_else(|_| Err(no_answer())).err()
}

fn no_answer() -> Failure {
    Failure::passing(format!("no answer within {} s", PATIENCE.as_secs()))
}

#[cfg(test)]
mod tests;
