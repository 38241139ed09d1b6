//! A machine for one chunk.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::service::{Endpoint, Failure, NotRented, Rental, Reply, Said, poll},
    seen::Seen,
};
use crate::cloud::http;

/// The pause between two looks at a machine.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the API itself waits for a machine, in seconds; it allows 60.
const WAIT: &str = "30";

/// A machine for one chunk.
pub(super) struct Machine {
    pub(super) endpoint: Endpoint,
    pub(super) app: String,
    pub(super) order: Value,
    /// What happened to it last, as far as it was seen.
    pub(super) last: Mutex<Option<String>>,
}

impl Machine {
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Said, http::Error> {
        let path = [&["apps", &*self.app, "machines"], path].concat();
        self.endpoint.ask(method, &path, query, body).await
    }

    /// Looks whether it has ended, when the API says that it may be worth it.
    async fn look(&self, made: &Made) -> Result<Option<Reply>, Failure> {
        let mut query = vec![("state", "stopped"), ("timeout", WAIT)];
        query.extend(made.instance_id.as_deref().map(|id| ("instance_id", id)));
        // Whatever it answers: the state tells.
        drop(self.ask(Method::GET, &[&made.id, "wait"], &query, None).await);
        let said = self.ask(Method::GET, &[&made.id], &[], None).await?;
        if said.status == 404 {
            return Err(self.vanished(&made.id));
        }
        if !said.is_success {
            let text = format!("Failed to poll Fly Machine: {} {}", said.status_line(), said.body);
            return Err(Failure::answered(text, &said));
        }
        let unread = |why| Failure::passing(format!("Failed to poll Fly Machine: {why}"));
        let seen: Seen = said.parse().map_err(unread)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen.last());
        seen.outcome(&made.id)
    }

    /// One that is not there. Right after it was made it may only be about to appear.
    fn vanished(&self, id: &str) -> Failure {
        let text = format!("Fly Machine {id} has vanished");
        match &*self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(last) => Failure::lasting(format!("{text} ({last})")),
            None => Failure::passing(text),
        }
    }
}

impl Rental for Machine {
    type Outcome = Reply;
    type Thing = Made;

    const WHAT: &'static str = "Fly Machine";

    async fn rent(&self) -> Result<Made, NotRented> {
        const FAILED: &str = "Failed to create Fly Machine: ";
        let asked = self.ask(Method::POST, &[], &[], Some(&self.order)).await;
        let said = asked.map_err(|error| NotRented::unanswered(error, FAILED))?;
        if !said.is_success {
            let text = format!("{FAILED}{} {}", said.status_line(), said.body);
            return Err(NotRented::refused(text, &said));
        }
        said.parse().map_err(|why| NotRented::untold(format!("{FAILED}{why}")))
    }

    async fn find(&self) -> Result<Option<Made>, Failure> {
        let said = self.ask(Method::GET, &[], &[("summary", "true")], None).await?;
        if !said.is_success {
            return Err(Failure::answered(format!("{} {}", said.status_line(), said.body), &said));
        }
        let machines: Vec<Made> = said.parse().map_err(Failure::passing)?;
        Ok(machines.into_iter().find(|machine| machine.name == self.order["name"]))
    }

    async fn work(&self, made: &Made) -> Result<Reply, Failure> {
        poll(|_| PAUSE, || self.look(made)).await
    }

    async fn give_back(&self, made: &Made) -> Result<(), Failure> {
        self.ask(Method::DELETE, &[&made.id], &[("force", "true")], None).await?.removed()
    }
}

/// A machine that was made.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    id: String,
    #[serde(default)]
    name: String,
    /// Which of its lives it is in.
    #[serde(default)]
    instance_id: Option<String>,
}
