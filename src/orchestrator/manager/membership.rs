//! A manager among those that work on one repository.

use std::{any::Any, cell::RefCell, collections::HashMap, ops::Deref, rc::Rc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Shared;
use crate::{
    Result,
    repository::{Membership, Stop},
};

/// How often is looked at what others ask for.
const LISTEN_PAUSE: Duration = Duration::from_millis(250);

/// This manager's being known to others, as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Member {
    membership: Box<dyn Membership>,
    /// What was asked for jobs that do not run here: those whose record says so already begin with it.
    early: RefCell<HashMap<String, Stop>>,
    /// Held by who reads what was asked for, and does it: in order.
    hearing: tokio::sync::Mutex<()>,
    gone: CancellationToken,
    _at_end: Box<dyn Any>,
}

impl Deref for Member {
    type Target = dyn Membership;

    fn deref(&self) -> &Self::Target {
        &*self.membership
    }
}

impl Member {
    /// What others have asked for a job that is about to run, since its record said so.
    pub(super) fn asked_early(&self, id: &str) -> Option<Stop> {
        self.early.borrow_mut().remove(id)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Shared {
    /// Makes this manager known, if it is not yet. `None` where nobody could know it.
    pub(super) async fn member(self: &Rc<Self>) -> Result<Option<Rc<Member>>> {
        let Some(managers) = self.repository.managers() else { return Ok(None) };
        let mut known = self.member.lock().await;
        if let Some(member) = known.upgrade() {
            return Ok(Some(member));
        }
        let joined = managers.join(self.supervisor.marks()).await?;
        let Some(membership) = joined else { return Ok(None) };
        let at_end = self.spawner.at_end(membership.release());
        let gone = CancellationToken::new();
        let (early, hearing) = (RefCell::default(), tokio::sync::Mutex::default());
        let member = Rc::new(Member { membership, early, hearing, gone, _at_end: at_end });
        *known = Rc::downgrade(&member);
        self.listen(&member);
        Ok(Some(member))
    }

    /// Does what others ask for, as long as the member is there.
    fn listen(self: &Rc<Self>, member: &Rc<Member>) {
        let (shared, gone, member) = (Rc::clone(self), member.gone.clone(), Rc::downgrade(member));
        self.spawner.spawn(Box::pin(async move {
            while gone.run_until_cancelled(tokio::time::sleep(LISTEN_PAUSE)).await.is_some() {
                let Some(member) = member.upgrade() else { return };
                shared.hear(&member).await;
            }
        }));
    }

    /// Does what others have asked for until now.
    async fn hear(&self, member: &Member) {
        let _in_order = member.hearing.lock().await;
        for request in member.asked().await {
            debug!(job = request.id, stop = ?request.stop, "asked for by another manager");
            let job = self.running.borrow().get(&request.id).cloned();
            match job {
                Some(job) => job.stop(request.stop),
                None => drop(member.early.borrow_mut().insert(request.id, request.stop)),
            }
        }
    }

    /// Forgets what others have asked for until now of a job that does not run: it was meant for a run that is over.
    pub(super) async fn forget_asked(&self, member: &Member, id: &str) {
        self.hear(member).await;
        member.early.borrow_mut().remove(id);
    }
}
