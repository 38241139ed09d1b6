//! Rentals on a runtime whose time is ours.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use super::*;

/// Notes what is done.
struct Rented {
    notes: Arc<Mutex<Vec<&'static str>>>,
}

impl Rented {
    fn note(&self, what: &'static str) {
        self.notes.lock().unwrap().push(what);
    }
}

impl Rental for Rented {
    type Outcome = ();
    type Thing = ();

    const WHAT: &'static str = "thing";

    async fn rent(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn work(&self, (): &()) -> Result<(), Failure> {
        panic!("a bug")
    }

    async fn give_back(&self, (): &()) -> Result<(), Failure> {
        self.note("given back");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn panic_leaves_nothing_behind() {
    let notes = Arc::default();
    let rental = Rented { notes: Arc::clone(&notes) };
    let (tell, ended) = oneshot::channel();
    let life = tokio::spawn(live(rental, pending(), KILL_GRACE, tell));
    assert!(life.await.unwrap_err().is_panic());
    assert!(ended.await.is_err());
    assert_eq!(*notes.lock().unwrap(), ["given back"]);
}
