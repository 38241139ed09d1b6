//! How parts become one video: decided before any of it is written, from what was seen in the parts.

mod audio;
mod compare;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use self::compare::difference;
pub(super) use self::{
    audio::AudioPlan,
    compare::{AUDIO_STREAMS, VIDEO_STREAMS},
};
use super::media::{Audio, Media, Ratio, Video};
use crate::{
    model::{ChunkId, Fields, json},
    stitcher::{Error, Flaw, ProvenStream, StitchInput},
};

/// The coarsest clock that a video gets that has to have a new one.
const COARSEST: u32 = 10_000;

/// A part and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) input: StitchInput,
    pub(super) path: PathBuf,
    pub(super) media: Rc<Media>,
}

impl Part {
    /// What is wrong with the part, said of it.
    pub(super) fn has(&self, flaw: Flaw) -> Error {
        Error::BadInput {
            chunk: self.input.chunk,
            path: self.path.to_string_lossy().into_owned(),
            flaw,
        }
    }
}

/// What the owner says of the whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) frames: Option<u64>,
    pub(super) rate: Option<Ratio>,
}

/// Where a part goes.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPart {
    /// The chunk it is.
    pub chunk: Option<ChunkId>,
    /// Its file.
    pub path: PathBuf,
    /// How many frames it has.
    pub frames: u64,
    /// How long it lasts, in seconds.
    pub duration: f64,
    /// How long the list says that it lasts, in microseconds: so that the next one begins at its frame.
    pub(super) listed: i64,
    /// From when on it is shown, in seconds of its own time.
    pub(super) lead: f64,
    /// How many samples of sound it gives, where the sound is encoded.
    pub(super) samples: u64,
    /// Whether its time base has to become that of the others.
    pub(super) is_remuxed: bool,
}

/// How parts become one video.
#[derive(Clone, Debug, PartialEq)]
pub struct StitchPlan {
    /// The parts, in order.
    pub parts: Vec<PlannedPart>,
    /// The file to write.
    pub output: PathBuf,
    /// How many frames it will have.
    pub frames: u64,
    /// How long it will last, in seconds.
    pub duration: f64,
    /// What will be in it.
    pub streams: Vec<ProvenStream>,
    /// What happens to content that does not fit, for people.
    pub notes: Vec<String>,
    /// What becomes of the sound.
    pub(super) audio: AudioPlan,
    /// The clock of the parts that get a new one: ticks per second.
    pub(super) timescale: u32,
    /// What the result is compared with.
    pub(super) sample: Rc<Media>,
    /// How long its sound will last, in seconds.
    pub(super) audio_duration: f64,
}

impl StitchPlan {
    /// What is done, in one word: `copy`, `remux` or `encode-audio`.
    pub fn kind(&self) -> &'static str {
        match self.audio {
            AudioPlan::Encode { .. } => "encode-audio",
            _ if self.parts.iter().any(|part| part.is_remuxed) => "remux",
            _ => "copy",
        }
    }

    /// The plan for its reader.
    pub fn json(&self) -> String {
        let part = |part: &PlannedPart| {
            let mut fields = Fields::default();
            if let Some(id) = part.chunk {
                fields.set("chunkId", json::number(id.get()));
            }
            fields.set("file", json::string(&part.path.to_string_lossy()));
            fields.set("frames", part.frames.to_string());
            fields.set("duration", json::number(part.duration));
            fields.set("remux", part.is_remuxed.to_string());
            fields.json()
        };
        let list = |items: Vec<String>| format!("[{}]", items.join(","));
        let mut fields = Fields::default();
        fields.set("kind", json::string(self.kind()));
        fields.set("outputFile", json::string(&self.output.to_string_lossy()));
        fields.set("frames", self.frames.to_string());
        fields.set("duration", json::number(self.duration));
        fields.set("streams", list(self.streams.iter().map(ProvenStream::json).collect()));
        fields.set("inputs", list(self.parts.iter().map(part).collect()));
        fields.set("notes", list(self.notes.iter().map(|note| json::string(note)).collect()));
        fields.json()
    }
}

