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

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::stitcher::{
        StitchInput,
        ffmpeg::{
            media::{Packet, Ratio},
            plan::{Part, Wanted, plan},
        },
    };

    fn track(times: &[i64], duration: i64) -> Track {
        let mut track = Track::default();
        for time in times {
            let (pts, dts) = (Some(*time), Some(*time));
            track.add(&Packet { pts, dts, duration, size: 4, is_hidden: false });
        }
        track
    }

    fn media(frames: &[i64], packets: &[i64]) -> Media {
        let video = Video {
            codec: "h264".into(),
            profile: None,
            width: 64,
            height: 64,
            pixel_format: "yuv420p".into(),
            stated_rates: [Ratio::new(10, 1), None],
            stated_frames: None,
            header: None,
            tick: Ratio { num: 1, den: 100 },
            track: track(frames, 10),
        };
        let audio = Audio {
            codec: "aac".into(),
            sample_rate: 48_000,
            channels: 1,
            tick: Ratio { num: 1, den: 48_000 },
            track: track(packets, 4800),
        };
        Media { video: vec![video], audio: vec![audio], ..Media::default() }
    }

    fn after(change: impl Fn(&mut Media)) -> Result<u64, String> {
        let [half, mut whole] =
            [media(&[0, 10], &[0, 4800]), media(&[0, 10, 20, 30], &[0, 4800, 9600, 14_400])];
        let part = |media| Part {
            input: StitchInput::default(),
            path: "/in".into(),
            media: Rc::new(media),
        };
        let parts = [part(half.clone()), part(half)];
        let plan = plan(&parts, "/out.mp4".as_ref(), Wanted::default()).unwrap();
        change(&mut whole);
        verify(&plan, &whole).map(|proof| proof.frames).map_err(|flaw| flaw.to_string())
    }

    #[test]
    fn whole_is_the_sum_of_its_parts() {
        type Change = fn(&mut Media);
        assert_eq!(after(|_| {}), Ok(4));
        let table: [(Change, &str); 9] = [
            (|whole| whole.audio.clear(), "number of audio streams is 0, not 1"),
            (|whole| whole.video[0].codec = "vp9".into(), "codec is vp9, not h264"),
            (|whole| whole.audio[0].sample_rate = 44_100, "sample rate is 44100, not 48000"),
            (|whole| whole.video[0].track = track(&[0, 10, 20], 10), "it has 3 frames, not 4"),
            (
                |whole| whole.video[0].track = track(&[0, 10, 20, 60], 10),
                "its video lasts 0.700 s, not 0.400 s",
            ),
            (
                |whole| whole.video[0].track = track(&[0, 10, 10, 30], 10),
                "the timestamps of its video go back",
            ),
            (
                |whole| whole.video[0].track = track(&[0, 10, 30, 40], 10),
                "its video has a gap of 0.100 s",
            ),
            (
                |whole| whole.audio[0].track = track(&[0, 4800], 4800),
                "its audio lasts 0.200 s, not 0.400 s",
            ),
            (
                |whole| whole.audio[0].track = track(&[0, 4800, 12_600, 14_400], 4800),
                "its audio has a gap of 0.062 s",
            ),
        ];
        for (change, text) in table {
            assert_eq!(after(change), Err(text.to_owned()));
        }
    }
}
