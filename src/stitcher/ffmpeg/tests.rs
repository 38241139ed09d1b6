//! The stitcher on stand-ins for ffmpeg.

use std::{cell::RefCell, sync::Arc};

use super::*;
use crate::{
    adapters::LocalWorkerAdapter,
    model::{ExitCode, WorkerJob, WorkerResult},
    process::Environment,
};

#[derive(Debug)]
struct Variables(Vec<(&'static str, String)>);

impl EnvironmentSource for Variables {
    fn snapshot(&self) -> Environment {
        Environment(self.0.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// An adapter elsewhere: keeps the jobs it gets, with the text of the list.
#[derive(Debug, Default)]
struct Elsewhere {
    jobs: RefCell<Vec<(WorkerJob, String)>>,
    exit_code: ExitCode,
}

impl WorkerAdapter for Elsewhere {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        let list = std::fs::read_to_string(&job.args[5]).unwrap();
        self.jobs.borrow_mut().push((job, list));
        let result = WorkerResult {
            exit_code: self.exit_code.clone(),
            stderr: "no".into(),
            ..WorkerResult::default()
        };
        async { Ok(result) }.boxed_local()
    }
}

fn job(inputs: &[&str], output: &str) -> StitchJob {
    StitchJob {
        inputs: inputs.iter().map(|input| StitchInput::from((*input).to_owned())).collect(),
        output: output.into(),
        ..StitchJob::default()
    }
}

fn stitcher(
    adapter: Rc<dyn WorkerAdapter>,
    variables: Vec<(&'static str, String)>,
) -> FfmpegStitcher {
    FfmpegStitcher::new(adapter, Rc::new(Variables(variables)), FfmpegStitcherOptions::default())
}

#[tokio::test]
async fn adapter_elsewhere_gets_the_plain_command() {
    let adapter = Rc::new(Elsewhere::default());
    let stitcher = stitcher(Rc::clone(&adapter) as _, vec![(tools::FFMPEG_PATH, "/mine".into())]);
    stitcher.stitch(job(&["/x/1.mp4", "/x/../2.mp4"], "out.mp4")).await.unwrap();
    let jobs = adapter.jobs.borrow();
    let (job, list) = &jobs[0];
    assert_eq!(
        (job.command.as_str(), list.as_str()),
        ("ffmpeg", "file '/x/1.mp4'\nfile '/2.mp4'\n")
    );
    let args: Vec<&str> = job.args.iter().map(String::as_str).collect();
    assert_eq!(args, ["-f", "concat", "-safe", "0", "-i", args[5], "-c", "copy", "out.mp4", "-y"]);
    assert!(!Path::new(args[5]).exists(), "the list is gone afterwards");
}

#[tokio::test]
async fn failures_are_named() {
    let failing = Rc::new(Elsewhere { exit_code: ExitCode::Code(2), ..Elsewhere::default() });
    let message = |result: Result<Option<VideoProof>>| result.unwrap_err().to_string();
    let remote = stitcher(failing, vec![]);
    assert_eq!(
        message(remote.stitch(job(&[], "o")).await),
        "No input files provided for stitching"
    );
    assert_eq!(
        message(remote.stitch(job(&["a"], "o")).await),
        "FFmpeg stitching failed with exit code 2: no"
    );
}

#[tokio::test]
async fn local_output_appears_only_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("1.mp4"), "1").unwrap();
    let script = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        path(name)
    };
    // Writes its output, the last argument but one, in two frames when it is called "long", and fails when it is called
    // "bad".
    let ffmpeg = script(
        "ffmpeg",
        "eval out=\\${$(($#-1))}; out=${out#file:}; printf x > \"$out\"; case $out in *bad*) exit 1;; *long*) printf x >> \"$out\";; esac",
    );
    // Every byte of a file is a frame.
    let ffprobe = script(
        "ffprobe",
        r#"for file; do :; done
        for byte in $(od -An -v -tx1 "${file#file:}"); do
          echo "packet|stream_index=0|pts=${at:=0}|dts=$at|duration=1|size=1|flags=K_"
          at=$((at + 1))
        done
        echo 'stream|index=0|codec_name=raw|codec_type=video|width=1|height=1|r_frame_rate=10/1|time_base=1/10'"#,
    );
    let variables = vec![(tools::FFMPEG_PATH, ffmpeg), (tools::FFPROBE_PATH, ffprobe)];
    let local = LocalWorkerAdapter::new(
        Arc::default(),
        Rc::new(Variables(vec![("PATH", std::env::var("PATH").unwrap())])),
    );
    let stitcher = stitcher(Rc::new(local), variables);
    let stitched = async |input: &str, output: &str| {
        let outcome = stitcher.stitch(job(&[&path(input)], &path(output))).await;
        outcome.map(|proof| proof.unwrap().frames).map_err(|error| error.to_string())
    };
    assert_eq!(stitched("1.mp4", "good.mp4").await, Ok(1));
    assert_eq!(
        stitched("1.mp4", "bad.mp4").await,
        Err("FFmpeg stitching failed with exit code 1: ".to_owned())
    );
    let long = format!("the stitched '{}' is not whole: it has 2 frames, not 1", path("long.mp4"));
    assert_eq!(stitched("1.mp4", "long.mp4").await, Err(long));
    let missing = stitched("2.mp4", "good.mp4").await.unwrap_err();
    assert!(missing.contains(&path("2.mp4")) && missing.contains("ENOENT"), "{missing}");
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["1.mp4", "ffmpeg", "ffprobe", "good.mp4"]);
}
