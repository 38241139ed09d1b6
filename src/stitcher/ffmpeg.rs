//! Joins chunks with ffmpeg's concat demuxer, copying their streams.

use std::{
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{Error, StitchJob, VideoStitcher, concat_list::ConcatList};
use crate::{
    Result,
    adapters::{EnvironmentSource, WorkerAdapter},
    error::SystemError,
    model::WorkerJob,
    path, task,
};

/// The program, unless the options or the environment name another.
const FFMPEG: &str = "ffmpeg";
/// The variable that names the program.
const FFMPEG_PATH: &str = "FFMPEG_PATH";

/// Settings of an [`FfmpegStitcher`].
#[derive(Clone, Debug, Default)]
pub struct FfmpegStitcherOptions {
    /// The ffmpeg to use. Default: what the variable `FFMPEG_PATH` names, else `ffmpeg` on the `PATH`.
    pub ffmpeg_path: Option<String>,
}

/// Runs [ffmpeg](https://ffmpeg.org) through a worker adapter.
///
/// With the local adapter the inputs are looked at first, and the output is written beside its target and renamed, so
/// that a failure leaves no output. With any other adapter the files may be elsewhere: there exit code and standard
/// error decide.
#[derive(Clone, Debug)]
pub struct FfmpegStitcher {
    adapter: Rc<dyn WorkerAdapter>,
    environment: Rc<dyn EnvironmentSource>,
    options: FfmpegStitcherOptions,
}

impl FfmpegStitcher {
    /// A stitcher that runs ffmpeg through `adapter`.
    pub fn new(
        adapter: Rc<dyn WorkerAdapter>,
        environment: Rc<dyn EnvironmentSource>,
        options: FfmpegStitcherOptions,
    ) -> Self {
        Self { adapter, environment, options }
    }

    async fn run(&self, job: StitchJob) -> Result<()> {
        if job.inputs.is_empty() {
            return Err(Error::NoInputs.into());
        }
        let local = self.adapter.is_local();
        let inputs = job.inputs.clone();
        let folder = self.temporary_folder();
        let list = task::blocking(move || prepare(&folder, &inputs, local)).await?;
        if !local {
            return self.concat(&list, job.output.clone(), &job, Vec::new()).await;
        }
        let target = path::resolve(job.output.as_ref());
        let partial = partial_path(&target);
        // Without -xerror ffmpeg takes an input that it cannot read for the end of the video, and exits with 0.
        let quiet = ["-hide_banner", "-nostdin", "-loglevel", "error", "-xerror"]
            .map(str::to_owned)
            .to_vec();
        // A name that ffmpeg could take for a protocol or an option is taken for neither.
        let output = format!("file:{}", partial.to_string_lossy());
        let joined = self.concat(&list, output, &job, quiet).await;
        let succeeded = joined.is_ok();
        let finished = task::blocking(move || finish(succeeded, &partial, &target)).await;
        joined.and(finished.map_err(Into::into))
    }

    async fn concat(
        &self,
        list: &ConcatList,
        output: String,
        stitch: &StitchJob,
        mut args: Vec<String>,
    ) -> Result<()> {
        let list = list.path.to_string_lossy().into_owned();
        args.extend(
            ["-f", "concat", "-safe", "0", "-i", &list, "-c", "copy", &output, "-y"]
                .map(str::to_owned),
        );
        let job = WorkerJob {
            command: self.program(),
            args,
            cancel: stitch.cancel.clone(),
            kill_grace: stitch.kill_grace,
            observed: true,
            ..WorkerJob::default()
        };
        let result = self.adapter.execute(job).await?;
        if result.exit_code.is_success() {
            return Ok(());
        }
        let (code, stderr) = (result.exit_code.to_string(), result.stderr.as_str().to_owned());
        Err(Error::Ffmpeg { code, stderr }.into())
    }

    /// The folder for temporary files, as Node's `os.tmpdir()` finds it.
    fn temporary_folder(&self) -> PathBuf {
        let environment = self.environment.snapshot();
        let named = ["TMPDIR", "TMP", "TEMP"].into_iter().find_map(|name| environment.get(name));
        named.map_or_else(std::env::temp_dir, PathBuf::from)
    }

    fn program(&self) -> String {
        let from_environment = || {
            let environment = self.environment.snapshot();
            Some(environment.get(FFMPEG_PATH)?.to_string_lossy().into_owned())
                .filter(|path| !path.is_empty())
        };
        let named = self.options.ffmpeg_path.clone();
        // The variable speaks of this machine.
        named
            .or_else(|| self.adapter.is_local().then(from_environment)?)
            .unwrap_or_else(|| FFMPEG.to_owned())
    }
}

impl VideoStitcher for FfmpegStitcher {
    fn stitch(&self, job: StitchJob) -> LocalBoxFuture<'_, Result<()>> {
        self.run(job).boxed_local()
    }
}

