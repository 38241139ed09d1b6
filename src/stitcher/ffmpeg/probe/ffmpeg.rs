//! What ffmpeg alone tells about a file: its log says what the streams are, and the packets, copied to the muxer
//! `framecrc`, make a table.

use super::super::{
    lines::Reader,
    media::{Audio, Media, Packet, Ratio, Track, Video},
};

/// What comes before the file.
pub(super) const BEFORE: [&str; 5] = ["-hide_banner", "-nostdin", "-nostats", "-xerror", "-i"];
/// What comes after it. `V` leaves the cover of an album out.
pub(super) const AFTER: [&str; 9] =
    ["-map", "0:V?", "-map", "0:a?", "-c", "copy", "-f", "framecrc", "-"];

/// The bits of a packet's flags.
const DISCARD: u32 = 4;

/// A stream of the table.
#[derive(Debug, Default)]
struct Column {
    tick: Option<Ratio>,
    is_video: bool,
    codec: String,
    size: (u32, u32),
    header: Option<String>,
    sample_rate: u32,
    track: Track,
}

/// Reads the table; the log comes at the end.
#[derive(Debug, Default)]
pub(super) struct FfmpegReader {
    columns: Vec<Column>,
}

impl Reader for FfmpegReader {
    fn line(&mut self, line: &str) {
        // Nothing is said twice of a packet: it is the table, or what is above it.
        if self.above(line).is_none() {
            self.packet(line);
        }
    }
}

/// The log has two decimals; a fine clock knows better.
fn rates(track: &Track, tick: Ratio, named: [Option<f64>; 2]) -> [Option<Ratio>; 2] {
    let by_clock = match track.steps {
        Some((least, most)) if least == most && least > 0 && tick.den / tick.num >= 5000 => {
            u32::try_from(least)
                .ok()
                .and_then(|step| Ratio::new(tick.den, tick.num.checked_mul(step)?))
        }
        _ => None,
    };
    match by_clock {
        Some(rate) => [Some(rate), None],
        None => named.map(|rate| rate.and_then(Ratio::from_rate)),
    }
}

impl FfmpegReader {
    /// What it all comes to; `log` is what was written to standard error.
    pub(super) fn finish(self, log: &str) -> Media {
        let log = Log::read(log);
        let (mut videos, mut audios) = (log.videos.into_iter(), log.audios.into_iter());
        let mut media = Media { format: log.format, stated_length: log.length, ..Media::default() };
        for column in self.columns {
            let tick = column.tick.unwrap_or(Ratio { num: 1, den: 1000 });
            if column.is_video {
                let named = videos.next().unwrap_or_default();
                media.video.push(Video {
                    codec: column.codec,
                    profile: named.profile,
                    width: column.size.0,
                    height: column.size.1,
                    pixel_format: named.pixel_format,
                    stated_rates: rates(&column.track, tick, named.rates),
                    stated_frames: None,
                    header: column.header,
                    tick,
                    track: column.track,
                });
            } else {
                media.audio.push(Audio {
                    codec: column.codec,
                    sample_rate: column.sample_rate,
                    channels: audios.next().unwrap_or(0),
                    tick,
                    track: column.track,
                });
            }
        }
        media
    }

    fn column(&mut self, index: &str) -> Option<&mut Column> {
        let index = index.parse::<usize>().ok().filter(|index| *index < 1024)?;
        if self.columns.len() <= index {
            self.columns.resize_with(index + 1, Column::default);
        }
        self.columns.get_mut(index)
    }

    /// `#media_type 0: video`
    fn above(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.strip_prefix('#')?.split_once(": ")?;
        let Some((name, index)) = name.split_once(' ') else { return Some(()) };
        let column = self.column(index)?;
        match name {
            "tb" => column.tick = Ratio::parse(value),
            "media_type" => column.is_video = value == "video",
            "codec_id" => value.clone_into(&mut column.codec),
            "dimensions" => {
                let size = value.split_once('x');
                column.size = size
                    .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
                    .unwrap_or_default();
            }
            "sample_rate" => column.sample_rate = value.parse().unwrap_or(0),
            "extradata" => column.header = Some(value.trim().to_owned()),
            _ => {}
        }
        Some(())
    }

    /// `stream, dts, pts, duration, size, checksum[, F=flags][, …]`
    fn packet(&mut self, line: &str) {
        let mut fields = line.split(',').map(str::trim);
        let Some(column) = fields.next().and_then(|index| self.column(index)) else { return };
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (dts, pts, duration) = (number(), number(), number().unwrap_or(0));
        let size = number().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let flags =
            fields.find_map(|field| u32::from_str_radix(field.strip_prefix("F=0x")?, 16).ok());
        let is_hidden = flags.is_some_and(|flags| flags & DISCARD != 0);
        column.track.add(&Packet { pts, dts, duration, size, is_hidden });
    }
}

/// A line of the log about a video.
#[derive(Debug, Default)]
struct NamedVideo {
    profile: Option<String>,
    pixel_format: String,
    rates: [Option<f64>; 2],
}

/// What the log says of the input.
#[derive(Debug, Default)]
struct Log {
    format: String,
    length: Option<f64>,
    videos: Vec<NamedVideo>,
    /// Their channels.
    audios: Vec<u32>,
}

