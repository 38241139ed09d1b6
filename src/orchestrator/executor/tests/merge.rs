//! How the chunks are joined.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::stitcher::{ProvenStream, StitchJob, VideoProof};

const VIA_COMMAND: &str = "All chunks completed. Starting merge step via mergeCommand...";
const VIA_STITCHER: &str =
    "All chunks completed. Starting merge step using dedicated VideoStitcher...";
const FALLBACK: &str =
    "warn: Warning: stitcher provided but outputFile is missing. Falling back to mergeCommand.";
const MERGED: &str = "Merge completed successfully.";
const STITCHED: &str = "Merge completed successfully via VideoStitcher.";
const NONE: &str = "Skipping merge step (no merge mechanism provided).";
const DISABLED: &str = "Skipping merge step (disabled in options).";

/// A stitcher that keeps what it is asked for.
#[derive(Debug, Default)]
struct Keeper {
    jobs: RefCell<Vec<StitchJob>>,
    fails_with: Option<Rc<dyn Foreign>>,
    aborts: CancellationToken,
}

impl VideoStitcher for Keeper {
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<Option<VideoProof>>> {
        self.jobs.borrow_mut().push(job);
        self.aborts.cancel();
        ready(self.fails_with.as_ref().map_or(Ok(None), |value| Err(thrown(value)))).boxed_local()
    }
}

impl Scene {
    fn stitching(mut self, output: Option<&str>) -> (Self, Rc<Keeper>) {
        let keeper: Rc<Keeper> = Rc::default();
        self.options.stitcher = Some(Rc::clone(&keeper) as _);
        self.options.output_file = output.map(str::to_owned);
        (self, keeper)
    }

    /// What is written after the last chunk.
    fn merge_lines(&self) -> Vec<String> {
        let is_merge = |line: &String| !line.starts_with("[Worker");
        self.story().into_iter().filter(is_merge).collect()
    }
}

#[tokio::test]
async fn chunks_are_joined_in_the_way_that_is_there() {
    struct Case {
        stitcher: bool,
        output: Option<&'static str>,
        command: &'static str,
        lines: &'static [&'static str],
    }
    const NO: Option<&str> = None;
    const FILM: Option<&str> = Some("film.mp4");
    for (index, case) in [
        Case { stitcher: false, output: NO, command: "", lines: &[NONE] },
        Case { stitcher: false, output: FILM, command: "", lines: &[NONE] },
        Case { stitcher: true, output: NO, command: "", lines: &[NONE] },
        Case { stitcher: false, output: NO, command: "merge", lines: &[VIA_COMMAND, MERGED] },
        Case { stitcher: false, output: FILM, command: "merge", lines: &[VIA_COMMAND, MERGED] },
        Case {
            stitcher: true,
            output: NO,
            command: "merge",
            lines: &[VIA_COMMAND, FALLBACK, MERGED],
        },
        Case { stitcher: true, output: FILM, command: "", lines: &[VIA_STITCHER, STITCHED] },
        Case { stitcher: true, output: FILM, command: "merge", lines: &[VIA_STITCHER, STITCHED] },
    ]
    .into_iter()
    .enumerate()
    {
        for merge in [true, false] {
            let (mut scene, keeper) = Scene::well().stitching(case.output);
            scene.options.merge = merge;
            if !case.stitcher {
                scene.options.stitcher = None;
            }
            scene.run(&merging(&[1], case.command)).await.unwrap();
            let lines = if merge { case.lines } else { &[DISABLED] };
            assert_eq!(scene.merge_lines(), lines, "case {index}");
            assert_eq!(scene.adapter.started().contains(&"merge".into()), lines.contains(&MERGED));
            assert_eq!(keeper.jobs.borrow().len(), usize::from(lines.contains(&STITCHED)));
        }
    }
}

#[tokio::test]
async fn chunks_are_joined_also_when_there_was_none_to_run() {
    for (spec, done) in [(merging(&[], "merge"), vec![]), (merging(&[1], "merge"), ids(&[1]))] {
        let mut scene = Scene::well();
        scene.options.completed = done;
        scene.run(&spec).await.unwrap();
        assert_eq!(scene.adapter.started(), ["merge"]);
    }
}

#[tokio::test]
async fn merge_command_is_split_and_run_in_the_folder_of_the_job() {
    let mut scene = Scene::well();
    scene.options.kill_grace = Duration::from_millis(7);
    scene.options.job_def_url = Some("s3://job.json".to_owned());
    scene.options.see_outputs = true;
    scene.run(&merging(&[1], "ffmpeg -i 'a b.mp4' out.mp4")).await.unwrap();
    let job = scene.adapter.job(1);
    assert_eq!(
        (job.command.as_str(), job.args),
        ("ffmpeg", ["-i", "a b.mp4", "out.mp4"].map(String::from).to_vec())
    );
    assert_eq!(
        (job.cwd.as_deref(), job.kill_grace),
        (Some("/jobs/1"), Some(Duration::from_millis(7)))
    );
    assert!(
        job.env.is_empty()
            && job.chunk.is_none()
            && job.job_def_url.is_none()
            && job.output_file.is_none()
    );
    scene.options.abort.token.cancel();
    assert!(job.cancel.is_cancelled());
}

