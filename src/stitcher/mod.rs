//! Joins the chunks of a video without encoding them again.

mod concat_list;
mod ffmpeg;

use std::{fmt, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio_util::sync::CancellationToken;

pub use ffmpeg::{FfmpegStitcher, FfmpegStitcherOptions};

use crate::{Result, error::SystemError};

/// The parts of one video and where it goes.
#[derive(Clone, Debug, Default)]
pub struct StitchJob {
    /// The files of the chunks, in the order of the video.
    pub inputs: Vec<String>,
    /// The file to write.
    pub output: String,
    /// Ends the work before its time.
    pub cancel: CancellationToken,
    /// How long the work may take to end by itself once it was told to.
    pub kill_grace: Option<Duration>,
}

/// Joins videos.
///
/// # Contract
/// - When the future settles without an error the output holds all inputs, one after the other.
/// - Without inputs it fails.
/// - Once `job.cancel` is cancelled the future settles soon.
pub trait VideoStitcher: fmt::Debug {
    /// Writes one video from several.
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<()>>;
}

/// Why chunks could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to join.
    #[error("No input files provided for stitching")]
    NoInputs,
    /// A chunk cannot be read.
    #[error("cannot stitch '{path}': {reason}")]
    BadInput {
        /// The chunk's file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// ffmpeg said no.
    #[error("FFmpeg stitching failed with exit code {code}: {stderr}")]
    Ffmpeg {
        /// Its exit code.
        code: String,
        /// What it wrote.
        stderr: String,
    },
    /// A file of ours cannot be written.
    #[error(transparent)]
    System(SystemError),
}
