//! Stitchers that callers pass in.

use std::rc::Rc;

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{classes::FfmpegStitcher, pristine::instance, realm::Realm, value::Value},
    UserObject,
};
use crate::{
    Result,
    process::KILL_GRACE,
    stitcher::{
        FfmpegStitcher as CoreFfmpegStitcher, Inspection, StitchJob, VideoProof, VideoStitcher,
    },
};

/// A stitcher of the caller's, or one of ours.
#[derive(Debug)]
pub(in super::super) struct UserStitcher {
    user: UserObject,
    native: Option<CoreFfmpegStitcher>,
}

impl UserStitcher {
    /// The stitcher that `value` is.
    pub(in super::super) fn shared(
        realm: &Rc<Realm>,
        value: Value,
    ) -> Result<Rc<dyn VideoStitcher>> {
        let native =
            instance::<FfmpegStitcher>(&realm.state, value).map(|stitcher| stitcher.core.clone());
        Ok(Rc::new(Self { user: UserObject::new(realm, value)?, native }))
    }

    fn native(&self) -> Option<&CoreFfmpegStitcher> {
        self.native.as_ref().filter(|_| self.user.is_pristine(c"FfmpegStitcher"))
    }

    async fn call(&self, job: StitchJob) -> Result<Option<VideoProof>> {
        let (realm, js) = (&self.user.realm, self.user.realm.state.js);
        let inputs =
            realm.caught(realm.new_array(job.inputs.iter().map(|input| js.string(&input.path))))?;
        let work = self.user.start(c"stitch", &[inputs, js.string(&job.output)], |_, _| Ok(()))?;
        let grace = job.kill_grace.unwrap_or(KILL_GRACE);
        let who = || "the stitcher did not end".to_owned();
        self.user.within(who, work, &job.cancel, grace).await.map(|()| None)
    }
}

impl VideoStitcher for UserStitcher {
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<Option<VideoProof>>> {
        match self.native() {
            Some(native) => native.stitch(job),
            None => self.call(job).boxed_local(),
        }
    }

    fn inspects(&self) -> bool {
        self.native().is_some_and(VideoStitcher::inspects)
    }

    fn inspect(&self, inspection: Inspection) -> LocalBoxFuture<'_, Result<()>> {
        match self.native() {
            Some(native) => native.inspect(inspection),
            None => std::future::ready(Ok(())).boxed_local(),
        }
    }
}
