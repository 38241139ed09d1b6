//! Servers that nobody can want any more: whoever made them has died.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde::Deserialize;

use super::super::service::{Endpoint, Failure};

/// What servers of ours have in common.
pub(super) const LABEL: &str = "helios";
/// Its value.
pub(super) const WORKER: &str = "worker";
/// When at the latest a server should have been deleted, in seconds since 1970.
pub(super) const EXPIRES: &str = "helios-expires";

#[derive(Deserialize)]
struct Page {
    servers: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: u64,
    #[serde(default)]
    labels: std::collections::HashMap<String, String>,
}

impl Listed {
    fn is_over(&self, now: u64) -> bool {
        let expires = self.labels.get(EXPIRES).and_then(|expires| expires.parse::<u64>().ok());
        expires.is_some_and(|expires| expires < now)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Deletes the servers of ours that have expired.
pub(super) async fn delete(endpoint: &Endpoint) -> Result<(), Failure> {
    let selector = format!("{LABEL}={WORKER}");
    let query = [("label_selector", &*selector), ("per_page", "50")];
    let said = endpoint.ask(Method::GET, &["servers"], &query, None).await?;
    if !said.is_success {
        return Err(Failure::answered(said.status_line(), &said));
    }
    let page: Page = said.parse().map_err(Failure::lasting)?;
    let now = now();
    for server in page.servers.into_iter().filter(|server| server.is_over(now)) {
        // Somebody else may be about to do the same.
        endpoint.ask(Method::DELETE, &["servers", &server.id.to_string()], &[], None).await?;
    }
    Ok(())
}
