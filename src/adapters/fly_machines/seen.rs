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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Exit code and standard error of a machine that looks like this, `None` while it runs, or why there is neither.
    fn outcome(machine: Value) -> Result<Option<(i32, String)>, String> {
        let seen: Seen = serde_json::from_value(machine).unwrap();
        let outcome = seen.outcome("m1").map_err(|failure| failure.text)?;
        Ok(outcome.map(|reply| (reply.exit_code, reply.stderr)))
    }

    fn exited(exit: &Value) -> Value {
        json!({ "type": "exit", "status": "stopped", "request": { "exit_event": exit } })
    }

    #[test]
    fn exit_code_is_that_of_the_newest_exit_that_has_one() {
        let old = || exited(&json!({ "exit_code": 1 }));
        let by_monitor = json!({
            "type": "exit",
            "request": { "MonitorEvent": { "exit_event": { "exit_code": 4 } } },
        });
        let too_small = exited(&json!({ "exit_code": 137, "oom_killed": true }));
        let other = json!({ "type": "start", "request": { "exit_event": { "exit_code": 9 } } });
        for (events, code, stderr) in [
            (json!([exited(&json!({ "exit_code": 0 })), old()]), 0, ""),
            (json!([exited(&json!({ "exit_code": -7, "oom_killed": false }))]), -7, ""),
            (json!([exited(&json!({})), old()]), 1, ""),
            (json!([exited(&json!({ "exit_code": "0" })), old()]), 1, ""),
            (json!([exited(&json!({ "exit_code": 4_294_967_296_u64 })), old()]), 1, ""),
            (json!([{ "type": "exit" }, old()]), 1, ""),
            (json!([other, old()]), 1, ""),
            (json!([by_monitor]), 4, ""),
            (json!([too_small]), 137, "Machine m1 ran out of memory.\n"),
        ] {
            let seen = outcome(json!({ "state": "stopped", "events": events }));
            assert_eq!(seen, Ok(Some((code, stderr.to_owned()))), "{events}");
        }
    }

    #[test]
    fn state_tells_whether_it_has_ended() {
        let events = json!([exited(&json!({ "exit_code": 3 }))]);
        for (state, is_over) in [
            ("created", false),
            ("starting", false),
            ("started", false),
            ("stopping", false),
            ("suspended", false),
            ("stopped", true),
            ("failed", true),
            ("destroying", true),
            ("destroyed", true),
        ] {
            let seen = outcome(json!({ "state": state, "events": events }));
            assert_eq!(seen, Ok(is_over.then(|| (3, String::new()))), "{state}");
        }
    }

    #[test]
    fn end_without_an_exit_is_a_failure_that_tells_what_was_seen_last() {
        for (events, last) in [
            (json!([]), "state: stopped"),
            (
                json!([{ "type": "start", "status": "started" }]),
                "state: stopped, last event: start started",
            ),
            (json!([exited(&json!({}))]), "state: stopped, last event: exit stopped"),
        ] {
            let text = format!("Fly Machine m1 has not said how it ended ({last})");
            assert_eq!(outcome(json!({ "state": "stopped", "events": events })), Err(text));
        }
        assert_eq!(outcome(json!({ "state": "started" })), Ok(None));
    }
}
