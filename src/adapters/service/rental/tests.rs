//! Rentals on a runtime whose time is ours.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use super::*;

/// Does as it is told, and notes what is done.
#[derive(Default)]
struct Scripted {
    /// Whether its order is refused, and may have been taken all the same; `None`: it is taken.
    refused: Option<bool>,
    /// Whether its order is never answered.
    hangs: bool,
    /// With which look it is found.
    found: Option<usize>,
    /// Whether it cannot be looked for.
    is_hidden: bool,
    notes: Arc<Mutex<Vec<&'static str>>>,
}

impl Scripted {
    fn note(&self, what: &'static str) -> usize {
        let mut notes = self.notes.lock().unwrap();
        notes.push(what);
        notes.len()
    }
}

impl Rental for Scripted {
    type Outcome = ();
    type Thing = ();

    const WHAT: &'static str = "thing";

    async fn rent(&self) -> Result<(), NotRented> {
        if self.hangs {
            pending::<()>().await;
        }
        let not = |may_exist| NotRented { failure: Failure::lasting("no"), may_exist };
        self.refused.map_or(Ok(()), |may_exist| Err(not(may_exist)))
    }

    async fn find(&self) -> Result<Option<()>, Failure> {
        if self.is_hidden {
            return Err(Failure::lasting("nobody knows"));
        }
        let look = self.note("look");
        Ok((Some(look) == self.found).then_some(()))
    }

    async fn work(&self, (): &()) -> Result<(), Failure> {
        panic!("a bug")
    }

    async fn give_back(&self, (): &()) -> Result<(), Failure> {
        self.note("given back");
        Ok(())
    }
}

/// What was done with it, and why it is still there.
async fn lived(rental: Scripted, aborted: bool) -> (Vec<&'static str>, Option<String>) {
    let notes = Arc::clone(&rental.notes);
    let (tell, ended) = oneshot::channel();
    let stop = async {
        if !aborted {
            pending::<()>().await;
        }
        Call::Aborted
    };
    let leftover = live(rental, stop, KILL_GRACE, tell).await;
    let Ended { call, leftover: none } = ended.await.unwrap();
    assert_eq!((matches!(call, Call::Aborted), none), (aborted, None));
    let notes = notes.lock().unwrap().clone();
    (notes, leftover.map(|failure| failure.text))
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_made_is_looked_for() {
    let unknown = |found| Scripted { refused: Some(true), found, ..Scripted::default() };
    for aborted in [false, true] {
        let refused = Scripted { refused: Some(false), ..Scripted::default() };
        assert_eq!(lived(refused, aborted).await, (vec![], None));
        assert_eq!(lived(unknown(Some(1)), aborted).await, (vec!["look", "given back"], None));
        let late = vec!["look", "look", "look", "given back"];
        assert_eq!(lived(unknown(Some(3)), aborted).await, (late, None));
        assert_eq!(lived(unknown(None), aborted).await, (vec!["look"; 5], None));
        let hidden = Scripted { is_hidden: true, ..unknown(None) };
        assert_eq!(lived(hidden, aborted).await, (vec![], Some("nobody knows".to_owned())));
    }
    let silent = Scripted { hangs: true, found: Some(1), ..Scripted::default() };
    assert_eq!(lived(silent, true).await, (vec!["look", "given back"], None));
}

#[test]
fn only_who_cannot_have_heard_has_made_nothing() {
    let answered = |status: u16| {
        let status = reqwest::StatusCode::from_u16(status).unwrap();
        let (reason, headers) = (String::new(), reqwest::header::HeaderMap::new());
        let said = Said::from(http::Answer { status, reason, headers, body: Vec::new() });
        NotRented::refused(String::new(), &said).may_exist
    };
    for status in [302, 400, 401, 403, 404, 409, 412, 422, 429] {
        assert!(!answered(status), "{status}");
    }
    for status in [408, 500, 502, 503, 504] {
        assert!(answered(status), "{status}");
    }
    assert!(!NotRented::unanswered(http::Error::malformed("no URL"), "").may_exist);
}

#[tokio::test(start_paused = true)]
async fn panic_leaves_nothing_behind() {
    let rental = Scripted::default();
    let notes = Arc::clone(&rental.notes);
    let (tell, ended) = oneshot::channel();
    let life = tokio::spawn(live(rental, pending(), KILL_GRACE, tell));
    assert!(life.await.unwrap_err().is_panic());
    assert!(ended.await.is_err());
    assert_eq!(*notes.lock().unwrap(), ["given back"]);
}