impl Log {
    fn read(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("Input #0, ") {
                rest.split(", from ").next().unwrap_or_default().clone_into(&mut log.format);
            } else if let Some(rest) = line.strip_prefix("Duration: ") {
                log.length = rest.split(',').next().and_then(clock);
            } else if line.starts_with("Output #0") || line.starts_with("Stream mapping") {
                // What follows is about the copy.
                break;
            } else if line.starts_with("Stream #0") && !line.ends_with("(attached pic)") {
                if let Some((_, video)) = line.split_once(": Video: ") {
                    log.videos.push(named_video(video));
                } else if let Some((_, audio)) = line.split_once(": Audio: ") {
                    log.audios.push(channels(audio));
                }
            }
        }
        log
    }
}

/// `00:01:02.50` in seconds.
fn clock(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

/// `h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709), 64x64 [SAR 1:1 DAR 1:1], 78 kb/s, 29.97 fps, 30 tbr, …`
fn named_video(text: &str) -> NamedVideo {
    let parts = split_outside_of_brackets(text);
    let codec = parts.first().copied().unwrap_or_default();
    let inside = codec.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let profile = inside.map(|(profile, _)| profile).filter(|profile| !profile.contains('/'));
    let pixel_format = parts.get(1).and_then(|part| part.split('(').next()).unwrap_or("unknown");
    let number = |unit| {
        let part = parts.iter().find_map(|part| part.strip_suffix(unit))?;
        part.trim().parse().ok()
    };
    NamedVideo {
        profile: profile.map(str::to_owned),
        pixel_format: pixel_format.trim().to_owned(),
        rates: [number(" tbr"), number(" fps")],
    }
}

/// `aac (LC) (mp4a / 0x6134706D), 48000 Hz, stereo, fltp, 71 kb/s`
fn channels(text: &str) -> u32 {
    let layout = text.split(", ").nth(2).unwrap_or_default();
    let layout = layout.split('(').next().unwrap_or_default().trim();
    match layout {
        "mono" => 1,
        "stereo" | "downmix" => 2,
        "quad" => 4,
        "hexagonal" => 6,
        "octagonal" => 8,
        _ => match layout.split_once(" channels") {
            Some((count, _)) => count.parse().unwrap_or(0),
            // 5.1 has six.
            None => layout.split('.').filter_map(|part| part.parse::<u32>().ok()).sum(),
        },
    }
}

fn split_outside_of_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|character| {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:a, from b.mp4':
  Metadata:
    encoder         : Lavf58.24.100
  Duration: 00:01:00.52, start: 0.000000, bitrate: 169 kb/s
    Stream #0:0(und): Video: h264 (High 4:4:4 Predictive) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), 64x48 [SAR 1:1 DAR 4:3], 78 kb/s, 29.97 fps, 29.97 tbr, 30k tbn, 60k tbc (default)
    Stream #0:1(und): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, 5.1(side), fltp, 71 kb/s (default)
    Stream #0:2: Video: mjpeg, yuvj420p(pc), 10x10, 90k tbr (attached pic)
Stream mapping:
    Stream #0:0(und): Video: mpeg4, rgb24, 1x1, 5 fps";
    const TABLE: &str = "#extradata 0:       37, 0xc9f809f2
#software: Lavf58.24.100
#tb 0: 1/30000
#media_type 0: video
#codec_id 0: h264
#dimensions 0: 64x48
#sar 0: 1/1
#tb 1: 1/48000
#media_type 1: audio
#codec_id 1: aac
#sample_rate 1: 48000
#channel_layout 1: 4
1,      -1024,      -1024,     1024,      182, 0x5c1652e4, F=0x5, S=1,       10, 0x00240004
0,      -1001,          0,     1001,     1925, 0x20caabf8
1,          0,          0,     1024,      195, 0x0fc2698b
0,          0,       1001,     1001,     1053, 0x7345cc74, F=0x0";

    #[test]
    fn table_and_log_make_a_file() {
        let mut reader = FfmpegReader::default();
        TABLE.lines().for_each(|line| reader.line(line));
        let media = reader.finish(LOG);
        let (video, audio) = (&media.video[0], &media.audio[0]);
        assert_eq!(
            (media.format.as_str(), media.stated_length),
            ("mov,mp4,m4a,3gp,3g2,mj2", Some(60.52))
        );
        assert_eq!((video.codec.as_str(), video.pixel_format.as_str()), ("h264", "yuv420p"));
        assert_eq!(video.profile.as_deref(), Some("High 4:4:4 Predictive"));
        assert_eq!((video.width, video.height, video.rate()), (64, 48, Ratio::new(30000, 1001)));
        assert_eq!(video.header.as_deref(), Some("37, 0xc9f809f2"));
        assert_eq!((video.track.packets, video.track.first, video.track.end), (2, Some(0), 2002));
        assert_eq!((audio.channels, audio.sample_rate, audio.track.packets), (6, 48000, 1));
        assert_eq!((audio.track.first, audio.track.bytes), (Some(0), 195));
    }

    #[test]
    fn coarse_clocks_leave_the_rate_to_the_log() {
        let steps = |least, most| Track { steps: Some((least, most)), ..Track::default() };
        let rate =
            |track: &Track, den, named| rates(track, Ratio { num: 1, den }, [named, None])[0];
        assert_eq!(rate(&steps(33, 34), 1000, Some(29.97)), Ratio::new(30000, 1001));
        assert_eq!(rate(&steps(1000, 1000), 24000, Some(23.98)), Ratio::new(24, 1));
        assert_eq!(rate(&Track::default(), 24000, None), None);
    }
}