/// Decides how `parts`, of which there is at least one, become `output`.
///
/// # Errors
/// With the part and the parameter because of which they cannot.
pub(super) fn plan(parts: &[Part], output: &Path, wanted: Wanted) -> Result<StitchPlan, Error> {
    let Some(first) = parts.first() else { return Err(Error::NoInputs) };
    for part in parts {
        check(part, first, wanted).map_err(|flaw| part.has(flaw))?;
    }
    let frames = parts.iter().map(|part| part.media.frames()).sum();
    if let Some(expected) = wanted.frames.filter(|expected| *expected != frames) {
        return Err(Error::Frames { found: frames, expected });
    }
    let starts = starts(parts);
    let mut notes = Vec::new();
    let audio = audio::decide(parts, &starts, output, &mut notes);
    if audio.codec().is_some() && first.media.audio.len() > 1 {
        return Err(first.has(Flaw::ManySounds(first.media.audio.len())));
    }
    let timescale = timescale(parts);
    // What is beyond microseconds is not known of any file.
    let duration = (starts.last().copied().unwrap_or(0.0) * 1e6).round() / 1e6;
    let planned = parts.iter().enumerate().map(|(index, part)| PlannedPart {
        chunk: part.input.chunk,
        path: part.path.clone(),
        frames: part.media.frames(),
        duration: part.media.length(),
        listed: listed(parts, &starts, index),
        lead: part.media.lead(),
        samples: first.media.audio.first().map_or(0, |audio| {
            let at = |start: f64| whole(start * f64::from(audio.sample_rate));
            u64::try_from(at(starts[index + 1]) - at(starts[index])).unwrap_or(0)
        }),
        is_remuxed: timescale.is_some_and(|scale| {
            part.media.video.first().is_some_and(|video| Some(video.tick) != Ratio::new(1, scale))
        }),
    });
    let audio_duration = match (&audio, &first.media.audio[..]) {
        // One part is copied as it is, whatever its streams are like.
        (AudioPlan::Copy, [audio, ..]) if parts.len() == 1 => audio.length(),
        _ => duration,
    };
    Ok(StitchPlan {
        parts: planned.collect(),
        output: output.to_owned(),
        frames,
        duration,
        streams: streams(&first.media, &audio),
        notes,
        audio,
        timescale: timescale.unwrap_or(0),
        sample: Rc::clone(&first.media),
        audio_duration,
    })
}

fn check(part: &Part, first: &Part, wanted: Wanted) -> Result<(), Flaw> {
    let (is, media) = (part.media.frames(), &part.media);
    if let Some(expected) = part.input.frames.filter(|expected| *expected != is) {
        return Err(Flaw::Frames { is, expected });
    }
    if let Some(flaw) = difference(media, &first.media) {
        return Err(flaw);
    }
    let rate = media.video.first().map(Video::rate);
    match (wanted.rate, rate) {
        (Some(expected), Some(is)) if is != Some(expected) => Err(Flaw::Wrong {
            parameter: "frame rate",
            is: rate_text(is),
            expected: expected.to_string(),
        }),
        _ => Ok(()),
    }
}

/// A rate for people.
pub(super) fn rate_text(rate: Option<Ratio>) -> String {
    rate.map_or_else(|| "variable".to_owned(), |rate| rate.to_string())
}

/// When each part begins and, at the end, when all is over, in seconds. Rates make these exact: 2,000 parts of ten frames
/// each end where 20,000 frames end.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn starts(parts: &[Part]) -> Vec<f64> {
    let rate = parts.first().and_then(|part| part.media.video.first()).and_then(Video::rate);
    let (mut frames, mut at) = (0, 0.0);
    let mut starts = vec![0.0];
    for part in parts {
        frames += part.media.frames();
        at += part.media.length();
        starts.push(rate.map_or(at, |rate| frames as f64 / rate.get()));
    }
    starts
}

/// How long the list says that a part lasts. The list adds up, so that what is rounded here is rounded there.
fn listed(parts: &[Part], starts: &[f64], index: usize) -> i64 {
    let begins = |index: usize| {
        let lead = parts.get(index).or(parts.last()).map_or(0.0, |part| part.media.lead());
        whole((starts[index] + parts[0].media.lead() - lead) * 1e6)
    };
    begins(index + 1) - begins(index)
}

#[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2^53")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

/// The clock that all parts get, where they have different ones. One that some of them have, if frames begin at its
/// ticks.
fn timescale(parts: &[Part]) -> Option<u32> {
    let videos: Vec<&Video> = parts.iter().filter_map(|part| part.media.video.first()).collect();
    let first = videos.first()?;
    if videos.iter().all(|video| video.tick == first.tick) {
        return None;
    }
    let clocks = || videos.iter().map(|video| video.tick).filter(|tick| tick.num == 1);
    let Some(rate) = first.rate() else { return clocks().map(|tick| tick.den).max() };
    let fits = |tick: &Ratio| {
        let (ticks, frames) = (u64::from(tick.den) * u64::from(rate.den), u64::from(rate.num));
        ticks.is_multiple_of(frames)
    };
    let made = || rate.num.checked_mul(COARSEST.div_ceil(rate.num)).unwrap_or(rate.num);
    Some(clocks().find(fits).map_or_else(made, |tick| tick.den))
}

fn streams(media: &Media, plan: &AudioPlan) -> Vec<ProvenStream> {
    let audio = media.audio.iter().map(|audio| {
        let codec = plan.codec().map_or_else(|| audio.codec.clone(), str::to_owned);
        // Opus knows no other rate than its own.
        let sample_rate = if codec == "opus" { 48_000 } else { audio.sample_rate };
        audio_stream(&Audio { codec, sample_rate, ..audio.clone() })
    });
    media.video.iter().map(video_stream).chain(audio).collect()
}

/// A stream of pictures for those who read of it.
pub(super) fn video_stream(video: &Video) -> ProvenStream {
    ProvenStream::Video {
        codec: video.codec.clone(),
        width: video.width,
        height: video.height,
        pixel_format: video.pixel_format.clone(),
        frame_rate: video.rate().map(Ratio::get),
    }
}

/// A stream of sound, likewise.
pub(super) fn audio_stream(audio: &Audio) -> ProvenStream {
    ProvenStream::Audio {
        codec: audio.codec.clone(),
        sample_rate: audio.sample_rate,
        channels: audio.channels,
    }
}

#[cfg(test)]
mod tests;
