//! What every stitcher that works on this machine must do. Each test takes one that joins files byte by byte, fails on one
//! that begins with `broken`, and on one that begins with `slow` opens the pipe `slow` beside it and goes on for a minute.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use helios_infrastructure::{
    Error,
    stitcher::{StitchJob, VideoStitcher},
};

/// A folder with files in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            fs::write(folder.path(name), content).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn job(&self, inputs: &[&str]) -> StitchJob {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let inputs = inputs.iter().map(|name| path(name).into()).collect();
        StitchJob { inputs, output: path("film.mp4"), ..StitchJob::default() }
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|e| name(e).unwrap()).collect();
        names.sort();
        names
    }

    fn film(&self) -> String {
        fs::read_to_string(self.path("film.mp4")).unwrap()
    }
}

/// The output holds all inputs, one after the other, in the order they are given in.
pub async fn output_holds_all_inputs_in_order(stitcher: &dyn VideoStitcher) {
    let folder = Folder::new(&[("1.mp4", "one,"), ("2.mp4", "two,"), ("10.mp4", "ten,")]);
    stitcher.stitch(folder.job(&["10.mp4", "1.mp4", "2.mp4", "1.mp4"])).await.unwrap();
    assert_eq!(folder.film(), "ten,one,two,one,");
    assert_eq!(folder.names(), ["1.mp4", "10.mp4", "2.mp4", "film.mp4"]);
}

/// Without inputs there is no video.
pub async fn nothing_makes_no_video(stitcher: &dyn VideoStitcher) {
    let folder = Folder::new(&[]);
    let error = stitcher.stitch(folder.job(&[])).await.unwrap_err().to_string();
    assert_eq!(
        (error.as_str(), folder.names().len()),
        ("No input files provided for stitching", 0)
    );
}

/// Files may be called whatever they are called.
pub async fn names_may_be_anything(stitcher: &dyn VideoStitcher) {
    let names = [
        "a b.mp4",
        "it's.mp4",
        "ü.mp4",
        "line\nbreak.mp4",
        "-i.mp4",
        "$(x)\\.mp4",
        "\"#%.mp4",
        "''",
    ];
    for name in names {
        let folder = Folder::new(&[("1.mp4", "one,"), (name, "odd")]);
        stitcher.stitch(folder.job(&["1.mp4", name])).await.unwrap();
        assert_eq!(folder.film(), "one,odd", "{name:?}");
        let out = StitchJob {
            output: folder.path(&format!("out {name}")).to_str().unwrap().to_owned(),
            ..folder.job(&[name])
        };
        let output = out.output.clone();
        stitcher.stitch(out).await.unwrap();
        assert_eq!(fs::read_to_string(output).unwrap(), "odd", "{name:?}");
    }
}

/// An older output is replaced.
pub async fn older_output_is_replaced(stitcher: &dyn VideoStitcher) {
    let folder = Folder::new(&[("1.mp4", "new"), ("film.mp4", "a longer old film")]);
    stitcher.stitch(folder.job(&["1.mp4"])).await.unwrap();
    assert_eq!(folder.film(), "new");
}

/// A failure says why, leaves no output, and nothing else either.
pub async fn failure_leaves_no_output(stitcher: &dyn VideoStitcher) {
    let folder = Folder::new(&[("1.mp4", "one"), ("2.mp4", "broken")]);
    let error = stitcher.stitch(folder.job(&["1.mp4", "2.mp4"])).await.unwrap_err();
    assert!(matches!(error, Error::Stitch(_)), "{error:?}");
    assert_eq!(error.to_string(), "FFmpeg stitching failed with exit code 2: no codec\n");
    assert_eq!(folder.names(), ["1.mp4", "2.mp4"]);
}

/// An input that cannot be joined is named, before anything is written.
pub async fn input_that_is_no_file_is_named(stitcher: &dyn VideoStitcher) {
    let folder = Folder::new(&[("1.mp4", "one"), ("empty.mp4", ""), ("film.mp4", "old")]);
    fs::create_dir(folder.path("folder.mp4")).unwrap();
    for name in ["missing.mp4", "empty.mp4", "folder.mp4"] {
        let error = stitcher.stitch(folder.job(&["1.mp4", name])).await.unwrap_err().to_string();
        assert!(error.contains(folder.path(name).to_str().unwrap()), "{error}");
        assert_eq!(folder.film(), "old");
    }
}

/// A cancelled job ends soon, and leaves nothing.
pub async fn cancelled_job_leaves_nothing(stitcher: &dyn VideoStitcher) {
    let folder = Folder::new(&[("1.mp4", "one")]);
    let job = folder.job(&["1.mp4"]);
    job.cancel.cancel();
    assert_eq!(stitcher.stitch(job).await.unwrap_err().to_string(), "Job was aborted");
    assert_eq!(folder.names(), ["1.mp4"]);
}

/// A job that is cancelled while it works ends soon, with all its processes, and leaves nothing.
pub async fn job_cancelled_at_work_leaves_nothing(
    stitcher: &dyn VideoStitcher,
    make_pipe: impl AsyncFn(&Path),
) {
    let folder = Folder::new(&[("1.mp4", "one"), ("2.mp4", "slow")]);
    make_pipe(&folder.path("slow")).await;
    let job = StitchJob {
        kill_grace: Some(Duration::from_millis(100)),
        ..folder.job(&["1.mp4", "2.mp4"])
    };
    let (cancel, pipe) = (job.cancel.clone(), folder.path("slow"));
    let opened = tokio::task::spawn_blocking(move || fs::File::open(pipe).unwrap());
    let started = Instant::now();
    let cancelled = async {
        let mut pipe = opened.await.unwrap();
        cancel.cancel();
        tokio::task::spawn_blocking(move || pipe.read(&mut [0]).unwrap()).await.unwrap()
    };
    let (stitched, end) = tokio::join!(stitcher.stitch(job), cancelled);
    assert_eq!((stitched.unwrap_err().to_string().as_str(), end), ("Job was aborted", 0));
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(folder.names(), ["1.mp4", "2.mp4", "slow"]);
}
