//! Looks into files.

mod ffmpeg;
mod ffprobe;

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::SystemTime,
};

use self::{ffmpeg::FfmpegReader, ffprobe::FfprobeReader};
use super::{
    lines::{Lines, Reader},
    media::{Media, seconds},
    tools::Tools,
};
use crate::{
    Result,
    error::SystemError,
    model::{OutputTarget, WorkerResult},
    stitcher::Flaw,
};

/// So many files are remembered; chunks that were looked into for a job that never came to its merge are among them.
const MOST_KNOWN: usize = 4096;
/// What a file may lack at its end by rounding, in seconds.
const ROUNDING: f64 = 0.05;

/// A file as it was when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Whether there is a file with something in it that can be read, and which it is.
    pub(super) fn of(path: &Path) -> Result<Self, Flaw> {
        let failed = |syscall| move |error| Flaw::System(SystemError::new(error, syscall, path));
        let metadata = std::fs::metadata(path).map_err(failed("stat"))?;
        if !metadata.is_file() {
            return Err(Flaw::NotAFile);
        }
        if metadata.len() == 0 {
            return Err(Flaw::Empty);
        }
        std::fs::File::open(path).map(drop).map_err(failed("open"))?;
        Ok(Self { size: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// What is known of files that have not changed since.
#[derive(Debug, Default)]
pub(super) struct Known(RefCell<HashMap<PathBuf, (Stamp, Rc<Media>)>>);

impl Known {
    pub(super) fn get(&self, path: &Path, stamp: Stamp) -> Option<Rc<Media>> {
        let known = self.0.borrow();
        let (seen, media) = known.get(path)?;
        (*seen == stamp).then(|| Rc::clone(media))
    }

    pub(super) fn remember(&self, path: PathBuf, stamp: Stamp, media: &Rc<Media>) {
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(path, (stamp, Rc::clone(media)));
    }

    pub(super) fn forget<'a>(&self, paths: impl IntoIterator<Item = &'a PathBuf>) {
        let mut known = self.0.borrow_mut();
        for path in paths {
            known.remove(path);
        }
    }
}

/// Reads a file from end to end: with ffprobe, or with ffmpeg where there is no ffprobe. Frames are counted by their
/// packets, which takes no decoding.
///
/// # Errors
/// What the programs cannot be run for; the inner one says what is wrong with the file.
pub(super) async fn probe(tools: &Tools, path: &Path) -> Result<Result<Media, Flaw>> {
    let file = format!("file:{}", path.to_string_lossy());
    let media = match with_ffprobe(tools, &file).await? {
        Some(media) => media,
        // Also where ffprobe has crashed: some builds do on some containers.
        None => with_ffmpeg(tools, &file).await?,
    };
    Ok(media.and_then(|media| look(&media).map_or(Ok(media), Err)))
}

async fn with_ffprobe(tools: &Tools, file: &str) -> Result<Option<Result<Media, Flaw>>> {
    let mut args = ffprobe::ARGUMENTS.map(str::to_owned).to_vec();
    args.extend([ffprobe::FORM, "-i", file].map(str::to_owned));
    let (lines, target) = lines::<FfprobeReader>();
    let result = tools.ffprobe(&args, &target).await?;
    let Some(result) = result.filter(|result| result.signal.is_none()) else { return Ok(None) };
    Ok(Some(judged(lines.end().finish(), &result)))
}

async fn with_ffmpeg(tools: &Tools, file: &str) -> Result<Result<Media, Flaw>> {
    let mut args = ffmpeg::BEFORE.map(str::to_owned).to_vec();
    args.push(file.to_owned());
    args.extend(ffmpeg::AFTER.map(str::to_owned));
    let (lines, target) = lines::<FfmpegReader>();
    let result = tools.ffmpeg(args, target).await?;
    Ok(judged(lines.end().finish(result.stderr.as_str()), &result))
}

fn lines<R: Reader + Default + 'static>() -> (Arc<Lines<R>>, OutputTarget) {
    let lines = Arc::new(Lines::<R>::default());
    let target = OutputTarget { sink: Some(Arc::clone(&lines) as _), keep: false };
    (lines, target)
}

fn judged(media: Media, result: &WorkerResult) -> Result<Media, Flaw> {
    if result.exit_code.is_success() {
        return Ok(media);
    }
    let said = last_words(result.stderr.as_str());
    Err(match media.frames() {
        0 => Flaw::Unreadable(said),
        frames => Flaw::CutShort(format!("{frames} frames, then: {said}")),
    })
}

/// What of a log tells why it ended: the last line that is not about the program itself.
fn last_words(log: &str) -> String {
    let lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    // `[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5581e3c0] moov atom not found`
    let said: Vec<&str> = lines
        .map(|line| match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((who, what)) if who.contains(" @ ") => what,
            _ => line,
        })
        .collect();
    let from = said.len().saturating_sub(2);
    if said.is_empty() { "no reason given".to_owned() } else { said[from..].join("; ") }
}

/// What is wrong with a file by itself.
fn look(media: &Media) -> Option<Flaw> {
    let Some(video) = media.video.first() else {
        let audio = media.audio.first();
        return audio.is_none_or(|audio| audio.track.packets == 0).then_some(Flaw::NoStreams);
    };
    let (frames, shown) = (video.track.packets, video.track.length(video.tick));
    if let Some(stated) = video.stated_frames.filter(|stated| *stated != frames && *stated > 0) {
        return Some(Flaw::CutShort(format!("{frames} of {stated} frames")));
    }
    if frames == 0 {
        return Some(Flaw::NoStreams);
    }
    if video.track.goes_back {
        return Some(Flaw::GoesBack("its video"));
    }
    // The index of these is at their end or in their clusters, so that what is there can be played without the rest.
    if let Some(stated) = media.stated_length.filter(|_| media.format.contains("matroska")) {
        let missing = stated - media.end();
        let frame = video.rate().map_or(0.0, |rate| 1.0 / rate.get());
        if missing > frame.max(ROUNDING) {
            return Some(Flaw::CutShort(format!("{:.3} of {stated:.3} s", media.end())));
        }
    }
    let (length, tick) = (video.length(), seconds(1, video.tick));
    let frame = length / frames_as_number(frames);
    if (shown - length).abs() > frame + tick {
        return Some(Flaw::Duration { stream: "its video", is: shown, expected: length });
    }
    None
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn frames_as_number(frames: u64) -> f64 {
    frames as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_without_addresses() {
        let log = "Input #0\n[mov,mp4 @ 0x55] moov atom not found\nfile:a: Invalid data\n\n";
        assert_eq!(last_words(log), "moov atom not found; file:a: Invalid data");
        assert_eq!(last_words("  \n"), "no reason given");
    }

    #[test]
    fn changed_files_are_not_known() {
        let (known, path) = (Known::default(), PathBuf::from("/a"));
        let stamp = Stamp { size: 1, modified: None };
        known.remember(path.clone(), stamp, &Rc::default());
        assert!(known.get(&path, stamp).is_some());
        assert!(known.get(&path, Stamp { size: 2, ..stamp }).is_none());
        known.forget([&path]);
        assert!(known.get(&path, stamp).is_none());
    }
}
