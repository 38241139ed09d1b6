//! A child that runs, with everything it has started, and how all of that is ended.

use std::{io, sync::PoisonError, time::Duration};

use tokio::{process::Child, time};

use super::{
    Command, Error, Mark, Supervisor,
    platform::{Guarded, Order, Registry, Tree},
};

/// How long is waited for a killed process to be gone before it is called unkillable.
pub(super) const KILL_CONFIRM: Duration = Duration::from_secs(5);
/// Longest pause between two looks at whether a tree is gone.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A child whose group is killed if nobody sees to its end.
pub(super) struct Running<'a> {
    supervisor: &'a Supervisor,
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) tree: Tree,
    pub(super) over: bool,
    _guarded: Guarded,
}

impl<'a> Running<'a> {
    pub(super) fn new(
        supervisor: &'a Supervisor,
        child: Child,
        mark: Mark,
        guarded: Guarded,
    ) -> Self {
        let pid = child.id().expect("a child that was not waited for has an id");
        guarded.started(pid);
        supervisor.running.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        let tree = Tree::of(&child, pid, mark);
        Self { supervisor, child, pid, tree, over: false, _guarded: guarded }
    }

    /// Tells the tree to end, waits for the grace, kills what is left, and looks that nothing is.
    pub(super) async fn terminate(&mut self, command: &Command) -> Result<(), Error> {
        let mut left = Vec::new();
        let mut orders = &[(Order::Terminate, command.kill_grace), (Order::Kill, KILL_CONFIRM)][..];
        if let Some(counterpart) = &command.counterpart {
            let end = async {
                if counterpart.end().await {
                    drop(self.child.wait().await);
                }
            };
            // What does not end with its counterpart has nothing to clean up.
            drop(time::timeout(command.kill_grace, end).await);
            orders = &orders[1..];
        }
        for &(order, limit) in orders {
            if time::timeout(limit, self.gone(order, &mut left)).await.is_ok() {
                self.over = true;
                return Ok(());
            }
        }
        let program = command.program.clone();
        Err(Error::Unkillable { pids: left, program, waited: KILL_CONFIRM })
    }

    /// Gives the order to whatever of the tree is still there, until nothing is. Keeps in `left` who was there last.
    async fn gone(&mut self, order: Order, left: &mut Vec<u32>) {
        let Self { supervisor, tree, .. } = self;
        if until_gone(&supervisor.registry, tree, order, left).await.is_err() {
            // Nothing to be seen: only the group can be asked for. A child that nobody has waited for is in it.
            loop {
                self.tree.order_group(order);
                drop(self.child.wait().await);
                *left = self.tree.group().into_iter().collect();
                if left.is_empty() {
                    break;
                }
                time::sleep(LOOK_PAUSE).await;
            }
        }
        // A zombie until now. That this fails means that it is gone already.
        drop(self.child.wait().await);
    }

    /// What the tree is doing, where that can be seen.
    pub(super) async fn activity(&mut self) -> Option<super::Activity> {
        let census = self.supervisor.registry.census().await.ok()?;
        Some(self.tree.activity(&census))
    }
}

/// Gives the order to whatever of the tree is still there, until nothing is. Keeps in `left` who was there last.
pub(super) async fn until_gone(
    registry: &Registry,
    tree: &mut Tree,
    order: Order,
    left: &mut Vec<u32>,
) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    let mut looked_in_vain = 0;
    // Processes that are started while others are looked at can be missed once.
    while looked_in_vain < 2 {
        let census = registry.census().await?;
        *left = tree.order(&census, order);
        if left.is_empty() {
            looked_in_vain += 1;
            continue;
        }
        looked_in_vain = 0;
        time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_PAUSE);
    }
    Ok(())
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.tree.order_group(Order::Kill);
        }
        self.supervisor.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid);
    }
}
