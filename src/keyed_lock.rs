//! One at a time per key, in the order of asking.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks that come into being with their first holder and go with the last.
#[derive(Debug, Default)]
pub(crate) struct KeyedLock {
    locks: RefCell<HashMap<String, std::sync::Arc<Mutex<()>>>>,
}

/// The right to be the only one for a key. Passes on when dropped.
#[derive(Debug)]
pub(crate) struct KeyGuard {
    owner: Rc<KeyedLock>,
    key: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl KeyedLock {
    /// Waits until nobody else holds `key`.
    pub(crate) async fn acquire(self: &Rc<Self>, key: &str) -> KeyGuard {
        let lock =
            std::sync::Arc::clone(self.locks.borrow_mut().entry(key.to_owned()).or_default());
        let guard = Some(lock.lock_owned().await);
        KeyGuard { owner: Rc::clone(self), key: key.to_owned(), guard }
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.owner.locks.borrow_mut();
        // Those who wait hold the lock too.
        if locks.get(&self.key).is_some_and(|lock| std::sync::Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holders_follow_each_other_and_nothing_is_left() {
        let locks = Rc::new(KeyedLock::default());
        let order = RefCell::new(Vec::new());
        let hold = async |number: u32| {
            let _guard = locks.acquire("a").await;
            order.borrow_mut().push(number);
            tokio::task::yield_now().await;
            order.borrow_mut().push(number);
        };
        tokio::join!(hold(1), hold(2), hold(3));
        assert_eq!(*order.borrow(), [1, 1, 2, 2, 3, 3]);
        assert!(locks.locks.borrow().is_empty());
    }
}
