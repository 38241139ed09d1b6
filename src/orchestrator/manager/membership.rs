//! A manager among those that work on one repository.

use std::{any::Any, ops::Deref, rc::Rc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::{Result, repository::Membership};

/// How often is looked at what others ask for.
const LISTEN_PAUSE: Duration = Duration::from_millis(250);

/// This manager's being known to others, as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Member {
    membership: Box<dyn Membership>,
    gone: CancellationToken,
    _at_end: Box<dyn Any>,
}

impl Deref for Member {
    type Target = dyn Membership;

    fn deref(&self) -> &Self::Target {
        &*self.membership
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
        let member = Rc::new(Member { membership, gone, _at_end: at_end });
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
                for request in member.asked() {
                    let job = shared.running.borrow().get(&request.id).cloned();
                    job.inspect(|job| job.stop(request.stop));
                }
            }
        }));
    }
}
