//! What ffprobe writes about a file.

use super::super::{
    lines::Reader,
    media::{Audio, Media, Packet, Ratio, Track, Video},
};

/// What is asked for. `compact` has a line for each section, so that a film need not be kept to be counted.
pub(super) const ARGUMENTS: [&str; 10] = [
    "-hide_banner",
    "-v",
    "error",
    "-fflags",
    "+discardcorrupt",
    "-show_data_hash",
    "CRC32",
    "-show_entries",
    "packet=stream_index,pts,dts,duration,size,flags:stream=index,codec_type,codec_name,profile,width,height,pix_fmt,\
     r_frame_rate,avg_frame_rate,time_base,nb_frames,sample_rate,channels,extradata_hash:\
     stream_disposition=attached_pic:format=format_name,start_time,duration",
    "-of",
];
/// The form of the answer.
pub(super) const FORM: &str = "compact";

/// Reads what ffprobe writes.
#[derive(Debug, Default)]
pub(super) struct FfprobeReader {
    /// By the index of their stream: packets come before the streams they belong to.
    tracks: Vec<Track>,
    media: Media,
}

/// The fields of a line.
struct Section<'a>(&'a str);

impl<'a> Section<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let named = self.0.split('|').filter_map(|field| field.split_once('='));
        named.filter(|(key, _)| *key == name).map(|(_, value)| value).find(|value| *value != "N/A")
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or("unknown").to_owned()
    }
}

impl Reader for FfprobeReader {
    fn line(&mut self, line: &str) {
        let Some((section, fields)) = line.split_once('|') else { return };
        let fields = Section(fields);
        match section {
            "packet" => self.packet(&fields),
            "stream" => self.stream(&fields),
            "format" => {
                self.media.format = fields.text("format_name");
                self.media.start = fields.number("start_time").unwrap_or(0.0);
                self.media.stated_length = fields.number("duration");
            }
            _ => {}
        }
    }
}

impl FfprobeReader {
    /// What it all comes to.
    pub(super) fn finish(self) -> Media {
        self.media
    }

    fn packet(&mut self, fields: &Section<'_>) {
        let Some(index) = fields.number::<usize>("stream_index").filter(|index| *index < 1024)
        else {
            return;
        };
        if self.tracks.len() <= index {
            self.tracks.resize_with(index + 1, Track::default);
        }
        self.tracks[index].add(&Packet {
            pts: fields.number("pts"),
            dts: fields.number("dts"),
            duration: fields.number("duration").unwrap_or(0),
            size: fields.number("size").unwrap_or(0),
            is_hidden: fields.get("flags").is_some_and(|flags| flags.contains('D')),
        });
    }

    fn stream(&mut self, fields: &Section<'_>) {
        let index: usize = fields.number("index").unwrap_or(usize::MAX);
        let track = self.tracks.get(index).cloned().unwrap_or_default();
        let tick = fields.get("time_base").and_then(Ratio::parse);
        let tick = tick.unwrap_or(Ratio { num: 1, den: 1000 });
        match fields.get("codec_type") {
            Some("video") if fields.get("disposition:attached_pic") != Some("1") => {
                let rate = |name| fields.get(name).and_then(Ratio::parse);
                self.media.video.push(Video {
                    codec: fields.text("codec_name"),
                    profile: fields
                        .get("profile")
                        .filter(|name| *name != "unknown")
                        .map(str::to_owned),
                    width: fields.number("width").unwrap_or(0),
                    height: fields.number("height").unwrap_or(0),
                    pixel_format: fields.text("pix_fmt"),
                    stated_rates: [rate("r_frame_rate"), rate("avg_frame_rate")],
                    stated_frames: fields.number("nb_frames"),
                    header: fields.get("extradata_hash").map(str::to_owned),
                    tick,
                    track,
                });
            }
            Some("audio") => self.media.audio.push(Audio {
                codec: fields.text("codec_name"),
                sample_rate: fields.number("sample_rate").unwrap_or(0),
                channels: fields.number("channels").unwrap_or(0),
                tick,
                track,
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read() {
        let mut reader = FfprobeReader::default();
        for line in "packet|stream_index=1|pts=-1024|dts=-1024|duration=1024|size=9|flags=KD_|side_data|\n\
            packet|stream_index=0|pts=0|dts=N/A|duration=512|size=7|flags=K__\n\
            packet|stream_index=1|pts=0|dts=0|duration=1024|size=9|flags=K__\n\
            packet|stream_index=0|pts=512|dts=512|duration=512|size=7|flags=___\n\n\
            stream|index=0|codec_name=h264|profile=High|codec_type=video|width=64|height=48|pix_fmt=yuv420p|r_frame_rate=30/1|avg_frame_rate=30/1|time_base=1/15360|nb_frames=2|extradata_hash=CRC32:585503e5|disposition:attached_pic=0\n\
            stream|index=1|codec_name=aac|profile=LC|codec_type=audio|sample_rate=48000|channels=1|time_base=1/48000|nb_frames=2\n\
            stream|index=2|codec_name=mjpeg|codec_type=video|disposition:attached_pic=1\n\
            stream|index=3|codec_type=data\n\
            format|format_name=mov,mp4|start_time=0.100000|duration=N/A".lines() {
            reader.line(line);
        }
        let media = reader.finish();
        assert_eq!((media.video.len(), media.audio.len(), media.frames()), (1, 1, 2));
        assert_eq!((media.format.as_str(), media.stated_length), ("mov,mp4", None));
        let (video, audio) = (&media.video[0], &media.audio[0]);
        assert_eq!((video.profile.as_deref(), video.stated_frames), (Some("High"), Some(2)));
        assert_eq!((video.rate(), video.track.end), (Ratio::new(30, 1), 1024));
        assert_eq!((audio.track.packets, audio.channels), (1, 1));
        assert!((media.lead() + 0.1).abs() < 1e-9);
    }
}
