//! Makes the video that was planned.

use std::{
    fmt::Write,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    concat_list::ConcatList,
    lines::{Lines, Reader},
    place::Workplace,
    plan::{AudioPlan, PlannedPart, StitchPlan},
    tools::Tools,
};
use crate::{Result, error::SystemError, model::OutputTarget, stitcher::Error, task};

/// So many parts have their sound decoded by one ffmpeg, which has all of them open.
const OPEN_AT_ONCE: usize = 32;
/// What a second of encoded sound may take, in bits.
const AUDIO_BITRATE: &str = "192k";
/// Without the last ffmpeg takes an input that it cannot read for the end of the video, and exits with 0.
const QUIET: [&str; 5] = ["-hide_banner", "-nostdin", "-loglevel", "error", "-xerror"];

/// Hears how many frames were written.
pub(super) type Written<'a> = &'a dyn Fn(u64) -> Result<()>;

/// Joins the parts of `plan` into the partial file of `place`. Lists go to the folder `lists`.
pub(super) async fn join(
    tools: &Tools,
    plan: &StitchPlan,
    place: &Workplace,
    lists: &Path,
    written: Option<Written<'_>>,
) -> Result<()> {
    let needs_folder = plan.kind() != "copy";
    if needs_folder {
        let folder = place.folder.clone();
        task::blocking(move || std::fs::create_dir_all(&folder).map_err(failed("mkdir", &folder)))
            .await?;
    }
    let videos = with_one_clock(tools, plan, place).await?;
    let listed: Vec<i64> = plan.parts.iter().map(|part| part.listed).collect();
    let list = write_list(lists, videos, listed).await?;
    // A name that ffmpeg could take for a protocol or an option is taken for neither.
    let output = file(&place.partial);
    let mut args = QUIET.map(str::to_owned).to_vec();
    if written.is_some() {
        args.extend(["-nostats", "-progress", "pipe:1"].map(str::to_owned));
    }
    if matches!(plan.audio, AudioPlan::Encode { .. }) {
        // The new sound begins with the pictures, which may not be the first in their list: by itself ffmpeg would move
        // each of its inputs to its own beginning.
        let lead = plan.parts.first().map_or(0.0, |part| part.lead);
        args.extend(["-copyts".to_owned(), "-itsoffset".to_owned(), format!("{:.6}", -lead)]);
    }
    args.extend(inputs(&list));
    let AudioPlan::Encode { encoder, .. } = &plan.audio else {
        // By itself ffmpeg takes the best stream of each kind.
        if plan.sample.video.len() > 1 || plan.sample.audio.len() > 1 {
            args.extend(["-map", "0:V?", "-map", "0:a?"].map(str::to_owned));
        }
        args.extend(["-c", "copy", &output, "-y"].map(str::to_owned));
        return run(tools, args, written).await;
    };
    let (sounds, lengths) = decoded(tools, plan, place).await?;
    let sound = write_list(lists, sounds, lengths).await?;
    args.extend(inputs(&sound));
    args.extend(
        ["-map", "0:V?", "-map", "1:a", "-c:v", "copy", "-c:a", encoder].map(str::to_owned),
    );
    if !encoder.starts_with("pcm_") && !["flac", "alac"].contains(&encoder.as_str()) {
        args.extend(["-b:a", AUDIO_BITRATE].map(str::to_owned));
    }
    args.extend([output, "-y".to_owned()]);
    run(tools, args, written).await
}

/// `-f concat -safe 0 -i LIST`
pub(super) fn inputs(list: &ConcatList) -> [String; 6] {
    let list = list.path.to_string_lossy();
    ["-f", "concat", "-safe", "0", "-i", &list].map(str::to_owned)
}

/// Writes a list of absolute `files` into `folder`.
pub(super) async fn write_list(
    folder: &Path,
    files: Vec<PathBuf>,
    microseconds: Vec<i64>,
) -> Result<ConcatList> {
    let folder = folder.to_owned();
    let written = task::blocking(move || ConcatList::write(&folder, &files, &microseconds)).await;
    Ok(written?)
}

async fn run(tools: &Tools, args: Vec<String>, written: Option<Written<'_>>) -> Result<()> {
    let Some(written) = written else { return tools.make(args, OutputTarget::default()).await };
    let (sender, mut frames) = watch::channel(0);
    let sink = Arc::new(Lines::to(Frames(sender)));
    let work = tools.make(args, OutputTarget { sink: Some(sink), keep: false });
    let mut work = std::pin::pin!(work);
    loop {
        let changed = tokio::select! {
            biased;
            done = &mut work => return done,
            changed = frames.changed() => changed,
        };
        if changed.is_err() {
            return work.await;
        }
        let count = *frames.borrow_and_update();
        if let Err(error) = written(count) {
            tools.stop();
            // The listener's error is what counts; the work is over.
            drop(work.await);
            return Err(error);
        }
    }
}

/// Reads what `-progress` writes.
#[derive(Debug)]
struct Frames(watch::Sender<u64>);

impl Reader for Frames {
    fn line(&mut self, line: &str) {
        if let Some(frames) =
            line.strip_prefix("frame=").and_then(|count| count.trim().parse().ok())
        {
            self.0.send_replace(frames);
        }
    }
}

