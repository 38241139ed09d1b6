//! Joins chunks with ffmpeg's concat demuxer, copying their pictures.

mod concat_list;
mod join;
mod lines;
mod media;
mod options;
mod place;
mod plan;
mod probe;
mod tools;
mod verify;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::{
    join::all,
    media::Media,
    place::Workplace,
    plan::{Part, Wanted},
    probe::{Known, Stamp, probe},
    tools::Tools,
};
pub use self::{
    media::Ratio,
    options::{AbortSwitch, FfmpegStitcherOptions, Phase, ProgressListener, StitchProgress},
    plan::{PlannedPart, StitchPlan},
};
use super::{
    Error, Flaw, Inspection, StitchInput, StitchJob, Verifying, VideoProof, VideoStitcher,
};
use crate::{
    Result,
    adapters::{EnvironmentSource, WorkerAdapter},
    model::OutputTarget,
    path, process, task,
};

/// Runs [ffmpeg](https://ffmpeg.org) through a worker adapter.
///
/// With the local adapter every input is looked into first, the video is written beside its target, looked into as well,
/// and put in place when it is whole; a failure leaves nothing. With any other adapter the files may be elsewhere: there
/// exit code and standard error decide.
#[derive(Clone, Debug)]
pub struct FfmpegStitcher {
    adapter: Rc<dyn WorkerAdapter>,
    environment: Rc<dyn EnvironmentSource>,
    options: FfmpegStitcherOptions,
    known: Rc<Known>,
}

impl FfmpegStitcher {
    /// A stitcher that runs ffmpeg through `adapter`.
    pub fn new(
        adapter: Rc<dyn WorkerAdapter>,
        environment: Rc<dyn EnvironmentSource>,
        options: FfmpegStitcherOptions,
    ) -> Self {
        Self { adapter, environment, options, known: Rc::default() }
    }

    /// Whether it only plans.
    pub fn is_dry(&self) -> bool {
        self.options.dry_run
    }

    /// How it would join the inputs of a job. Writes nothing. `None` where the files cannot be seen.
    ///
    /// # Errors
    /// With the input and the parameter because of which they cannot be joined.
    pub async fn plan(&self, job: StitchJob) -> Result<Option<StitchPlan>> {
        if job.inputs.is_empty() {
            return Err(Error::NoInputs.into());
        }
        if !self.adapter.is_local() {
            return Ok(None);
        }
        let tools = self.tools(&job.cancel, job.kill_grace);
        self.until_aborted(&tools, self.planned(&tools, &job)).await.map(Some)
    }

    async fn run(&self, job: StitchJob) -> Result<Option<VideoProof>> {
        if job.inputs.is_empty() {
            return Err(Error::NoInputs.into());
        }
        if self.options.dry_run {
            return Err(Error::DryRun.into());
        }
        let tools = self.tools(&job.cancel, job.kill_grace);
        if !self.adapter.is_local() {
            let made = self.until_aborted(&tools, self.elsewhere(&tools, &job)).await;
            return made.map(|()| None);
        }
        self.until_aborted(&tools, self.here(&tools, &job)).await
    }

    /// One command, for files that nobody here can look at.
    async fn elsewhere(&self, tools: &Tools, job: &StitchJob) -> Result<()> {
        let inputs = absolute(&job.inputs).into_iter().map(|(path, _)| path).collect();
        let list = join::write_list(&self.temporary_folder(), inputs, Vec::new()).await?;
        let mut args = join::inputs(&list).to_vec();
        args.extend(["-c", "copy", &job.output, "-y"].map(str::to_owned));
        tools.make(args, OutputTarget::default()).await
    }

    async fn here(&self, tools: &Tools, job: &StitchJob) -> Result<Option<VideoProof>> {
        let plan = self.planned(tools, job).await?;
        debug!(inputs = plan.parts.len(), frames = plan.frames, "stitching was planned");
        self.known.forget(plan.parts.iter().map(|part| &part.path));
        let place = Arc::new(Workplace::beside(plan.output.clone()));
        let held = place.hold(tools).await?;
        let made = self.make(tools, &plan, &place, &job.verifying).await;
        let is_made = made.is_ok();
        let finish = move || {
            let finished = if is_made { place.finish() } else { Ok(()) };
            (finished, place.clear(held))
        };
        let (finished, cleaned) = task::blocking(finish).await;
        let outcome = finished.map_err(Into::into).and(made);
        let proof = outcome?;
        cleaned?;
        Ok(proof)
    }

    /// Makes the video that was planned, beside its place, and looks whether it is whole.
    async fn make(
        &self,
        tools: &Tools,
        plan: &StitchPlan,
        place: &Workplace,
        verifying: &Verifying,
    ) -> Result<Option<VideoProof>> {
        let total = plan.frames;
        let written = |done: u64| self.tell(Phase::Join, done.min(total), total);
        let written: Option<join::Written<'_>> =
            self.options.progress.is_some().then_some(&written as _);
        join::join(tools, plan, place, &self.temporary_folder(), written).await?;
        let not_whole =
            |flaw| Error::NotWhole { path: plan.output.to_string_lossy().into_owned(), flaw };
        let partial = place.partial.clone();
        // ffmpeg 4.1 exits with 0 on some disks that are full.
        task::blocking(move || Stamp::of(&partial)).await.map_err(not_whole)?;
        self.tell(Phase::Join, total, total)?;
        if !self.options.verify {
            return Ok(None);
        }
        verifying.tell();
        self.tell(Phase::Verify, 0, 1)?;
        let media = probe(tools, &place.partial).await?.map_err(not_whole)?;
        let proof = verify::verify(plan, &media).map_err(not_whole)?;
        self.tell(Phase::Verify, 1, 1)?;
        Ok(Some(proof))
    }

