//! What is in a file, as far as joining is concerned.

use std::fmt;

/// A number as a fraction, in its lowest terms: frames per second, or seconds per tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Above the line.
    pub num: u32,
    /// Below the line; never 0.
    pub den: u32,
}

impl Ratio {
    /// `num / den`, unless one of them is 0.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let divisor = gcd(num, den);
        (num > 0 && den > 0).then(|| Self { num: num / divisor, den: den / divisor })
    }

    /// Reads `30000/1001`.
    pub fn parse(text: &str) -> Option<Self> {
        let (num, den) = text.split_once('/')?;
        Self::new(num.parse().ok()?, den.parse().ok()?)
    }

    /// What is meant by a decimal number of frames per second, such as 29.97.
    pub fn from_rate(rate: f64) -> Option<Self> {
        if !(0.01..=1000.0).contains(&rate) {
            return None;
        }
        let near = |is: f64| (is - rate).abs() < 0.006;
        let (whole, broadcast) = (rate.round(), (rate * 1.001).round());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let whole_number = |number: f64| number as u32;
        if whole > 0.0 && near(whole) && (whole - rate).abs() < 1e-4 {
            Self::new(whole_number(whole), 1)
        } else if broadcast > 0.0 && near(broadcast / 1.001) {
            Self::new(whole_number(broadcast * 1000.0), 1001)
        } else {
            Self::new(whole_number((rate * 1000.0).round()), 1000)
        }
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { self.num.fmt(f) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

/// One packet of a stream: a frame of video, or some samples of sound. Times are in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packet {
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    pub(super) duration: i64,
    pub(super) size: u64,
    /// Needed to decode others, but not shown.
    pub(super) is_hidden: bool,
}

/// What the packets of a stream come to. Grows with none of them, so that films of any length can be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Track {
    /// How many packets are shown.
    pub(super) packets: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// When the first is shown.
    pub(super) first: Option<i64>,
    /// When the last one ends.
    pub(super) end: i64,
    /// The shortest and the longest time between the beginnings of two.
    pub(super) steps: Option<(i64, i64)>,
    /// The longest time from the end of one to the next.
    pub(super) longest_gap: i64,
    /// Whether a decoding time is not later than the one before.
    pub(super) goes_back: bool,
    /// When the last one is decoded, and how long it is.
    pub(super) last: Option<(i64, i64)>,
}

impl Track {
    pub(super) fn add(&mut self, packet: &Packet) {
        if let Some(dts) = packet.dts {
            if let Some((last, duration)) = self.last {
                let step = dts - last;
                self.goes_back |= step <= 0;
                let (least, most) = self.steps.unwrap_or((step, step));
                self.steps = Some((least.min(step), most.max(step)));
                self.longest_gap = self.longest_gap.max(step - duration);
            }
            self.last = Some((dts, packet.duration));
        }
        if packet.is_hidden {
            return;
        }
        self.packets += 1;
        self.bytes += packet.size;
        if let Some(time) = packet.pts.or(packet.dts) {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.end = self.end.max(time + packet.duration);
        }
    }

    /// When the first is shown, in seconds.
    pub(super) fn start(&self, tick: Ratio) -> f64 {
        seconds(self.first.unwrap_or(0), tick)
    }

    /// From the beginning of the first to the end of the last, in seconds.
    pub(super) fn length(&self, tick: Ratio) -> f64 {
        seconds(self.first.map_or(0, |first| self.end - first), tick)
    }
}

/// Ticks in seconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn seconds(ticks: i64, tick: Ratio) -> f64 {
    ticks as f64 * f64::from(tick.num) / f64::from(tick.den)
}

/// A stream of pictures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Video {
    pub(super) codec: String,
    pub(super) profile: Option<String>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixel_format: String,
    /// What the file says of its rate, the best first. See [`Video::rate`].
    pub(super) stated_rates: [Option<Ratio>; 2],
    /// How many frames its index has, where there is one.
    pub(super) stated_frames: Option<u64>,
    /// A checksum of what decoders need beforehand.
    pub(super) header: Option<String>,
    /// Seconds per tick.
    pub(super) tick: Ratio,
    pub(super) track: Track,
}