/// The files of the parts; those whose clock is not that of the others are copied into new ones first.
async fn with_one_clock(
    tools: &Tools,
    plan: &StitchPlan,
    place: &Workplace,
) -> Result<Vec<PathBuf>> {
    let scale = plan.timescale.to_string();
    let codec = plan.sample.video.first().map_or("", |video| &video.codec);
    let format = if ["vp9", "av1"].contains(&codec) { "mp4" } else { "mov" };
    let copies = plan.parts.iter().enumerate().map(|(index, part)| {
        let (scale, made) = (&scale, place.folder.join(format!("video-{index}.{format}")));
        async move {
            if !part.is_remuxed {
                return Ok(part.path.clone());
            }
            let mut args = QUIET.map(str::to_owned).to_vec();
            args.extend(["-i".to_owned(), file(&part.path)]);
            args.extend(
                ["-map", "0:V?", "-map", "0:a?", "-c", "copy", "-video_track_timescale", scale]
                    .map(str::to_owned),
            );
            if matches!(plan.audio, AudioPlan::Encode { .. }) {
                args.push("-an".to_owned());
            }
            args.extend(["-f".to_owned(), format.to_owned(), file(&made), "-y".to_owned()]);
            tools.make(args, OutputTarget::default()).await.map(|()| made)
        }
    });
    all(tools, copies).await
}

/// The sound of all parts as plain samples, each cut or filled to the length of its pictures: files, and how long each of
/// them lasts, in microseconds.
async fn decoded(
    tools: &Tools,
    plan: &StitchPlan,
    place: &Workplace,
) -> Result<(Vec<PathBuf>, Vec<i64>)> {
    let AudioPlan::Encode { samples, .. } = &plan.audio else { return Ok(Default::default()) };
    let rate = plan.sample.audio.first().map_or(1, |audio| audio.sample_rate.max(1));
    let groups = plan.parts.chunks(OPEN_AT_ONCE).enumerate().map(|(index, parts)| {
        let made = place.folder.join(format!("audio-{index}.mov"));
        async move {
            let mut args = QUIET.map(str::to_owned).to_vec();
            args.extend(parts.iter().flat_map(|part| ["-i".to_owned(), file(&part.path)]));
            args.extend(["-filter_complex".to_owned(), sound_of(parts, rate)]);
            args.extend(["-map", "[all]", "-c:a", samples, "-f", "mov"].map(str::to_owned));
            args.extend([file(&made), "-y".to_owned()]);
            tools.make(args, OutputTarget::default()).await.map(|()| made)
        }
    });
    let files = all(tools, groups).await?;
    let mut heard = 0;
    let mut ends = Vec::with_capacity(files.len());
    for parts in plan.parts.chunks(OPEN_AT_ONCE) {
        heard += parts.iter().map(|part| part.samples).sum::<u64>();
        ends.push(microseconds(heard, rate));
    }
    let lengths = ends.iter().scan(0, |from, end| Some(end - std::mem::replace(from, *end)));
    Ok((files, lengths.collect()))
}

/// Samples in microseconds, rounded.
fn microseconds(samples: u64, rate: u32) -> i64 {
    let exact = u128::from(samples) * 1_000_000;
    let rounded = (exact + u128::from(rate) / 2) / u128::from(rate);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// The filter graph that puts the sound of some parts one after the other. Each begins where its pictures do, and has
/// the number of samples that was planned.
fn sound_of(parts: &[PlannedPart], rate: u32) -> String {
    let (mut graph, mut names) = (String::new(), String::new());
    for (index, PlannedPart { lead, samples, .. }) in parts.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "rounded, and small")]
        let first = (lead * f64::from(rate)).round() as i64;
        write!(
            graph,
            "[{index}:a:0]aresample=async=1:first_pts={first},apad,atrim=end_sample={samples},asetpts=N/SR/TB[a{index}];"
        )
        .and_then(|()| write!(names, "[a{index}]"))
        .expect("text takes what is written to it");
    }
    format!("{graph}{names}concat=n={}:v=0:a=1[all]", parts.len())
}

/// Runs works, as many at once as there are cores; the first failure ends the others.
pub(super) async fn all<T>(
    tools: &Tools,
    works: impl Iterator<Item = impl Future<Output = Result<T>>>,
) -> Result<Vec<T>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut works = stream::iter(works).buffered(cores);
    let (mut done, mut failed) = (Vec::new(), None);
    while let Some(outcome) = works.next().await {
        match outcome {
            Ok(value) => done.push(value),
            Err(_) if failed.is_some() => {}
            Err(error) => {
                failed = Some(error);
                // What has begun must end before anybody is told; what has not begun fails at once.
                tools.stop();
            }
        }
    }
    failed.map_or(Ok(done), Err)
}

/// A file as ffmpeg is told of it.
fn file(path: &Path) -> String {
    format!("file:{}", path.to_string_lossy())
}

pub(super) fn failed(
    syscall: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |error| Error::System(SystemError::new(error, syscall, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rounded_to_microseconds() {
        assert_eq!(
            [0, 1, 48000, 2_000_000].map(|samples| microseconds(samples, 48000)),
            [0, 21, 1_000_000, 41_666_667]
        );
    }
}
