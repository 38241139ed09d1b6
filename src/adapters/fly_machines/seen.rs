//! What the API shows of a machine, and what that says of its end.

use serde::Deserialize;
use serde_json::Value;

use super::super::service::{Failure, Reply};

/// What there is to see of a machine, as far as it matters.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    state: String,
    #[serde(default)]
    events: Vec<Event>,
}

/// What has happened to a machine; the newest comes first.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    request: Value,
}

impl Seen {
    /// Its state, and what happened last.
    pub(super) fn last(&self) -> String {
        let event = self
            .events
            .first()
            .map(|event| format!(", last event: {} {}", event.kind, event.status));
        format!("state: {}{}", self.state, event.unwrap_or_default())
    }

    /// What came of it, if it has ended.
    pub(super) fn outcome(&self, id: &str) -> Result<Option<Reply>, Failure> {
        if !matches!(&*self.state, "stopped" | "destroying" | "destroyed" | "failed") {
            return Ok(None);
        }
        let exit = self.events.iter().filter(|event| event.kind == "exit").find_map(Event::exit);
        let Some((exit_code, out_of_memory)) = exit else {
            // The event may come a moment later than the state.
            let text = format!("Fly Machine {id} has not said how it ended ({})", self.last());
            return Err(Failure::passing(text));
        };
        let stderr = if out_of_memory {
            format!("Machine {id} ran out of memory.\n")
        } else {
            String::new()
        };
        Ok(Some(Reply {
            exit_code,
            stdout: format!("Machine {id} executed."),
            stderr,
            ..Reply::default()
        }))
    }
}

impl Event {
    /// The exit code, and whether the memory was too small.
    fn exit(&self) -> Option<(i32, bool)> {
        let exit = [&self.request["exit_event"], &self.request["MonitorEvent"]["exit_event"]]
            .into_iter()
            .find(|exit| exit.is_object())?;
        let code = exit["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok())?;
        Some((code, exit["oom_killed"] == true))
    }
}
