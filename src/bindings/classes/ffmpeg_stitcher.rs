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

/// Joins videos with ffmpeg's concat demuxer, copying their streams.
///
/// On this machine the inputs are looked at first, and the output appears at its place only when it is finished. With
/// an adapter of your own, or a changed one of ours, the files may be elsewhere: there only the exit code decides.
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
        let path = if js.is_nothing(options) {
            None
        } else {
            realm.caught(js.get_some(options, c"ffmpegPath"))?
        };
        let ffmpeg_path = path
            .map(|path| {
                js.as_string(path).ok_or_else(|| Error::invalid("options.ffmpegPath", "a string"))
            })
            .transpose()?;
        let environment = Rc::new(RealmEnvironment(Rc::clone(realm)));
        let core =
            CoreFfmpegStitcher::new(adapter, environment, FfmpegStitcherOptions { ffmpeg_path });
        Ok(Self { core, realm: Rc::clone(realm) })
    }

    /// Joins `inputs`, in their order, into `output`, which is replaced if it exists.
    ///
    /// Rejects with `No input files provided for stitching`, with an error that names the input that is missing, empty
    /// or unreadable, or with `FFmpeg stitching failed with exit code ${code}: ${stderr}`.
    #[napi(
        enumerable = false,
        ts_args_type = "inputs: Array<string>, output: string",
        ts_return_type = "Promise<void>"
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
            let inputs = (0..realm.caught(js.len(list))?).map(input).collect::<Result<_>>()?;
            let output = js
                .as_string(argument(&output))
                .ok_or_else(|| Error::invalid("output", "a string"))?;
            let core = self.core.clone();
            let work = async move {
                core.stitch(StitchJob { inputs, output, ..StitchJob::default() }).await
            };
            Ok(realm.promise_of_nothing(work))
        })
    }
}