    /// Looks into all inputs, and decides how they become one.
    async fn planned(&self, tools: &Tools, job: &StitchJob) -> Result<StitchPlan> {
        let inputs = absolute(&job.inputs);
        let (stamps, inputs) = task::blocking(move || {
            let stamps: Vec<_> = inputs.iter().map(|(path, _)| Stamp::of(path)).collect();
            (stamps, inputs)
        })
        .await;
        // What can be seen at once is said before any program starts.
        let seen = inputs.into_iter().zip(stamps).map(|((path, input), stamp)| {
            let stamp = stamp.map_err(|flaw| bad(&input, &path, flaw))?;
            Ok((path, input, stamp))
        });
        let seen = seen.collect::<Result<Vec<_>>>()?;
        let (done, total) = (Cell::new(0), seen.len() as u64);
        self.tell(Phase::Probe, 0, total)?;
        let done = &done;
        let parts = seen.into_iter().map(|(path, input, stamp)| async move {
            let media = self.look(tools, &path, stamp).await?;
            let media = media.map_err(|flaw| bad(&input, &path, flaw))?;
            done.set(done.get() + 1);
            self.tell(Phase::Probe, done.get(), total)?;
            Ok(Part { input, path, media })
        });
        let parts = all(tools, parts).await?;
        let wanted = Wanted { frames: self.options.expected_frames, rate: self.options.frame_rate };
        Ok(plan::plan(&parts, &path::resolve(job.output.as_ref()), wanted)?)
    }

    /// What is in a file, unless that is known.
    async fn look(
        &self,
        tools: &Tools,
        path: &Path,
        stamp: Stamp,
    ) -> Result<Result<Rc<Media>, Flaw>> {
        if let Some(media) = self.known.get(path, stamp) {
            return Ok(Ok(media));
        }
        Ok(probe(tools, path).await?.map(|media| {
            let media = Rc::new(media);
            self.known.remember(path.to_owned(), stamp, &media);
            media
        }))
    }

    async fn inspected(&self, inspection: Inspection) -> Result<()> {
        let Inspection { input, cancel, kill_grace } = inspection;
        let tools = self.tools(&cancel, kill_grace);
        let path = path::resolve(input.path.as_ref());
        let file = path.clone();
        let stamp = task::blocking(move || Stamp::of(&file)).await;
        let not_good = |flaw| Error::BadFile { path: path.to_string_lossy().into_owned(), flaw };
        let stamp = stamp.map_err(not_good)?;
        // Nobody asks twice about a file that is as it was.
        self.known.forget([&path]);
        let look = self.until_aborted(&tools, self.look(&tools, &path, stamp)).await?;
        let media = look.map_err(not_good)?;
        let is = media.frames();
        match input.frames.filter(|expected| *expected != is) {
            Some(expected) => Err(not_good(Flaw::Frames { is, expected }).into()),
            None => Ok(()),
        }
    }

    fn tools(&self, cancel: &CancellationToken, kill_grace: Option<std::time::Duration>) -> Tools {
        let environment = self.environment.snapshot();
        Tools::new(&self.adapter, &self.options, &environment, cancel.child_token(), kill_grace)
    }

    /// Does some work, which is ended when the owner wants it.
    async fn until_aborted<T>(
        &self,
        tools: &Tools,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let listening = self.options.abort.as_ref().map(|abort| abort.listen()).transpose()?;
        let aborted = async {
            match &listening {
                Some((token, _)) => token.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let is_aborted = listening.as_ref().is_some_and(|(token, _)| token.is_cancelled());
        if is_aborted || tools.is_stopped() {
            return Err(process::Error::Aborted.into());
        }
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = aborted => tools.stop(),
        }
        work.await
    }

    fn tell(&self, phase: Phase, done: u64, total: u64) -> Result<()> {
        let progress = self.options.progress.as_ref();
        progress.map_or(Ok(()), |tell| tell(StitchProgress { phase, done, total }))
    }

    /// The folder for temporary files, as Node's `os.tmpdir()` finds it.
    fn temporary_folder(&self) -> PathBuf {
        let environment = self.environment.snapshot();
        let named = ["TMPDIR", "TMP", "TEMP"].into_iter().find_map(|name| environment.get(name));
        named.map_or_else(std::env::temp_dir, PathBuf::from)
    }
}

impl VideoStitcher for FfmpegStitcher {
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<Option<VideoProof>>> {
        self.run(job).boxed_local()
    }

    fn inspects(&self) -> bool {
        self.adapter.is_local() && self.options.verify && !self.options.dry_run
    }

    fn inspect(&self, inspection: Inspection) -> LocalBoxFuture<'_, Result<()>> {
        if self.adapter.is_local() {
            self.inspected(inspection).boxed_local()
        } else {
            std::future::ready(Ok(())).boxed_local()
        }
    }
}

fn absolute(inputs: &[StitchInput]) -> Vec<(PathBuf, StitchInput)> {
    inputs.iter().map(|input| (path::resolve(input.path.as_ref()), input.clone())).collect()
}

fn bad(input: &StitchInput, path: &Path, flaw: Flaw) -> Error {
    Error::BadInput { chunk: input.chunk, path: path.to_string_lossy().into_owned(), flaw }
}