impl Video {
    /// The number of frames per second, if all of them follow each other at it.
    pub(super) fn rate(&self) -> Option<Ratio> {
        let tick = seconds(1, self.tick);
        let mut stated = self.stated_rates.into_iter().flatten();
        stated.find(|rate| {
            let frame = 1.0 / rate.get();
            self.track.steps.is_none_or(|(least, most)| {
                seconds(least, self.tick) > frame * 0.5 - tick
                    && seconds(most, self.tick) < frame * 1.5 + tick
            })
        })
    }

    /// How long it lasts, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn length(&self) -> f64 {
        let shown = self.track.length(self.tick);
        self.rate().map_or(shown, |rate| self.track.packets as f64 / rate.get())
    }
}

/// A stream of sound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Audio {
    pub(super) codec: String,
    pub(super) sample_rate: u32,
    pub(super) channels: u32,
    /// Seconds per tick.
    pub(super) tick: Ratio,
    pub(super) track: Track,
}

impl Audio {
    /// Whether its packets may be cut anywhere, as they hold nothing but samples.
    pub(super) fn is_pcm(&self) -> bool {
        self.codec.starts_with("pcm_")
    }

    /// How long it lasts, in seconds. To the very sample where that can be known.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn length(&self) -> f64 {
        let bits: String =
            self.codec.trim_start_matches("pcm_").chars().filter(char::is_ascii_digit).collect();
        match bits.parse::<u64>() {
            Ok(bits) if self.is_pcm() && bits >= 8 && self.channels > 0 => {
                let samples = self.track.bytes / (bits / 8) / u64::from(self.channels);
                samples as f64 / f64::from(self.sample_rate)
            }
            _ => self.track.length(self.tick),
        }
    }
}

/// A file that was read from end to end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Media {
    /// The names of its container: `mov,mp4,m4a,3gp,3g2,mj2`.
    pub(super) format: String,
    /// The time that its streams count from, in seconds.
    pub(super) start: f64,
    /// How long it lasts by its own account, in seconds.
    pub(super) stated_length: Option<f64>,
    pub(super) video: Vec<Video>,
    pub(super) audio: Vec<Audio>,
}

impl Media {
    /// How many frames of video it has.
    pub(super) fn frames(&self) -> u64 {
        self.video.first().map_or(0, |video| video.track.packets)
    }

    /// How long it lasts: its video, else its sound.
    pub(super) fn length(&self) -> f64 {
        let audio = || self.audio.first().map_or(0.0, Audio::length);
        self.video.first().map_or_else(audio, Video::length)
    }

    /// When its video begins, else its sound, from the time that its streams count from.
    pub(super) fn lead(&self) -> f64 {
        let audio = self.audio.first().map(|audio| audio.track.start(audio.tick));
        let video = self.video.first().map(|video| video.track.start(video.tick));
        video.or(audio).map_or(0.0, |first| first - self.start)
    }

    /// When the last of its streams ends, from the time that they count from.
    pub(super) fn end(&self) -> f64 {
        let video = self.video.iter().map(|video| seconds(video.track.end, video.tick));
        let audio = self.audio.iter().map(|audio| seconds(audio.track.end, audio.tick));
        video.chain(audio).fold(0.0, f64::max) - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_rates_are_those_that_are_meant() {
        let table = [
            (30.0, "30"),
            (29.97, "30000/1001"),
            (23.98, "24000/1001"),
            (23.976, "24000/1001"),
            (59.94, "60000/1001"),
            (12.5, "25/2"),
            (1.0, "1"),
        ];
        for (rate, text) in table {
            assert_eq!(Ratio::from_rate(rate).unwrap().to_string(), text, "{rate}");
        }
        assert_eq!((Ratio::from_rate(0.0), Ratio::parse("0/0")), (None, None));
        assert_eq!(Ratio::parse("60/2"), Ratio::new(30, 1));
    }

    #[test]
    fn track_knows_gaps_and_what_is_not_shown() {
        let packet = |dts, is_hidden| Packet {
            pts: Some(dts),
            dts: Some(dts),
            duration: 10,
            size: 3,
            is_hidden,
        };
        let mut track = Track::default();
        for (dts, is_hidden) in [(-10, true), (0, false), (10, false), (35, false)] {
            track.add(&packet(dts, is_hidden));
        }
        let found = (track.packets, track.bytes, track.first, track.end, track.longest_gap);
        assert_eq!(found, (3, 9, Some(0), 45, 15));
        assert_eq!((track.steps, track.goes_back), (Some((10, 25)), false));
        track.add(&packet(35, false));
        assert!(track.goes_back);
    }
}
