//! What processes that have died have left running elsewhere than on this machine.

use std::{
    cell::RefCell,
    collections::HashSet,
    fmt,
    rc::{Rc, Weak},
};

use futures_util::future::{LocalBoxFuture, join_all};

/// Ends what was left running in one place.
pub trait EndsRemains: fmt::Debug {
    /// Ends what is left of the attempts of a process whose [`Supervisor::marks`](crate::process::Supervisor::marks) were
    /// these; gives whether it is gone. What goes wrong is only said: whoever goes on with the work can do nothing about it.
    fn end_remains<'a>(&'a self, marks: &'a str) -> LocalBoxFuture<'a, bool>;
}

/// Those adapters of an environment that may have been used by processes that have died, as long as they are there, by the
/// place that they use.
#[derive(Clone, Debug, Default)]
pub struct Remains(Rc<RefCell<Vec<Registered>>>);

/// The name of a place, and who can be asked about it.
type Registered = (&'static str, Weak<dyn EndsRemains>);

impl Remains {
    /// Has `one` asked about a place. Of several who use the same it is the last that is asked.
    pub fn register(&self, place: &'static str, one: &Rc<dyn EndsRemains>) {
        let mut all = self.0.borrow_mut();
        all.retain(|(_, other)| other.strong_count() > 0);
        all.push((place, Rc::downgrade(one)));
    }

    /// Ends what a process has left, in all places, and waits until it is gone, which it gives.
    pub async fn end(&self, marks: &str) -> bool {
        let mut places = HashSet::new();
        let all: Vec<_> = self.0.borrow().clone();
        let living = all.iter().rev().filter_map(|(place, one)| Some((*place, one.upgrade()?)));
        let asked: Vec<_> = living.filter(|(place, _)| places.insert(*place)).collect();
        let gone = join_all(asked.iter().map(|(_, one)| one.end_remains(marks))).await;
        gone.into_iter().all(|is_gone| is_gone)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, Default)]
    struct Asked {
        marks: RefCell<Vec<String>>,
        fails: Cell<bool>,
    }

    impl EndsRemains for Asked {
        fn end_remains<'a>(&'a self, marks: &'a str) -> LocalBoxFuture<'a, bool> {
            self.marks.borrow_mut().push(marks.to_owned());
            Box::pin(async { !self.fails.get() })
        }
    }

    #[tokio::test]
    async fn last_of_each_place_that_is_there_is_asked() {
        let remains = Remains::default();
        let [one, other, elsewhere] = std::array::from_fn(|_| Rc::new(Asked::default()));
        for (place, asked) in [("here", &one), ("here", &other), ("there", &elsewhere)] {
            remains.register(place, &(Rc::clone(asked) as _));
        }
        assert!(remains.end("a").await);
        assert!(one.marks.borrow().is_empty());
        assert_eq!(*other.marks.borrow(), ["a"]);
        drop(other);
        one.fails.set(true);
        assert!(!remains.end("b").await);
        assert_eq!(*one.marks.borrow(), ["b"]);
        assert_eq!(*elsewhere.marks.borrow(), ["a", "b"]);
        remains.register("here", &(Rc::clone(&one) as _));
        assert_eq!(remains.0.borrow().len(), 3, "who is gone leaves no trace");
    }
}
