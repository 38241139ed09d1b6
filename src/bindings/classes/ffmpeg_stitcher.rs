//! `FfmpegStitcher`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{
        js::UserWorkerAdapter,
        realm::{Realm, RealmEnvironment},
        value::Value,
    },
    answer, argument, constructing, local_adapter, thrown,
};
use crate::{
    Error, Result,
    adapters::WorkerAdapter,
    stitcher::{
        FfmpegStitcher as CoreFfmpegStitcher, FfmpegStitcherOptions, StitchJob, VideoStitcher,
    },
};

/// Joins videos with ffmpeg, copying their pictures.
///
/// On this machine every input is looked into first (codec, size, frame rate, timestamps, sound…). What does not go
/// together is refused; time bases that differ are brought together, and sound that a copy would tear at the seams is
/// encoded once for all. The output is written beside its place, looked into as well (streams, number of frames,
/// duration, timestamps), and put in its place when it is whole. With an adapter of your own, or a changed one of ours,
/// the files may be elsewhere: there one command runs, and only its exit code decides.
#[napi]
#[derive(Debug)]
pub struct FfmpegStitcher {
    pub(in super::super) core: CoreFfmpegStitcher,
    realm: Rc<Realm>,
}

#[napi]
impl FfmpegStitcher {
    /// Makes a stitcher that runs ffmpeg through `adapter`, by default on this machine.
    #[napi(constructor, ts_args_type = "adapter?: WorkerAdapter, options?: FfmpegStitcherOptions")]
    pub fn new(
        env: Env,
        this: This<'_>,
        adapter: Unknown<'_>,
        options: Unknown<'_>,
    ) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"FfmpegStitcher")?;
        Self::make(&realm, argument(&adapter), argument(&options))
            .map_err(|error| thrown(&realm, &error))
    }

    fn make(realm: &Rc<Realm>, adapter: Value, options: Value) -> Result<Self> {
        let js = realm.state.js;
        let adapter: Rc<dyn WorkerAdapter> = if js.is_nothing(adapter) {
            Rc::new(local_adapter(realm))
        } else {
            UserWorkerAdapter::shared(realm, adapter)?
        };
        let environment = Rc::new(RealmEnvironment(Rc::clone(realm)));
        let options = realm.read_stitcher_options(options)?;
        let core = CoreFfmpegStitcher::new(adapter, environment, options);
        Ok(Self { core, realm: Rc::clone(realm) })
    }

    /// Joins `inputs`, in their order, into `output`, which is replaced if it exists.
    ///
    /// Resolves with nothing; with the option `dryRun` nothing is written, and it resolves with how it would be done, a
    /// `StitchPlan` (undefined with an adapter of your own). Rejects with
    /// `No input files provided for stitching`, with an error that names the input and what is wrong with it
    /// (`cannot stitch '${path}': frame rate is 25, that of the first is 30`), with what the output lacks
    /// (`the stitched '${path}' is not whole: …`), with `FFmpeg stitching failed with exit code ${code}: ${stderr}`, or
    /// with `Job was aborted`. By then there is neither an output nor anything else of it.
    #[napi(
        enumerable = false,
        ts_args_type = "inputs: Array<string>, output: string",
        ts_return_type = "Promise<any>"
    )]
    pub fn stitch<'env>(&self, inputs: Unknown<'env>, output: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let js = realm.state.js;
            let list = argument(&inputs);
            if !js.is_array(list) {
                return Err(Error::invalid("inputs", "an array"));
            }
            let input = |index| {
                let input = realm.caught(js.element(list, index))?;
                js.as_string(input)
                    .ok_or_else(|| Error::invalid(format_args!("inputs[{index}]"), "a string"))
            };
            let inputs = (0..realm.caught(js.len(list))?).map(|index| input(index).map(Into::into));
            let inputs = inputs.collect::<Result<_>>()?;
            let output = js
                .as_string(argument(&output))
                .ok_or_else(|| Error::invalid("output", "a string"))?;
            let (core, job) =
                (self.core.clone(), StitchJob { inputs, output, ..StitchJob::default() });
            let work = async move {
                if core.is_dry() {
                    return core.plan(job).await;
                }
                core.stitch(job).await.map(|_| None)
            };
            Ok(realm.promise(work, |realm, plan| match plan {
                Some(plan) => realm.parse(realm.state.js.string(&plan.json())),
                None => Ok(realm.state.js.undefined()),
            }))
        })
    }
}

/// A stitcher on this machine, as one gets without options.
pub(in super::super) fn plain_stitcher(realm: &Rc<Realm>) -> CoreFfmpegStitcher {
    let environment = Rc::new(RealmEnvironment(Rc::clone(realm)));
    CoreFfmpegStitcher::new(
        Rc::new(local_adapter(realm)),
        environment,
        FfmpegStitcherOptions::default(),
    )
}