#[tokio::test]
async fn merge_adapter_runs_the_merge_command_and_nothing_else() {
    let mut scene = Scene::well();
    let merger = Scripted::new(|_| ready(ok()), true);
    scene.options.merge_adapter = Some(Rc::clone(&merger) as _);
    scene.run(&merging(&[1, 2], "merge")).await.unwrap();
    assert_eq!(
        (scene.adapter.started(), merger.started()),
        (vec!["1".into(), "2".into()], vec!["merge".into()])
    );
}

/// Renders chunks, and nothing else.
#[derive(Debug)]
struct ChunksOnly(Rc<Scripted>);

impl WorkerAdapter for ChunksOnly {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.0.execute(job)
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn merge_command_runs_here_where_the_adapter_renders_chunks_only() {
    let (scene, local) = (Scene::well(), Scripted::new(|_| ready(ok()), true));
    let chunks = Rc::new(ChunksOnly(Rc::clone(&scene.adapter)));
    let executor =
        JobExecutor::new(chunks, Rc::clone(&scene.console) as _).with_local(Rc::clone(&local) as _);
    let job = merging(&[1], "merge");
    executor.execute(Rc::clone(&job), scene.options.clone()).await.unwrap();
    assert_eq!(
        (scene.adapter.started(), local.started()),
        (vec!["1".into()], vec!["merge".into()])
    );

    let merger = Scripted::new(|_| ready(ok()), true);
    let options = JobExecutionOptions {
        merge_adapter: Some(Rc::clone(&merger) as _),
        ..scene.options.clone()
    };
    executor.execute(job, options).await.unwrap();
    assert_eq!((local.started().len(), merger.started()), (1, vec!["merge".into()]));
}

#[tokio::test]
async fn adapter_that_runs_commands_runs_the_merge_too() {
    let (scene, local) = (Scene::well(), Scripted::new(|_| ready(ok()), true));
    let executor = JobExecutor::new(Rc::clone(&scene.adapter) as _, Rc::clone(&scene.console) as _)
        .with_local(Rc::clone(&local) as _);
    executor.execute(merging(&[1], "merge"), scene.options.clone()).await.unwrap();
    assert_eq!((scene.adapter.started().len(), local.started().len()), (2, 0));
}

#[tokio::test]
async fn failing_merge_command_fails_the_job() {
    let mine = value("mine");
    let foreign = Rc::clone(&mine);
    let fails: [(Script, &str, &str); 3] = [
        (
            Box::new(|_| ready(exit(9, "disk full")).boxed_local()),
            "merge",
            "Merge failed with exit code 9: disk full",
        ),
        (Box::new(move |_| ready(Err(thrown(&foreign))).boxed_local()), "merge", "mine"),
        (Box::new(|_| ready(ok()).boxed_local()), "  ", "Command string cannot be empty"),
    ];
    for (script, command, message) in fails {
        let mut scene = Scene::well();
        scene.options.merge_adapter = Some(Scripted::new(script, true));
        let error = scene.error(&merging(&[1], command)).await;
        assert_eq!(
            (error.to_string().as_str(), is_very(&error, &mine)),
            (message, message == "mine")
        );
        let lines = [VIA_COMMAND.to_owned(), format!("error: Merge step failed: {message}")];
        assert_eq!(scene.merge_lines(), lines);
    }
}

#[tokio::test]
async fn stitcher_gets_files_by_id_resolved_against_the_folder() {
    let files =
        [(10.0, "a/10.mp4"), (9.0, "/abs/./9.mp4"), (2.5, "../x/../2.mp4"), (-1.0, "z.mp4")];
    let chunks: Value = files
        .iter()
        .map(|(id, file)| json!({ "id": id, "command": "x", "outputFile": file }))
        .collect();
    let (mut scene, keeper) = Scene::well().stitching(Some("../out//film.mp4"));
    scene.options.kill_grace = Duration::from_millis(7);
    scene.options.completed = vec![ChunkId::new(9.0)];
    scene.run(&spec(&json!({ "chunks": chunks }))).await.unwrap();
    let jobs = keeper.jobs.borrow();
    let inputs: Vec<_> = jobs[0].inputs.iter().map(|input| input.path.as_str()).collect();
    assert_eq!(inputs, ["/jobs/1/z.mp4", "/jobs/2.mp4", "/abs/9.mp4", "/jobs/1/a/10.mp4"]);
    assert_eq!(jobs[0].inputs[1].chunk, Some(ChunkId::new(2.5)));
    assert_eq!(
        (jobs[0].output.as_str(), jobs[0].kill_grace),
        ("/jobs/out/film.mp4", Some(Duration::from_millis(7)))
    );
    scene.options.abort.token.cancel();
    assert!(jobs[0].cancel.is_cancelled());
}

#[tokio::test]
async fn relative_folder_is_one_of_this_process() {
    let (mut scene, keeper) = Scene::well().stitching(Some("film.mp4"));
    scene.options.job_dir = Some("jobs/7".to_owned());
    scene.run(&job(&[1])).await.unwrap();
    let own = std::env::current_dir().unwrap().join("jobs/7");
    let path = |name: &str| own.join(name).to_str().unwrap().to_owned();
    let jobs = keeper.jobs.borrow();
    let inputs: Vec<_> = jobs[0].inputs.iter().map(|input| input.path.clone()).collect();
    assert_eq!((inputs, &jobs[0].output), (vec![path("1.mp4")], &path("film.mp4")));
}

#[tokio::test]
async fn stitcher_needs_the_file_of_every_chunk() {
    let (scene, keeper) = Scene::well().stitching(Some("film.mp4"));
    let chunks =
        json!([{ "id": 1, "command": "x", "outputFile": "1.mp4" }, { "id": 42, "command": "x" }]);
    let error = scene.error(&spec(&json!({ "chunks": chunks }))).await;
    assert!(matches!(error, CrateError::InvalidInput(_)));
    assert_eq!(error.to_string(), "outputFile of chunk 42 must be a string");
    assert_eq!(keeper.jobs.borrow().len(), 0);
}

#[tokio::test]
async fn failing_stitcher_fails_the_job_with_its_very_error() {
    let mut scene = Scene::well();
    let mine = value("mine");
    let keeper = Keeper { fails_with: Some(Rc::clone(&mine)), ..Keeper::default() };
    scene.options.stitcher = Some(Rc::new(keeper));
    scene.options.output_file = Some("film.mp4".to_owned());
    let error = scene.error(&merging(&[1], "never")).await;
    assert!(is_very(&error, &mine));
    assert_eq!(scene.merge_lines(), [VIA_STITCHER, "error: Merge step failed: mine"]);
}

#[tokio::test]
async fn stitcher_that_is_aborted_is_an_abort() {
    let mut scene = Scene::well();
    let keeper = Keeper {
        fails_with: Some(value("ended")),
        aborts: scene.options.abort.token.clone(),
        ..Keeper::default()
    };
    scene.options.stitcher = Some(Rc::new(keeper));
    scene.options.output_file = Some("film.mp4".to_owned());
    assert!(matches!(scene.error(&job(&[1])).await, CrateError::Aborted));
    assert_eq!(scene.merge_lines(), [VIA_STITCHER]);
}

#[tokio::test]
async fn another_frame_rate_than_the_job_says_is_told() {
    let line = |is, wanted| {
        format!(
            "warn: Warning: the video has {is} frames per second, not the {wanted} of the job's metadata."
        )
    };
    for (metadata, is, told) in [
        (json!({ "fps": 10 }), Some(25.0), Some(line("25", "10"))),
        (json!({ "fps": 30 }), Some(30000.0 / 1001.0), Some(line("29.97", "30"))),
        (json!({ "fps": 29.97 }), Some(30000.0 / 1001.0), None),
        (json!({ "fps": 30 }), Some(30.0), None),
        (json!({ "fps": 30 }), None, None),
        (json!({ "fps": "ten" }), Some(30.0), None),
        (json!({ "fps": 0 }), Some(30.0), None),
        (json!(null), Some(30.0), None),
    ] {
        let (mut scene, _) = Scene::well().stitching(Some("film.mp4"));
        scene.options.stitcher = Some(Rc::new(Prover(is)));
        let job = spec(&json!({ "chunks": chunks(&[1]), "metadata": metadata }));
        scene.run(&job).await.unwrap();
        let lines = scene.merge_lines();
        assert_eq!(lines.iter().find(|line| line.starts_with("warn")), told.as_ref(), "{metadata}");
        assert_eq!(lines.last().unwrap(), STITCHED);
    }
}

/// A stitcher that has seen a frame rate.
#[derive(Debug)]
struct Prover(Option<f64>);

impl VideoStitcher for Prover {
    fn stitch(&self, _: StitchJob) -> LocalBoxFuture<'_, Result<Option<VideoProof>>> {
        let video = ProvenStream::Video {
            codec: "h264".into(),
            width: 64,
            height: 48,
            pixel_format: "yuv420p".into(),
            frame_rate: self.0,
        };
        let proof = VideoProof {
            output: "film.mp4".into(),
            frames: 1,
            duration: 1.0,
            streams: vec![video],
            chunks: vec![],
        };
        ready(Ok(Some(proof))).boxed_local()
    }
}
