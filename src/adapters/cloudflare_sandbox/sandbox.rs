//! A sandbox for one chunk.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::service::{Endpoint, Failure, Fields, NotRented, Rental, Reply, Said, poll},
    script,
};
use crate::cloud::http;

/// A sandbox for one chunk.
pub(super) struct Sandbox {
    pub(super) endpoint: Endpoint,
    pub(super) account: String,
    pub(super) namespace: String,
    /// What begins to render.
    pub(super) start: String,
    pub(super) pause: Duration,
    /// How often it is looked whether it has ended.
    pub(super) most_looks: u32,
}

/// What a command in a sandbox came to.
struct Ran {
    exit_code: i32,
    stdout: String,
    stderr: String,
}

impl Sandbox {
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Said, http::Error> {
        let place =
            ["accounts", &*self.account, "sandbox", "namespaces", &*self.namespace, "sandboxes"];
        let path = [&place[..], path].concat();
        self.endpoint.ask(method, &path, &[], body).await
    }

    /// Runs a command and waits for its end.
    async fn exec(&self, id: &str, command: &str) -> Result<Ran, Failure> {
        const FAILED: &str = "Sandbox exec failed: ";
        let asked =
            self.ask(Method::POST, &[id, "exec"], Some(&json!({ "command": command }))).await;
        let said = asked.map_err(|error| Failure::from(error).during(FAILED))?;
        if !said.is_success {
            let text = format!("{FAILED}HTTP {} - {}", said.status, said.body);
            return Err(Failure::answered(text, &said));
        }
        let ran = said.object.as_ref().map(result).and_then(Value::as_object);
        let Some(ran) = ran else {
            return Err(Failure::lasting(format!("{FAILED}{}", said.is_no_object())));
        };
        let text = |name| ran.text(name).unwrap_or_default().to_owned();
        Ok(Ran {
            exit_code: ran.exit_code("exitCode").unwrap_or(0),
            stdout: text("stdout"),
            stderr: text("stderr"),
        })
    }

    /// Whether it has ended: its exit code, or why there will be none.
    async fn look(&self, id: &str, looks: &AtomicU32) -> Result<Option<Outcome>, Failure> {
        let seen = self.exec(id, &script::look()).await?;
        let over = |text: String| Ok(Some(Err(Failure::passing(text))));
        match seen.stdout.trim() {
            "gone" => over(format!("Sandbox {id} was recycled while it rendered")),
            "" if looks.fetch_add(1, Ordering::Relaxed) + 1 >= self.most_looks => {
                over(format!("Sandbox {id} timed out after {} poll attempts", self.most_looks))
            }
            "" => Ok(None),
            code => match code.parse() {
                Ok(code) => Ok(Some(Ok(code))),
                Err(_) => over(format!("Sandbox {id} does not say how its command ended: {code}")),
            },
        }
    }
}

type Outcome = Result<i32, Failure>;

impl Rental for Sandbox {
    type Outcome = (String, Reply);
    type Thing = String;

    const WHAT: &'static str = "Cloudflare sandbox";

    async fn rent(&self) -> Result<String, NotRented> {
        const FAILED: &str = "Failed to create sandbox: ";
        // Without `keepAlive` it goes to sleep while nobody asks it anything.
        let asked = self.ask(Method::POST, &[], Some(&json!({ "keepAlive": true }))).await;
        let said = asked.map_err(|error| NotRented::unanswered(error, FAILED))?;
        if !said.is_success {
            let text = format!("{FAILED}HTTP {} - {}", said.status, said.body);
            return Err(NotRented::refused(text, &said));
        }
        let id = said
            .object
            .as_ref()
            .and_then(|object| result(object)["id"].as_str().map(str::to_owned));
        id.ok_or_else(|| NotRented::untold(format!("{FAILED}{}", said.is_no_object())))
    }

    /// The API has no names for them, and no list.
    async fn find(&self) -> Result<Option<String>, Failure> {
        Err(Failure::lasting("nobody has said whether it was made"))
    }

    async fn work(&self, id: &String) -> Result<(String, Reply), Failure> {
        let started = self.exec(id, &self.start).await?;
        if started.exit_code != 0 {
            let text = format!("the command cannot be started: {}", script::plain(&started.stderr));
            return Err(Failure::lasting(text));
        }
        // Nothing is rendered in a moment: the first look is late.
        tokio::time::sleep(self.pause * 6).await;
        let pause = |asked| if asked == 1 { self.pause * 2 } else { self.pause };
        let looks = AtomicU32::new(0);
        let exit_code = poll(pause, || self.look(id, &looks)).await??;
        let log = poll(|_| self.pause, || async { self.exec(id, &script::log()).await.map(Some) })
            .await?;
        let log = script::plain(&log.stdout);
        let (stdout, stderr) =
            if exit_code == 0 { (log, String::new()) } else { (String::new(), log) };
        Ok((id.clone(), Reply { exit_code, stdout, stderr, ..Reply::default() }))
    }

    async fn give_back(&self, id: &String) -> Result<(), Failure> {
        self.ask(Method::DELETE, &[id], None).await?.removed()
    }
}

/// What is in the envelope of Cloudflare's API, if it has one.
fn result(object: &serde_json::Map<String, Value>) -> &Value {
    static NULL: Value = Value::Null;
    object.get("result").or_else(|| object.get("data")).unwrap_or(&NULL)
}
