//! Plans, from what was seen in parts.

use super::*;
use crate::stitcher::ffmpeg::media::{Packet, Track};

fn track(packets: i64, step: i64, size: u64) -> Track {
    let mut track = Track::default();
    for time in (0..packets).map(|packet| packet * step) {
        let (pts, dts) = (Some(time), Some(time));
        track.add(&Packet { pts, dts, duration: step, size, is_hidden: false });
    }
    track
}

/// So many frames at 30 a second, on a clock of so many ticks a second.
fn video(frames: i64, clock: u32) -> Video {
    Video {
        codec: "h264".into(),
        profile: None,
        width: 64,
        height: 64,
        pixel_format: "yuv420p".into(),
        stated_rates: [Ratio::new(30, 1), None],
        stated_frames: None,
        header: Some("1".into()),
        tick: Ratio { num: 1, den: clock },
        track: track(frames, i64::from(clock / 30), 1),
    }
}

/// So many packets of 1024 samples.
fn audio(codec: &str, packets: i64) -> Audio {
    Audio {
        codec: codec.into(),
        sample_rate: 48_000,
        channels: 2,
        tick: Ratio { num: 1, den: 48_000 },
        track: track(packets, 1024, 4096),
    }
}

fn part(media: Media) -> Part {
    Part { input: StitchInput::default(), path: "/in.mp4".into(), media: Rc::new(media) }
}

fn of(video: Video) -> Media {
    Media { video: vec![video], ..Media::default() }
}

/// 32 frames, which last as long as 50 packets of sound.
fn with(sound: Audio) -> Media {
    Media { audio: vec![sound], ..of(video(32, 15_360)) }
}

fn planned(parts: Vec<Media>, output: &str) -> Result<StitchPlan, String> {
    let parts: Vec<_> = parts.into_iter().map(part).collect();
    plan(&parts, output.as_ref(), Wanted::default()).map_err(|error| error.to_string())
}

#[test]
fn parts_that_are_alike_are_copied() {
    let plan = planned(vec![of(video(30, 15_360)), of(video(10, 15_360))], "/out.mp4").unwrap();
    assert_eq!((plan.kind(), plan.frames, plan.duration), ("copy", 40, 1.333_333));
    let listed: Vec<_> = plan.parts.iter().map(|part| part.listed).collect();
    assert_eq!(listed, [1_000_000, 333_333]);
}

#[test]
fn lengths_that_are_rounded_add_up() {
    let plan = planned(vec![of(video(10, 15_360)); 2000], "/out.mp4").unwrap();
    let sum: i64 = plan.parts.iter().map(|part| part.listed).sum();
    assert_eq!((sum, plan.frames), (666_666_667, 20_000));
}

#[test]
fn what_differs_is_named() {
    type Change = fn(&mut Media);
    let table: [(Change, &str); 8] = [
        (|media| media.video[0].codec = "vp9".into(), "codec is vp9, that of the first is h264"),
        (|media| media.video[0].width = 32, "frame size is 32x64, that of the first is 64x64"),
        (
            |media| media.video[0].pixel_format = "yuv444p".into(),
            "pixel format is yuv444p, that of the first is yuv420p",
        ),
        (
            |media| media.video[0].stated_rates = [Ratio::new(31, 1), None],
            "frame rate is 31, that of the first is 30",
        ),
        (
            |media| media.video[0].stated_rates = [Ratio::new(90, 1), None],
            "frame rate is variable, that of the first is 30",
        ),
        (
            |media| media.audio[0].sample_rate = 44_100,
            "sample rate is 44100, that of the first is 48000",
        ),
        (|media| media.audio.clear(), "number of audio streams is 0, that of the first is 1"),
        (
            |media| media.audio[0].channels = 1,
            "number of audio channels is 1, that of the first is 2",
        ),
    ];
    for (change, text) in table {
        let mut other = with(audio("pcm_s16le", 50));
        change(&mut other);
        let error = planned(vec![with(audio("pcm_s16le", 50)), other], "/out.mov").unwrap_err();
        assert_eq!(error, format!("cannot stitch '/in.mp4': {text}"));
    }
}

#[test]
fn header_of_a_codec_may_differ_only_where_it_comes_with_the_frames() {
    let changed = |codec: &str| {
        let [mut first, mut other] = [video(3, 15_360), video(3, 15_360)];
        (first.codec, other.codec) = (codec.to_owned(), codec.to_owned());
        other.header = Some("2".into());
        planned(vec![of(first), of(other)], "/out.mp4").map(|plan| plan.kind())
    };
    assert_eq!(changed("h264"), Ok("copy"));
    assert!(changed("mpeg4").unwrap_err().contains("checksum of the codec's header is 2"));
}

