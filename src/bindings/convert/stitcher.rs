//! The options of a stitcher, and what it tells of its work.

use std::{any::Any, ffi::CStr, fmt, rc::Rc};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        abort::AbortListener,
        callback::Listeners,
        realm::Realm,
        reference::JsRef,
        value::{Type, Value},
    },
    optional_string,
};
use crate::{
    Error, Result,
    orchestrator::{AbortSource, FailureSlot},
    stitcher::{AbortSwitch, FfmpegStitcherOptions, ProgressListener, Ratio},
};

impl Realm {
    /// Reads the options of an `FfmpegStitcher`.
    pub(in super::super) fn read_stitcher_options(
        self: &Rc<Self>,
        options: Value,
    ) -> Result<FfmpegStitcherOptions> {
        let js = self.state.js;
        if js.is_nothing(options) {
            return Ok(FfmpegStitcherOptions::default());
        }
        super::require_object(js, options, "options")?;
        let field = |name: &CStr| self.caught(js.get_some(options, name));
        let string = |name| self.caught(optional_string(js, options, name, "options"))?;
        let number = |name: &CStr| match field(name)? {
            None => Ok(None),
            Some(value) => js.as_number(value).map(Some).ok_or_else(|| wrong(name, "a number")),
        };
        let boolean = |name| Ok::<_, Error>(field(name)?.map(|value| js.truthy(value)));
        let expected_frames =
            match number(c"expectedFrames")? {
                Some(frames) => Some(whole(frames).ok_or_else(|| {
                    wrong(c"expectedFrames", "a whole number that is not negative")
                })?),
                None => None,
            };
        let frame_rate = match number(c"fps")? {
            Some(rate) => {
                Some(Ratio::from_rate(rate).ok_or_else(|| wrong(c"fps", "a number above 0"))?)
            }
            None => None,
        };
        Ok(FfmpegStitcherOptions {
            ffmpeg_path: string(c"ffmpegPath")?,
            ffprobe_path: string(c"ffprobePath")?,
            expected_frames,
            frame_rate,
            verify: boolean(c"verify")?.unwrap_or(true),
            dry_run: boolean(c"dryRun")?.unwrap_or(false),
            progress: field(c"onProgress")?
                .map(|function| self.progress_listener(options, function))
                .transpose()?,
            abort: field(c"signal")?.map(|signal| self.abort_switch(signal)).transpose()?,
        })
    }

    fn progress_listener(
        self: &Rc<Self>,
        options: Value,
        function: Value,
    ) -> Result<ProgressListener> {
        let js = self.state.js;
        if js.type_of(function) != Type::Function {
            return Err(wrong(c"onProgress", "a function"));
        }
        let keep = |value| self.caught(JsRef::new(&self.state, value));
        let (options, function) = (keep(options)?, keep(function)?);
        let failure = FailureSlot::default();
        let (realm, listeners) = (Rc::clone(self), Listeners::new(self, failure.clone()));
        Ok(Rc::new(move |progress| {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let [done, total] =
                [progress.done, progress.total].map(|count| js.number(count as f64));
            let phase = js.string(progress.phase.as_str());
            let about = realm.caught(realm.glue(c"progress", &[phase, done, total]))?;
            listeners.call(options.get(), function.get(), &[about]);
            failure.take().map_or(Ok(()), Err)
        }))
    }

    fn abort_switch(self: &Rc<Self>, signal: Value) -> Result<Rc<dyn AbortSwitch>> {
        if !self.state.js.is_object(signal) {
            return Err(wrong(c"signal", "an AbortSignal"));
        }
        let signal = self.caught(JsRef::new(&self.state, signal))?;
        Ok(Rc::new(JsSwitch { realm: Rc::clone(self), signal }))
    }
}

fn wrong(name: &CStr, expected: &str) -> Error {
    Error::invalid(format_args!("options.{}", name.to_string_lossy()), expected)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and small"
)]
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
}

/// The signal of a stitcher's owner.
struct JsSwitch {
    realm: Rc<Realm>,
    signal: JsRef,
}

impl fmt::Debug for JsSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsSwitch")
    }
}

impl AbortSwitch for JsSwitch {
    fn listen(&self) -> Result<(CancellationToken, Box<dyn Any>)> {
        let listening = AbortListener::listen(&self.realm, self.signal.get());
        let AbortSource { token, listener, .. } = self.realm.caught(listening)?;
        Ok((token, Box::new(listener)))
    }
}
