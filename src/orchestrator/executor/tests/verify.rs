//! Whose files are looked at, and by whom.

use super::*;
use crate::{
    model::{FileSeen, JobPhase},
    stitcher::{Error as StitchError, Flaw, Inspection, ProvenChunk, StitchJob, VideoProof},
};

/// An adapter on this machine, whose commands write files of a size.
#[derive(Debug)]
struct Here(Option<u64>);

impl WorkerAdapter for Here {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Answer> {
        let seen = |size| FileSeen { size, modified_ms: 0.0 };
        let output = job.output_file.and(self.0).map(seen);
        ready(Ok(WorkerResult { output, ..WorkerResult::default() })).boxed_local()
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// A stitcher that can look into files, or cannot.
#[derive(Debug, Default)]
struct Looker {
    inspects: bool,
    asked: RefCell<Vec<Inspection>>,
    bad: Cell<bool>,
}

impl VideoStitcher for Looker {
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<Option<VideoProof>>> {
        job.verifying.tell();
        let chunks = vec![ProvenChunk { chunk: None, frames: 1 }];
        let (output, streams) = ("/film.mp4".to_owned(), Vec::new());
        let proof = VideoProof { output, frames: 1, duration: 1.0, streams, chunks };
        ready(Ok(Some(proof))).boxed_local()
    }

    fn inspects(&self) -> bool {
        self.inspects
    }

    fn inspect(&self, inspection: Inspection) -> LocalBoxFuture<'_, Result<()>> {
        let path = inspection.input.path.clone();
        self.asked.borrow_mut().push(inspection);
        let bad = || Err(StitchError::BadFile { path, flaw: Flaw::Missing }.into());
        ready(if self.bad.get() { bad() } else { Ok(()) }).boxed_local()
    }
}

fn looker(inspects: bool) -> Rc<Looker> {
    Rc::new(Looker { inspects, ..Looker::default() })
}

fn framed() -> Rc<JobSpec> {
    spec(
        &json!({ "chunks": [{ "id": 1, "command": "x", "outputFile": "1.mp4", "frameCount": 30 }] }),
    )
}

async fn run(options: &JobExecutionOptions, size: Option<u64>) -> Result<(), String> {
    let console = Rc::new(Recorder::default());
    let executor = JobExecutor::new(Rc::new(Here(size)), console);
    executor.execute(framed(), options.clone()).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn files_are_looked_into_where_they_will_be_joined_or_it_is_asked_for() {
    let table = [
        // wanted, the stitcher can, merge, output, who is asked: the stitcher, the inspector
        (VerifyChunks::Auto, true, true, true, (1, 0)),
        (VerifyChunks::Auto, false, true, true, (0, 0)),
        (VerifyChunks::Auto, true, false, true, (0, 0)),
        (VerifyChunks::Auto, true, true, false, (0, 0)),
        (VerifyChunks::Always, true, false, false, (1, 0)),
        (VerifyChunks::Always, false, true, true, (0, 1)),
        (VerifyChunks::Never, true, true, true, (0, 0)),
    ];
    for (wanted, able, merge, output, asked) in table {
        let (stitcher, inspector) = (looker(able), looker(true));
        let options = JobExecutionOptions {
            job_dir: Some("/jobs/1".to_owned()),
            verify_chunks: wanted,
            merge,
            stitcher: Some(Rc::clone(&stitcher) as _),
            inspector: Some(Rc::clone(&inspector) as _),
            output_file: output.then(|| "film.mp4".to_owned()),
            ..JobExecutionOptions::default()
        };
        run(&options, Some(1)).await.unwrap();
        let counts = (stitcher.asked.borrow().len(), inspector.asked.borrow().len());
        assert_eq!(counts, asked, "{wanted:?} {able} {merge} {output}");
        if asked.0 == 1 {
            let input = stitcher.asked.borrow()[0].input.clone();
            assert_eq!((input.path.as_str(), input.frames), ("/jobs/1/1.mp4", Some(30)));
        }
    }
}

#[tokio::test]
async fn bad_file_is_a_failed_chunk() {
    let stitcher = looker(true);
    stitcher.bad.set(true);
    let options = JobExecutionOptions {
        job_dir: Some("/jobs/1".to_owned()),
        stitcher: Some(stitcher),
        output_file: Some("film.mp4".to_owned()),
        ..JobExecutionOptions::default()
    };
    let text = "Chunk 1 failed after 1 attempts: the command succeeded, but the file '/jobs/1/1.mp4' is not good: it does not exist";
    assert_eq!(run(&options, Some(1)).await.unwrap_err(), text);
}

#[tokio::test]
async fn empty_file_is_a_failed_chunk_and_none_is_not() {
    let with = |verify_chunks| JobExecutionOptions {
        job_dir: Some("/jobs/1".to_owned()),
        verify_chunks,
        ..JobExecutionOptions::default()
    };
    let empty = run(&with(VerifyChunks::Auto), Some(0)).await.unwrap_err();
    assert!(empty.ends_with("the file '/jobs/1/1.mp4' is not good: it is empty"), "{empty}");
    assert_eq!(run(&with(VerifyChunks::Auto), None).await, Ok(()));
    assert_eq!(run(&with(VerifyChunks::Never), Some(0)).await, Ok(()));
}

/// Keeps what it hears of the merge.
#[derive(Debug, Default)]
struct Listener(RefCell<Vec<String>>);

impl JobObserver for Listener {
    fn progress(&self, _done: usize, _total: usize) -> LocalBoxFuture<'_, bool> {
        ready(true).boxed_local()
    }

    fn chunk_complete<'a>(
        &'a self,
        _id: ChunkId,
        _result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        ready(true).boxed_local()
    }

    fn phase(&self, phase: JobPhase) {
        self.0.borrow_mut().push(phase.as_str().to_owned());
    }

    fn proven(&self, proof: &VideoProof) {
        self.0.borrow_mut().push(format!("proven {}", proof.frames));
    }

    fn output(&self, _id: ChunkId, _stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        None
    }

    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

#[tokio::test]
async fn phases_of_the_merge_and_its_proof_are_heard_of() {
    let listener: Rc<Listener> = Rc::default();
    let options = JobExecutionOptions {
        job_dir: Some("/jobs/1".to_owned()),
        observer: Some(Rc::clone(&listener) as _),
        stitcher: Some(looker(true)),
        output_file: Some("film.mp4".to_owned()),
        ..JobExecutionOptions::default()
    };
    run(&options, Some(1)).await.unwrap();
    assert_eq!(*listener.0.borrow(), ["merging", "verifying", "proven 1"]);
}
