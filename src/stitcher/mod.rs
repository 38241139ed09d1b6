//! Joins the chunks of a video without encoding them again.

mod ffmpeg;
mod flaw;
mod proof;

use std::{fmt, rc::Rc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

pub use ffmpeg::{
    AbortSwitch, FfmpegStitcher, FfmpegStitcherOptions, Phase, PlannedPart, ProgressListener,
    Ratio, StitchPlan, StitchProgress,
};
pub use flaw::Flaw;
pub use proof::{ProvenChunk, ProvenStream, VideoProof};

use crate::{Result, error::SystemError, model::ChunkId};

/// A part of a video.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StitchInput {
    /// Its file.
    pub path: String,
    /// The chunk it is, for what is said of it.
    pub chunk: Option<ChunkId>,
    /// How many frames it has to have, if that is known.
    pub frames: Option<u64>,
}

impl From<String> for StitchInput {
    fn from(path: String) -> Self {
        Self { path, ..Self::default() }
    }
}

/// The parts of one video and where it goes.
#[derive(Clone, Debug, Default)]
pub struct StitchJob {
    /// The files of the chunks, in the order of the video.
    pub inputs: Vec<StitchInput>,
    /// The file to write.
    pub output: String,
    /// Ends the work before its time.
    pub cancel: CancellationToken,
    /// How long the work may take to end by itself once it was told to.
    pub kill_grace: Option<Duration>,
    /// Who wants to hear that the video is made, and is being looked at.
    pub verifying: Verifying,
}

/// Hears that a video is made, and is being looked at.
#[derive(Clone, Default)]
pub struct Verifying(pub Option<Rc<dyn Fn()>>);

impl Verifying {
    /// It is so.
    pub(crate) fn tell(&self) {
        self.0.iter().for_each(|hear| hear());
    }
}

impl fmt::Debug for Verifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifying")
    }
}

/// A file to look into.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// The file.
    pub input: StitchInput,
    /// Ends the work before its time.
    pub cancel: CancellationToken,
    /// How long the work may take to end by itself once it was told to.
    pub kill_grace: Option<Duration>,
}

/// Joins videos.
///
/// # Contract
/// - When the future settles without an error the output holds all inputs, one after the other. Who has looked tells so
///   by a proof; `None` is only said, not proven.
/// - Without inputs it fails.
/// - Once `job.cancel` is cancelled the future settles soon.
pub trait VideoStitcher: fmt::Debug {
    /// Writes one video from several.
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<Option<VideoProof>>>;

    /// Whether it looks into files on this machine, so that [`VideoStitcher::inspect`] means something.
    fn inspects(&self) -> bool {
        false
    }

    /// Looks whether a file is a part that can be joined. Does nothing where it cannot be seen.
    fn inspect(&self, _inspection: Inspection) -> LocalBoxFuture<'_, Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }
}

/// Why chunks could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to join.
    #[error("No input files provided for stitching")]
    NoInputs,
    /// A part cannot be read, or does not go with the others.
    #[error("cannot stitch {}: {flaw}", Named(chunk.as_ref(), path))]
    BadInput {
        /// The chunk it is.
        chunk: Option<ChunkId>,
        /// Its file.
        path: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A file that nobody wants to join is not good.
    #[error("the file '{path}' is not good: {flaw}")]
    BadFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The parts are good, and the whole is not.
    #[error("the stitched '{path}' is not whole: {flaw}")]
    NotWhole {
        /// The file that was to be written.
        path: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The parts do not make what was asked for.
    #[error("the inputs have {found} frames together, not {expected}")]
    Frames {
        /// How many they have.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// ffmpeg said no.
    #[error("FFmpeg stitching failed with exit code {code}: {stderr}")]
    Ffmpeg {
        /// Its exit code.
        code: String,
        /// What it wrote.
        stderr: String,
    },
    /// A stitcher that only plans was to make a video.
    #[error("a stitcher with the option dryRun makes no video")]
    DryRun,
    /// A file of ours cannot be written.
    #[error(transparent)]
    System(SystemError),
}

/// Names a part in a sentence.
struct Named<'a>(Option<&'a ChunkId>, &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(chunk), path) => write!(f, "chunk {chunk} ('{path}')"),
            Self(None, path) => write!(f, "'{path}'"),
        }
    }
}
