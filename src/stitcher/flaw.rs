//! What can be wrong with a video.

use crate::error::SystemError;

/// What is wrong with a video, as the end of a sentence that has named it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It cannot be looked at.
    #[error(transparent)]
    System(SystemError),
    /// It does not exist.
    #[error("it does not exist")]
    Missing,
    /// It is a folder, a pipe or the like.
    #[error("it is not a file")]
    NotAFile,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// ffmpeg cannot read it.
    #[error("it cannot be read as a video: {0}")]
    Unreadable(String),
    /// It ends too early.
    #[error("it is cut short: {0}")]
    CutShort(String),
    /// There is neither video nor sound in it.
    #[error("it has neither video nor audio")]
    NoStreams,
    /// Its sound has to be encoded, and is more than one.
    #[error("it has {0} audio streams, of which only one can be encoded")]
    ManySounds(usize),
    /// A parameter is not that of the first part.
    #[error("{parameter} is {is}, that of the first is {first}")]
    Differs {
        /// What is different.
        parameter: &'static str,
        /// What it is.
        is: String,
        /// What the first part has.
        first: String,
    },
    /// A parameter is not what was asked for.
    #[error("{parameter} is {is}, not {expected}")]
    Wrong {
        /// What is wrong.
        parameter: &'static str,
        /// What it is.
        is: String,
        /// What it should be.
        expected: String,
    },
    /// It has another number of frames than it should.
    #[error("it has {is} frames, not {expected}")]
    Frames {
        /// How many there are.
        is: u64,
        /// How many there should be.
        expected: u64,
    },
    /// Its sound does not last as long as its pictures.
    #[error("its audio lasts {audio:.3} s, its video {video:.3} s")]
    ShortAudio {
        /// Seconds of sound.
        audio: f64,
        /// Seconds of pictures.
        video: f64,
    },
    /// Its frames do not follow each other at a steady rate.
    #[error("{stream} has a gap of {gap:.3} s")]
    Gap {
        /// `its video` or `its audio`.
        stream: &'static str,
        /// Seconds.
        gap: f64,
    },
    /// Its timestamps do not grow.
    #[error("the timestamps of {0} go back")]
    GoesBack(&'static str),
    /// It lasts too long, or not long enough.
    #[error("{stream} lasts {is:.3} s, not {expected:.3} s")]
    Duration {
        /// `its video` or `its audio`.
        stream: &'static str,
        /// Seconds.
        is: f64,
        /// Seconds.
        expected: f64,
    },
}
