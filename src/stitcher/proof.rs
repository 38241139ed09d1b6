//! What was seen of a video that is whole.

use crate::model::{ChunkId, Fields, json};

/// A stream of a video.
#[derive(Clone, Debug, PartialEq)]
pub enum ProvenStream {
    /// Pictures.
    Video {
        /// `h264`, `vp9`…
        codec: String,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// `yuv420p`…
        pixel_format: String,
        /// Frames per second, if they follow each other steadily.
        frame_rate: Option<f64>,
    },
    /// Sound.
    Audio {
        /// `aac`, `pcm_s16le`…
        codec: String,
        /// Samples per second.
        sample_rate: u32,
        /// 2 is stereo.
        channels: u32,
    },
}

impl ProvenStream {
    /// The stream as it is kept in records.
    pub fn json(&self) -> String {
        match self {
            Self::Video { codec, width, height, pixel_format, frame_rate } => {
                let mut fields = vec![
                    ("type", json::string("video")),
                    ("codec", json::string(codec)),
                    ("width", width.to_string()),
                    ("height", height.to_string()),
                    ("pixelFormat", json::string(pixel_format)),
                ];
                fields.extend(frame_rate.map(|rate| ("frameRate", json::number(rate))));
                object(&fields)
            }
            Self::Audio { codec, sample_rate, channels } => object(&[
                ("type", json::string("audio")),
                ("codec", json::string(codec)),
                ("sampleRate", sample_rate.to_string()),
                ("channels", channels.to_string()),
            ]),
        }
    }
}

/// A part of a video.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvenChunk {
    /// The chunk it was.
    pub chunk: Option<ChunkId>,
    /// How many frames it has given.
    pub frames: u64,
}

/// That a video is whole: what was counted in its parts and found again in the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoProof {
    /// Its file.
    pub output: String,
    /// How many frames it has.
    pub frames: u64,
    /// How long it lasts, in seconds.
    pub duration: f64,
    /// What is in it.
    pub streams: Vec<ProvenStream>,
    /// What it was made of, in order.
    pub chunks: Vec<ProvenChunk>,
}

impl VideoProof {
    /// Frames per second of its pictures, if they follow each other steadily.
    pub fn frame_rate(&self) -> Option<f64> {
        self.streams.iter().find_map(|stream| match stream {
            ProvenStream::Video { frame_rate, .. } => *frame_rate,
            ProvenStream::Audio { .. } => None,
        })
    }

    /// The proof as it is kept in records.
    pub fn json(&self) -> String {
        let streams: Vec<String> = self.streams.iter().map(ProvenStream::json).collect();
        let chunks: Vec<String> = self.chunks.iter().map(chunk_json).collect();
        object(&[
            ("outputFile", json::string(&self.output)),
            ("frames", self.frames.to_string()),
            ("duration", json::number(self.duration)),
            ("streams", format!("[{}]", streams.join(","))),
            ("chunks", format!("[{}]", chunks.join(","))),
        ])
    }
}

fn chunk_json(chunk: &ProvenChunk) -> String {
    let id = chunk.chunk.map(|id| ("chunkId", json::number(id.get())));
    let fields: Vec<_> = id.into_iter().chain([("frames", chunk.frames.to_string())]).collect();
    object(&fields)
}

fn object(named: &[(&str, String)]) -> String {
    let mut fields = Fields::default();
    for (name, value) in named {
        fields.set(name, value.clone());
    }
    fields.json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_is_written_as_javascript_would() {
        let video = ProvenStream::Video {
            codec: "h264".into(),
            width: 64,
            height: 48,
            pixel_format: "yuv420p".into(),
            frame_rate: Some(30.0),
        };
        let audio = ProvenStream::Audio { codec: "aac".into(), sample_rate: 48000, channels: 2 };
        let proof = VideoProof {
            output: "/x/\"film\".mp4".into(),
            frames: 45,
            duration: 1.5,
            streams: vec![video, audio],
            chunks: vec![
                ProvenChunk { chunk: Some(ChunkId::new(7.0)), frames: 45 },
                ProvenChunk { chunk: None, frames: 0 },
            ],
        };
        assert_eq!(
            proof.json(),
            r#"{"outputFile":"/x/\"film\".mp4","frames":45,"duration":1.5,"streams":[{"type":"video","codec":"h264","width":64,"height":48,"pixelFormat":"yuv420p","frameRate":30},{"type":"audio","codec":"aac","sampleRate":48000,"channels":2}],"chunks":[{"chunkId":7,"frames":45},{"frames":0}]}"#
        );
    }
}
