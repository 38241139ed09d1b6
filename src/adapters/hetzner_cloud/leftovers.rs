//! Servers that nobody can want any more: whoever made them has died.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

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
    #[serde(default)]
    meta: Value,
}

impl Page {
    /// The number of the page that follows `this` one.
    fn next(&self, this: u64) -> Option<u64> {
        // Only forward, whatever the API says: this must end.
        self.meta["pagination"]["next_page"].as_u64().filter(|next| *next > this)
    }
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

/// What could not be done about servers that are left.
#[derive(Default)]
pub(super) struct Undone {
    /// Why not all of them are known.
    pub(super) looked_for: Option<Failure>,
    /// Which are known and could not be deleted, and why.
    pub(super) deleted: Vec<(u64, Failure)>,
}

/// Deletes the servers of ours that have expired. One that cannot be deleted does not keep the others.
pub(super) async fn delete(endpoint: &Endpoint) -> Undone {
    let (mut undone, mut expired, now) = (Undone::default(), Vec::new(), now());
    // All pages first: they move when servers go.
    let mut next = Some(1);
    while let Some(number) = next.take() {
        match page(endpoint, number).await {
            Ok(page) => {
                next = page.next(number);
                expired.extend(page.servers.into_iter().filter(|server| server.is_over(now)));
            }
            Err(failure) => undone.looked_for = Some(failure),
        }
    }
    for server in expired {
        if let Err(failure) = delete_one(endpoint, server.id).await {
            undone.deleted.push((server.id, failure));
        }
    }
    undone
}

async fn page(endpoint: &Endpoint, number: u64) -> Result<Page, Failure> {
    let (selector, number) = (format!("{LABEL}={WORKER}"), number.to_string());
    let query = [("label_selector", &*selector), ("per_page", "50"), ("page", &*number)];
    let said = endpoint.ask(Method::GET, &["servers"], &query, None).await?;
    if !said.is_success {
        return Err(Failure::answered(said.status_line(), &said));
    }
    said.parse().map_err(Failure::lasting)
}

async fn delete_one(endpoint: &Endpoint, id: u64) -> Result<(), Failure> {
    // Somebody else may have done the same.
    endpoint.ask(Method::DELETE, &["servers", &id.to_string()], &[], None).await?.removed()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_go_forward_until_there_is_none() {
        for (meta, next) in [
            (json!({ "pagination": { "page": 2, "next_page": 3 } }), Some(3)),
            (json!({ "pagination": { "page": 2, "next_page": null } }), None),
            (json!({ "pagination": { "page": 2, "next_page": 2 } }), None),
            (json!({ "pagination": { "page": 2, "next_page": 1 } }), None),
            (json!({}), None),
            (Value::Null, None),
        ] {
            let page = Page { servers: Vec::new(), meta };
            assert_eq!(page.next(2), next, "{}", page.meta);
        }
    }

    #[test]
    fn servers_are_over_when_their_label_says_so() {
        for (expires, is_over) in
            [(Some("99"), true), (Some("100"), false), (Some("soon"), false), (None, false)]
        {
            let label = expires.map(|expires| (EXPIRES.to_owned(), expires.to_owned()));
            let server = Listed { id: 1, labels: label.into_iter().collect() };
            assert_eq!(server.is_over(100), is_over, "{expires:?}");
        }
    }
}
