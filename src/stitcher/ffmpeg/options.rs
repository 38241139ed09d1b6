//! What the owner of a stitcher asks for.

use std::{any::Any, fmt, rc::Rc};

use tokio_util::sync::CancellationToken;

use super::media::Ratio;
use crate::Result;

/// What a stitcher is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking into its inputs; counted in inputs.
    Probe,
    /// Writing the video; counted in frames.
    Join,
    /// Looking whether it is whole; counted in videos.
    Verify,
}

impl Phase {
    /// The phase's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Join => "join",
            Self::Verify => "verify",
        }
    }
}

/// How far a stitcher has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StitchProgress {
    /// What it is doing.
    pub phase: Phase,
    /// How much of that is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
}

/// How the owner of a stitcher ends whatever it does.
pub trait AbortSwitch: fmt::Debug {
    /// A token that is cancelled when the owner wants it, as long as what comes with it lives.
    ///
    /// # Errors
    /// When the owner cannot be listened to.
    fn listen(&self) -> Result<(CancellationToken, Box<dyn Any>)>;
}

/// Who hears how far a stitcher has come. An error ends the work, which fails with it.
pub type ProgressListener = Rc<dyn Fn(StitchProgress) -> Result<()>>;

/// Settings of an [`FfmpegStitcher`](super::FfmpegStitcher).
#[derive(Clone)]
pub struct FfmpegStitcherOptions {
    /// The ffmpeg to use. Default: what the variable `FFMPEG_PATH` names, else `ffmpeg` on the `PATH`.
    pub ffmpeg_path: Option<String>,
    /// The ffprobe to use. Default: what the variable `FFPROBE_PATH` names, else the one beside ffmpeg, else `ffprobe`
    /// on the `PATH`, else none: ffmpeg can do without.
    pub ffprobe_path: Option<String>,
    /// How many frames the video has to have.
    pub expected_frames: Option<u64>,
    /// How many frames per second the inputs have to have.
    pub frame_rate: Option<Ratio>,
    /// Whether the video is looked into before it is put in place. Default `true`.
    pub verify: bool,
    /// Whether nothing is written, as only the plan is of interest. Default `false`.
    pub dry_run: bool,
    /// Who hears how far it has come.
    pub progress: Option<ProgressListener>,
    /// How the owner ends the work.
    pub abort: Option<Rc<dyn AbortSwitch>>,
}

impl Default for FfmpegStitcherOptions {
    fn default() -> Self {
        Self {
            ffmpeg_path: None,
            ffprobe_path: None,
            expected_frames: None,
            frame_rate: None,
            verify: true,
            dry_run: false,
            progress: None,
            abort: None,
        }
    }
}

impl fmt::Debug for FfmpegStitcherOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FfmpegStitcherOptions")
            .field("ffmpeg_path", &self.ffmpeg_path)
            .field("ffprobe_path", &self.ffprobe_path)
            .finish_non_exhaustive()
    }
}
