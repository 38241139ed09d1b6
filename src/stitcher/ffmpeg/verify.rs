//! Whether a video is whole: what was made against what was planned.

use super::{
    media::{Audio, Media, Track, Video, seconds},
    plan::{AUDIO_STREAMS, StitchPlan, VIDEO_STREAMS, audio_stream, rate_text, video_stream},
};
use crate::stitcher::{Flaw, ProvenChunk, ProvenStream, VideoProof};

/// What encoders of sound add at the ends, in samples: two frames of AAC.
const AUDIO_SLACK: f64 = 2048.0;
/// The longest hole in the sound, in samples: one frame of AAC.
const AUDIO_GAP: f64 = 1024.0;

/// Compares a finished video with its plan.
///
/// # Errors
/// With the first thing that is not as it was planned.
pub(super) fn verify(plan: &StitchPlan, media: &Media) -> Result<VideoProof, Flaw> {
    check_streams(plan, media)?;
    let is = media.frames();
    if is != plan.frames {
        return Err(Flaw::Frames { is, expected: plan.frames });
    }
    for video in &media.video {
        check_video(plan, video)?;
    }
    for audio in &media.audio {
        check_audio(plan, audio)?;
    }
    let streams = media.video.iter().map(video_stream).chain(media.audio.iter().map(audio_stream));
    Ok(VideoProof {
        output: plan.output.to_string_lossy().into_owned(),
        frames: is,
        duration: plan.duration,
        streams: streams.collect(),
        chunks: plan
            .parts
            .iter()
            .map(|part| ProvenChunk { chunk: part.chunk, frames: part.frames })
            .collect(),
    })
}

fn check_streams(plan: &StitchPlan, media: &Media) -> Result<(), Flaw> {
    let is_video = |stream: &&ProvenStream| matches!(stream, ProvenStream::Video { .. });
    let videos = plan.streams.iter().filter(is_video).count();
    let counts = [
        (VIDEO_STREAMS, media.video.len(), videos),
        (AUDIO_STREAMS, media.audio.len(), plan.streams.len() - videos),
    ];
    if let Some((parameter, is, expected)) = counts.into_iter().find(|(_, is, wanted)| is != wanted)
    {
        let (is, expected) = (is.to_string(), expected.to_string());
        return Err(Flaw::Wrong { parameter, is, expected });
    }
    let found = media.video.iter().map(video_stream).chain(media.audio.iter().map(audio_stream));
    for (found, planned) in found.zip(&plan.streams) {
        let rows = parameters(&found).into_iter().zip(parameters(planned));
        for ((parameter, is), (_, expected)) in rows {
            if is != expected {
                return Err(Flaw::Wrong { parameter, is, expected });
            }
        }
    }
    Ok(())
}

/// What is said of a stream, but for its rate: containers round it.
fn parameters(stream: &ProvenStream) -> Vec<(&'static str, String)> {
    match stream {
        ProvenStream::Video { codec, width, height, pixel_format, .. } => vec![
            ("codec", codec.clone()),
            ("frame size", format!("{width}x{height}")),
            ("pixel format", pixel_format.clone()),
        ],
        ProvenStream::Audio { codec, sample_rate, channels } => vec![
            ("audio codec", codec.clone()),
            ("sample rate", sample_rate.to_string()),
            ("number of audio channels", channels.to_string()),
        ],
    }
}

fn check_video(plan: &StitchPlan, video: &Video) -> Result<(), Flaw> {
    const STREAM: &str = "its video";
    let planned = plan.sample.video.first().and_then(Video::rate);
    let tick = seconds(1, video.tick);
    let frame =
        planned.map_or_else(|| plan.duration / as_number(plan.frames), |rate| 1.0 / rate.get());
    let length = video.track.length(video.tick);
    if (length - plan.duration).abs() > frame + tick {
        return Err(Flaw::Duration { stream: STREAM, is: length, expected: plan.duration });
    }
    goes_forward(STREAM, &video.track)?;
    let Some(planned) = planned else { return Ok(()) };
    if video.rate().is_none() {
        let gap = seconds(video.track.steps.map_or(0, |(_, most)| most), video.tick) - frame;
        let uneven = || Flaw::Wrong {
            parameter: "frame rate",
            is: rate_text(None),
            expected: planned.to_string(),
        };
        return Err(if gap > frame / 2.0 { Flaw::Gap { stream: STREAM, gap } } else { uneven() });
    }
    Ok(())
}

fn check_audio(plan: &StitchPlan, audio: &Audio) -> Result<(), Flaw> {
    const STREAM: &str = "its audio";
    goes_forward(STREAM, &audio.track)?;
    let rate = plan.sample.video.first().and_then(Video::rate);
    let samples = f64::from(audio.sample_rate);
    let slack = (AUDIO_SLACK / samples).max(rate.map_or(0.0, |rate| 1.0 / rate.get()));
    let (is, expected) = (audio.length(), plan.audio_duration);
    if (is - expected).abs() > slack + seconds(1, audio.tick) {
        return Err(Flaw::Duration { stream: STREAM, is, expected });
    }
    let gap = seconds(audio.track.longest_gap, audio.tick);
    // The holes of a single part are its own.
    if plan.parts.len() > 1 && gap > AUDIO_GAP / samples + seconds(1, audio.tick) {
        return Err(Flaw::Gap { stream: STREAM, gap });
    }
    Ok(())
}

fn goes_forward(stream: &'static str, track: &Track) -> Result<(), Flaw> {
    if track.goes_back { Err(Flaw::GoesBack(stream)) } else { Ok(()) }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_number(count: u64) -> f64 {
    count.max(1) as f64
}
