//! What becomes of the sound.

use std::path::Path;

use super::{super::media::Audio, Part};

/// Sound that is copied may be off by so many samples in all: one frame of AAC.
const MOST_DRIFT: f64 = 1024.0;
/// Part and sound are as long as each other when they differ by no more samples than rounding takes.
const ROUNDING: f64 = 1.5;
/// Codecs of sound that every player of .mp4 expects.
const IN_MP4: [&str; 5] = ["aac", "mp3", "ac3", "eac3", "alac"];
/// What is cut or filled is worth a word from here on, in seconds.
const WORTH_A_NOTE: f64 = 0.1;

/// What becomes of the sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum AudioPlan {
    /// There is none.
    Nothing,
    /// It is copied with the video.
    Copy,
    /// It is decoded part by part, cut to the length of the video, and encoded once.
    Encode {
        /// The encoder.
        encoder: String,
        /// The name of what it makes.
        codec: String,
        /// The format of the samples on the way.
        samples: String,
    },
}

impl AudioPlan {
    /// What the sound is encoded as.
    pub(in super::super) fn codec(&self) -> Option<&str> {
        match self {
            Self::Encode { codec, .. } => Some(codec),
            _ => None,
        }
    }
}

/// Decides what becomes of the sound of `parts`, of which there is at least one. `starts` is when they begin, and end.
pub(super) fn decide(
    parts: &[Part],
    starts: &[f64],
    output: &Path,
    notes: &mut Vec<String>,
) -> AudioPlan {
    let Some(first) = parts[0].media.audio.first() else { return AudioPlan::Nothing };
    let extension = output.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let takes = takes(&extension, first);
    // The packets of other codecs are made of more samples than they give: at each seam some would be too many.
    if takes && (parts.len() == 1 || (first.is_pcm() && fits(parts, starts))) {
        return AudioPlan::Copy;
    }
    for part in parts {
        let (audio, video) =
            (part.media.audio.first().map_or(0.0, Audio::length), part.media.length());
        let what = if audio > video {
            "what is longer is cut off"
        } else {
            "the rest is filled with silence"
        };
        if (audio - video).abs() > WORTH_A_NOTE {
            notes.push(format!(
                "{}: its audio lasts {audio:.3} s, its video {video:.3} s: {what}",
                part.path.display()
            ));
        }
    }
    let (encoder, codec) = encoder(&extension, first, takes);
    let samples = if first.is_pcm() { first.codec.clone() } else { "pcm_f32le".to_owned() };
    AudioPlan::Encode { encoder, codec, samples }
}

/// Whether sound that is only copied stays with the pictures, through all seams.
fn fits(parts: &[Part], starts: &[f64]) -> bool {
    let mut heard = 0.0;
    parts.iter().zip(starts).all(|(part, start)| {
        let Some(audio) = part.media.audio.first() else { return false };
        let (rate, lead) = (f64::from(audio.sample_rate), part.media.lead());
        let late = audio.track.start(audio.tick) - part.media.start - lead;
        let off = [audio.length() - part.media.length(), late];
        let drift = heard - start;
        heard += audio.length();
        // A clock of milliseconds cannot tell better.
        let coarse = f64::from(audio.tick.num) / f64::from(audio.tick.den);
        off.iter().all(|off| off.abs() <= (ROUNDING / rate).max(coarse * 1.01))
            && drift.abs() * rate <= MOST_DRIFT
    })
}

/// Whether a container takes sound as it is.
fn takes(extension: &str, audio: &Audio) -> bool {
    let codec = audio.codec.as_str();
    match extension {
        "webm" => ["opus", "vorbis"].contains(&codec),
        // What ffmpeg 4.1 calls an experiment is none of it.
        "mp4" | "m4v" | "m4a" => IN_MP4.contains(&codec),
        "mov" => IN_MP4.contains(&codec) || audio.is_pcm(),
        "ts" | "m2ts" | "mts" => !audio.is_pcm(),
        _ => true,
    }
}

/// The encoder for what comes into a container, and what it makes. What loses nothing is kept, where it can be.
fn encoder(extension: &str, audio: &Audio, takes: bool) -> (String, String) {
    let (encoder, codec) = match (extension, audio.codec.as_str()) {
        (_, "vorbis") if takes => ("libvorbis", "vorbis"),
        (_, "opus") if takes => ("libopus", "opus"),
        ("webm", _) => ("libopus", "opus"),
        (_, "mp3") if takes => ("libmp3lame", "mp3"),
        (_, codec @ ("ac3" | "flac" | "alac")) if takes => (codec, codec),
        (_, codec) if takes && audio.is_pcm() => (codec, codec),
        _ => ("aac", "aac"),
    };
    (encoder.to_owned(), codec.to_owned())
}
