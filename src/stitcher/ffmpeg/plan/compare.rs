//! What must be the same in all parts of a video.

use super::{
    super::media::{Audio, Media, Video},
    rate_text,
};
use crate::stitcher::Flaw;

/// Codecs whose parameters may change on the way, as each part brings its own along.
const CARRIES_PARAMETERS: [&str; 1] = ["h264"];

/// How many streams of pictures there are.
pub(in super::super) const VIDEO_STREAMS: &str = "number of video streams";
/// How many streams of sound there are.
pub(in super::super) const AUDIO_STREAMS: &str = "number of audio streams";

/// The first parameter in which `media` cannot go after `first`.
pub(super) fn difference(media: &Media, first: &Media) -> Option<Flaw> {
    let counts = [
        (VIDEO_STREAMS, media.video.len(), first.video.len()),
        (AUDIO_STREAMS, media.audio.len(), first.audio.len()),
    ];
    let counts = counts.map(|(name, is, first)| (name, is.to_string(), first.to_string()));
    let videos = media.video.iter().zip(&first.video).flat_map(|(is, first)| video(is, first));
    let audios = media.audio.iter().zip(&first.audio).flat_map(|(is, first)| audio(is, first));
    let mut parameters = counts.into_iter().chain(videos).chain(audios);
    parameters.find(|(_, is, first)| is != first).map(|(parameter, is, first)| Flaw::Differs {
        parameter,
        is,
        first,
    })
}

type Parameter = (&'static str, String, String);

fn video(is: &Video, first: &Video) -> Vec<Parameter> {
    let both = |of: &dyn Fn(&Video) -> String| (of(is), of(first));
    let row = |name, (is, first)| (name, is, first);
    let mut rows = vec![
        row("codec", both(&|video| video.codec.clone())),
        row("frame size", both(&|video| format!("{}x{}", video.width, video.height))),
        row("pixel format", both(&|video| video.pixel_format.clone())),
        row("frame rate", both(&|video| rate_text(video.rate()))),
    ];
    if let (Some(is), Some(first)) = (&is.profile, &first.profile) {
        rows.push(("profile", is.clone(), first.clone()));
    }
    if let (Some(header), Some(first_header)) = (&is.header, &first.header)
        && !CARRIES_PARAMETERS.contains(&is.codec.as_str())
    {
        rows.push(("checksum of the codec's header", header.clone(), first_header.clone()));
    }
    rows
}

fn audio(is: &Audio, first: &Audio) -> Vec<Parameter> {
    vec![
        ("audio codec", is.codec.clone(), first.codec.clone()),
        ("sample rate", is.sample_rate.to_string(), first.sample_rate.to_string()),
        ("number of audio channels", is.channels.to_string(), first.channels.to_string()),
    ]
}