fn prepare(folder: &Path, inputs: &[String], look: bool) -> Result<ConcatList, Error> {
    let inputs: Vec<PathBuf> = inputs.iter().map(|input| path::resolve(input.as_ref())).collect();
    if look {
        inputs.iter().try_for_each(|input| check(input))?;
    }
    ConcatList::write(folder, &inputs)
}

/// Whether there is a file with something in it that can be read.
fn check(input: &Path) -> Result<(), Error> {
    let bad =
        |reason: String| Error::BadInput { path: input.to_string_lossy().into_owned(), reason };
    let system = |error, syscall| bad(SystemError::new(error, syscall, input).to_string());
    let metadata = std::fs::metadata(input).map_err(|error| system(error, "stat"))?;
    if !metadata.is_file() {
        return Err(bad("it is not a file".to_owned()));
    }
    if metadata.len() == 0 {
        return Err(bad("it is empty".to_owned()));
    }
    std::fs::File::open(input).map(drop).map_err(|error| system(error, "open"))
}

/// Moves a finished output to its place, or removes what a failure left.
fn finish(succeeded: bool, partial: &Path, target: &Path) -> Result<(), Error> {
    if !succeeded {
        return match std::fs::remove_file(partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(error, "unlink", partial))
            }
            _ => Ok(()),
        };
    }
    // ffmpeg 4.1 exits with 0 on some disks that are full.
    check(partial)?;
    std::fs::rename(partial, target).map_err(|error| failed(error, "rename", target))
}

fn failed(error: io::Error, syscall: &'static str, path: &Path) -> Error {
    Error::System(SystemError::new(error, syscall, path))
}

/// A hidden file beside `target`, with its extension: ffmpeg chooses the format by it.
fn partial_path(target: &Path) -> PathBuf {
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!(".{stem}.partial");
    if let Some(extension) = target.extension() {
        name.push('.');
        name.push_str(&extension.to_string_lossy());
    }
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, sync::Arc};

    use super::*;
    use crate::{
        adapters::LocalWorkerAdapter,
        model::{ExitCode, WorkerResult},
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
            inputs: inputs.iter().map(ToString::to_string).collect(),
            output: output.into(),
            ..StitchJob::default()
        }
    }

    fn stitcher(
        adapter: Rc<dyn WorkerAdapter>,
        variables: Vec<(&'static str, String)>,
    ) -> FfmpegStitcher {
        FfmpegStitcher::new(
            adapter,
            Rc::new(Variables(variables)),
            FfmpegStitcherOptions::default(),
        )
    }

    #[tokio::test]
    async fn adapter_elsewhere_gets_the_plain_command() {
        let adapter = Rc::new(Elsewhere::default());
        let stitcher = stitcher(Rc::clone(&adapter) as _, vec![(FFMPEG_PATH, "/mine".into())]);
        stitcher.stitch(job(&["/x/1.mp4", "/x/../2.mp4"], "out.mp4")).await.unwrap();
        let jobs = adapter.jobs.borrow();
        let (job, list) = &jobs[0];
        assert_eq!(
            (job.command.as_str(), list.as_str()),
            ("ffmpeg", "file '/x/1.mp4'\nfile '/2.mp4'\n")
        );
        let args: Vec<&str> = job.args.iter().map(String::as_str).collect();
        assert_eq!(
            args,
            ["-f", "concat", "-safe", "0", "-i", args[5], "-c", "copy", "out.mp4", "-y"]
        );
        assert!(!Path::new(args[5]).exists(), "the list is gone afterwards");
    }

    #[tokio::test]
    async fn failures_are_named() {
        let failing = Rc::new(Elsewhere { exit_code: ExitCode::Code(2), ..Elsewhere::default() });
        let message = |result: Result<()>| result.unwrap_err().to_string();
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
        // A stand-in for ffmpeg: writes its output, the last argument but one, and fails when it is called "bad".
        let program = path("ffmpeg");
        std::fs::write(&program, "eval out=\\${$(($#-1))}; out=${out#file:}; echo x > \"$out\"; case $out in *bad*) exit 1;; esac").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let variables = vec![(FFMPEG_PATH, program)];
        let local = LocalWorkerAdapter::new(Arc::default(), Rc::new(Variables(vec![])));
        let stitcher = stitcher(Rc::new(local), variables);
        stitcher.stitch(job(&[&path("1.mp4")], &path("good.mp4"))).await.unwrap();
        assert!(stitcher.stitch(job(&[&path("1.mp4")], &path("bad.mp4"))).await.is_err());
        let missing = stitcher
            .stitch(job(&[&path("2.mp4")], &path("good.mp4")))
            .await
            .unwrap_err()
            .to_string();
        assert!(missing.contains(&path("2.mp4")) && missing.contains("ENOENT"), "{missing}");
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["1.mp4", "ffmpeg", "good.mp4"]);
    }
}