#[test]
fn clocks_that_differ_become_one_that_frames_begin_at() {
    let table = [
        (vec![15_360, 15_360], None),
        (vec![15_360, 90_000], Some(15_360)),
        // No frame of 30 a second begins at a tick of a millisecond.
        (vec![1000, 90_000], Some(90_000)),
        (vec![1000, 100], Some(10_020)),
    ];
    for (clocks, expected) in table {
        let parts = clocks.iter().map(|clock| of(video(1, *clock))).collect();
        let plan = planned(parts, "/out.mp4").unwrap();
        assert_eq!((plan.kind() == "remux").then_some(plan.timescale), expected, "{clocks:?}");
        let remuxed = clocks.iter().map(|clock| expected.is_some_and(|scale| scale != *clock));
        assert!(plan.parts.iter().map(|part| part.is_remuxed).eq(remuxed));
    }
}

#[test]
fn sound_is_copied_or_encoded() {
    let table = [
        // codec, packets, parts, output, what it becomes
        ("pcm_s16le", 50, 3, "mov", None),
        ("pcm_s16le", 50, 3, "mkv", None),
        ("pcm_s16le", 50, 1, "mp4", Some("aac")),
        ("pcm_s16le", 60, 3, "mov", Some("pcm_s16le")),
        ("pcm_s16le", 50, 2, "webm", Some("opus")),
        ("aac", 50, 1, "mp4", None),
        ("aac", 70, 1, "mp4", None),
        ("aac", 50, 2, "mp4", Some("aac")),
        ("opus", 50, 2, "webm", Some("opus")),
        ("opus", 50, 2, "mp4", Some("aac")),
        ("flac", 50, 2, "mkv", Some("flac")),
    ];
    for (codec, packets, count, extension, expected) in table {
        let parts = vec![with(audio(codec, packets)); count];
        let plan = planned(parts, &format!("/out.{extension}")).unwrap();
        assert_eq!(plan.audio.codec(), expected, "{codec} {packets} {count} {extension}");
        let is_noted = expected.is_some() && packets == 60;
        assert_eq!(plan.notes.len(), if is_noted { count } else { 0 });
    }
}

#[test]
fn several_sounds_are_copied_or_refused() {
    let several = |codec| {
        let mut media = with(audio(codec, 50));
        media.audio.push(audio(codec, 50));
        planned(vec![media.clone(), media], "/out.mov").map(|plan| plan.streams.len())
    };
    assert_eq!(several("pcm_s16le"), Ok(3));
    let text = "cannot stitch '/in.mp4': it has 2 audio streams, of which only one can be encoded";
    assert_eq!(several("aac"), Err(text.to_owned()));
}

#[test]
fn samples_of_parts_add_up() {
    let mut parts = vec![with(audio("aac", 50)); 3];
    for media in &mut parts {
        media.audio[0].sample_rate = 44_100;
        // 1001 ms each: 44,144.1 samples.
        media.video[0].stated_rates = [Ratio::new(32_000, 1001), None];
    }
    let plan = planned(parts, "/out.mp4").unwrap();
    let samples: Vec<_> = plan.parts.iter().map(|part| part.samples).collect();
    assert_eq!(samples, [44_144, 44_144, 44_144]);
    let doubled = planned(vec![with(audio("aac", 50)); 2], "/out.mp4").unwrap();
    assert_eq!(doubled.parts[1].samples, 51_200);
}

#[test]
fn frames_are_those_that_were_asked_for() {
    let with_frames = |frames| {
        let mut part = part(of(video(30, 15_360)));
        part.input.frames = Some(frames);
        part.input.chunk = Some(ChunkId::new(3.0));
        plan(&[part], "/out.mp4".as_ref(), Wanted::default()).map_err(|error| error.to_string())
    };
    assert_eq!(with_frames(30).unwrap().frames, 30);
    let text = "cannot stitch chunk 3 ('/in.mp4'): it has 30 frames, not 31";
    assert_eq!(with_frames(31).unwrap_err(), text);
    let wanted = Wanted { frames: Some(29), rate: None };
    let error = plan(&[part(of(video(30, 15_360)))], "/out.mp4".as_ref(), wanted).unwrap_err();
    assert_eq!(error.to_string(), "the inputs have 30 frames together, not 29");
}
