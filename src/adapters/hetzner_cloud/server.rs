//! A server for one command.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::service::{Endpoint, Failure, NotRented, Rental, Reply, poll},
    HetznerCloudAdapterConfig,
    leftovers::{EXPIRES, LABEL, WORKER, now},
    script,
};
use crate::{cloud::http, model::OutputSink, storage::Exchange};

/// The longest that a result of 16 MiB may take on its way: a place that says nothing is asked again.
const FETCH_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest that its removal may take: nothing depends on it, and it must not look as if the server were still there.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the API is told to make.
pub(super) struct Order {
    body: Value,
    exchange: Exchange,
}

impl Order {
    pub(super) fn new(
        config: &HetznerCloudAdapterConfig,
        name: &str,
        script: &str,
        expires: Duration,
        exchange: Exchange,
    ) -> Self {
        let mut body = json!({
            "name": name,
            "server_type": config.server_type,
            "image": config.image,
            "user_data": script,
            "labels": { LABEL: WORKER, EXPIRES: (now() + expires.as_secs()).to_string() },
            "start_after_create": true,
        });
        if let Some(key) = config.ssh_key_id {
            #[expect(clippy::cast_possible_truncation, reason = "ids are whole numbers below 2^53")]
            let key = key as i64;
            body["ssh_keys"] = json!([key]);
        }
        if let Some(location) = &config.location {
            body["location"] = location.as_str().into();
        }
        Self { body, exchange }
    }
}

/// A server for one command.
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    pub(super) pause: Duration,
    /// Hears what is being done.
    pub(super) steps: Option<Arc<dyn OutputSink>>,
    pub(super) order: Order,
}

/// The answers of the API, as far as they matter.
#[derive(Deserialize)]
struct Answer {
    server: Seen,
}

#[derive(Deserialize)]
struct Found {
    servers: Vec<Seen>,
}

#[derive(Deserialize)]
struct Seen {
    id: u64,
    status: String,
}

impl Server {
    async fn say(&self, step: String) {
        if let Some(steps) = &self.steps {
            steps.write(format!("{step}\n").as_bytes()).await;
        }
    }

    /// Whether it is off.
    async fn look(&self, id: &str) -> Result<Option<()>, Failure> {
        let failed = |text: &str| format!("Failed to poll server status: {text}");
        let said = self.endpoint.ask(Method::GET, &["servers", id], &[], None).await;
        let said =
            said.map_err(|error| Failure::from(error).during("Failed to poll server status: "))?;
        if !said.is_success {
            return Err(Failure::answered(failed(&said.status.to_string()), &said));
        }
        let answer: Answer = said.parse().map_err(|why| Failure::passing(failed(&why)))?;
        Ok((answer.server.status == "off").then_some(()))
    }

    /// Fetches what it has handed in.
    async fn result(&self, id: &str) -> Result<Option<Reply>, Failure> {
        let fetched = async {
            let request = http::client()?.get(&self.order.exchange.get);
            http::send(request.timeout(FETCH_TIMEOUT)).await
        };
        let answer = fetched.await.map_err(|error| {
            Failure::from(error).during(&format!("The result of server {id} cannot be fetched: "))
        })?;
        if !answer.status.is_success() {
            let text = format!(
                "Server {id} is off and has not handed in a result: HTTP {}",
                answer.status.as_u16()
            );
            return Err(Failure::passing(text));
        }
        let (exit_code, stdout, stderr) = script::read(&answer.body)
            .ok_or_else(|| Failure::passing(format!("The result of server {id} is not whole")))?;
        Ok(Some(Reply { exit_code, stdout, stderr, ..Reply::default() }))
    }
}

impl Rental for Server {
    type Outcome = Reply;
    type Thing = String;

    const WHAT: &'static str = "server at Hetzner";

    async fn rent(&self) -> Result<String, NotRented> {
        const FAILED: &str = "Failed to create server: ";
        self.say("Creating server...".to_owned()).await;
        let asked =
            self.endpoint.ask(Method::POST, &["servers"], &[], Some(&self.order.body)).await;
        let said = asked.map_err(|error| NotRented::unanswered(error, FAILED))?;
        if !said.is_success {
            let text = format!("{FAILED}{} - {}", said.status, said.body);
            return Err(NotRented::refused(text, &said));
        }
        let unread = |why| NotRented::untold(format!("{FAILED}{why}"));
        let answer: Answer = said.parse().map_err(unread)?;
        self.say(format!("Server {} created. Waiting for it to end...", answer.server.id)).await;
        Ok(answer.server.id.to_string())
    }

    async fn find(&self) -> Result<Option<String>, Failure> {
        // It is nobody else's.
        let name = self.order.body["name"].as_str().unwrap_or_default();
        let said = self.endpoint.ask(Method::GET, &["servers"], &[("name", name)], None).await?;
        if !said.is_success {
            return Err(Failure::answered(said.status_line(), &said));
        }
        let found: Found = said.parse().map_err(Failure::passing)?;
        Ok(found.servers.first().map(|server| server.id.to_string()))
    }

    async fn work(&self, id: &String) -> Result<Reply, Failure> {
        poll(|_| self.pause, || self.look(id)).await?;
        self.say(format!("Server {id} is off.")).await;
        poll(|_| Duration::from_millis(200), || self.result(id)).await
    }

    async fn give_back(&self, id: &String) -> Result<(), Failure> {
        self.endpoint.ask(Method::DELETE, &["servers", id], &[], None).await?.removed()?;
        // Best effort: it is small, and a rule of the bucket may remove it as well.
        if let Ok(client) = http::client() {
            let request = client.delete(&self.order.exchange.delete);
            drop(request.timeout(REMOVE_TIMEOUT).send().await);
        }
        Ok(())
    }
}
