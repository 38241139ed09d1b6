//! The programs, and how they are run.

use std::{path::Path, rc::Rc};

use tokio_util::sync::CancellationToken;

use super::FfmpegStitcherOptions;
use crate::{
    Error as CrateError, Result,
    adapters::WorkerAdapter,
    model::{OutputTarget, WorkerJob, WorkerResult},
    process::{self, Environment, MAX_LOG},
    stitcher::Error,
};

/// The variable that names ffmpeg.
pub(super) const FFMPEG_PATH: &str = "FFMPEG_PATH";
/// The variable that names ffprobe.
pub(super) const FFPROBE_PATH: &str = "FFPROBE_PATH";

/// ffmpeg and ffprobe, and who runs them.
#[derive(Debug)]
pub(super) struct Tools {
    adapter: Rc<dyn WorkerAdapter>,
    pub(super) ffmpeg: String,
    probes: Probes,
    cancel: CancellationToken,
    kill_grace: Option<std::time::Duration>,
}

/// Where ffprobe may be.
#[derive(Debug, PartialEq, Eq)]
enum Probes {
    /// It was named, and has to be there.
    Named(String),
    /// The first of these that is there; where none is, ffmpeg has to do.
    Among(Vec<String>),
}

impl Tools {
    /// Finds the programs. What the environment names is on this machine, and of no use to other adapters.
    pub(super) fn new(
        adapter: &Rc<dyn WorkerAdapter>,
        options: &FfmpegStitcherOptions,
        environment: &Environment,
        cancel: CancellationToken,
        kill_grace: Option<std::time::Duration>,
    ) -> Self {
        let variable = |name| {
            let value = environment.get(name).filter(|_| adapter.is_local())?;
            Some(value.to_string_lossy().into_owned()).filter(|path| !path.is_empty())
        };
        let ffmpeg = options.ffmpeg_path.clone().or_else(|| variable(FFMPEG_PATH));
        let ffmpeg = ffmpeg.unwrap_or_else(|| "ffmpeg".to_owned());
        let probes = match options.ffprobe_path.clone().or_else(|| variable(FFPROBE_PATH)) {
            Some(named) => Probes::Named(named),
            None => {
                Probes::Among(beside(&ffmpeg).into_iter().chain(["ffprobe".to_owned()]).collect())
            }
        };
        Self { adapter: Rc::clone(adapter), ffmpeg, probes, cancel, kill_grace }
    }

    /// Ends what is running; nothing starts any more.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
    }

    /// Whether nothing may start any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Runs ffmpeg to its end, whatever that is.
    pub(super) async fn ffmpeg(
        &self,
        args: Vec<String>,
        stdout: OutputTarget,
    ) -> Result<WorkerResult> {
        self.run(&self.ffmpeg, args, stdout).await
    }

    /// Runs ffmpeg, which must succeed.
    pub(super) async fn make(&self, args: Vec<String>, stdout: OutputTarget) -> Result<()> {
        let result = self.ffmpeg(args, stdout).await?;
        if result.exit_code.is_success() {
            return Ok(());
        }
        let (code, stderr) = (result.exit_code.to_string(), result.stderr.as_str().to_owned());
        Err(Error::Ffmpeg { code, stderr }.into())
    }

    /// Runs ffprobe; `None` where there is none.
    pub(super) async fn ffprobe(
        &self,
        args: &[String],
        stdout: &OutputTarget,
    ) -> Result<Option<WorkerResult>> {
        let candidates = match &self.probes {
            Probes::Named(named) => {
                return self.run(named, args.to_vec(), stdout.clone()).await.map(Some);
            }
            Probes::Among(candidates) => candidates,
        };
        for program in candidates {
            match self.run(program, args.to_vec(), stdout.clone()).await {
                Err(error) if cannot_start(&error) => {}
                outcome => return outcome.map(Some),
            }
        }
        Ok(None)
    }

    async fn run(
        &self,
        program: &str,
        args: Vec<String>,
        stdout: OutputTarget,
    ) -> Result<WorkerResult> {
        let job = WorkerJob {
            command: program.to_owned(),
            args,
            cancel: self.cancel.clone(),
            kill_grace: self.kill_grace,
            max_output: Some(MAX_LOG),
            stdout,
            observed: true,
            ..WorkerJob::default()
        };
        self.adapter.execute(job).await
    }
}

fn cannot_start(error: &CrateError) -> bool {
    matches!(error, CrateError::Process(failure) if matches!(failure.error, process::Error::Spawn { .. }))
}

/// The ffprobe that came with an ffmpeg, if that is a path.
fn beside(ffmpeg: &str) -> Option<String> {
    let path = Path::new(ffmpeg);
    path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let name = path.file_name()?.to_str()?;
    let name = if name.contains("ffmpeg") {
        name.replace("ffmpeg", "ffprobe")
    } else {
        "ffprobe".to_owned()
    };
    Some(path.with_file_name(name).to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::LocalWorkerAdapter;

    #[derive(Debug)]
    struct Nothing;

    impl crate::adapters::EnvironmentSource for Nothing {
        fn snapshot(&self) -> Environment {
            Environment::default()
        }
    }

    #[test]
    fn ffprobe_is_looked_for_where_ffmpeg_is() {
        let local: Rc<dyn WorkerAdapter> =
            Rc::new(LocalWorkerAdapter::new(std::sync::Arc::default(), Rc::new(Nothing)));
        let probes = |ffmpeg: Option<&str>, ffprobe: Option<&str>, variables: &[(&str, &str)]| {
            let options = FfmpegStitcherOptions {
                ffmpeg_path: ffmpeg.map(str::to_owned),
                ffprobe_path: ffprobe.map(str::to_owned),
                ..FfmpegStitcherOptions::default()
            };
            let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let environment = Environment(variables.collect());
            let tools = Tools::new(&local, &options, &environment, CancellationToken::new(), None);
            (tools.ffmpeg, tools.probes)
        };
        let among = |paths: &[&str]| Probes::Among(paths.iter().map(ToString::to_string).collect());
        assert_eq!(probes(None, None, &[]), ("ffmpeg".into(), among(&["ffprobe"])));
        assert_eq!(
            probes(Some("/a/ffmpeg-4.1.exe"), None, &[("FFPROBE_PATH", "")]),
            ("/a/ffmpeg-4.1.exe".into(), among(&["/a/ffprobe-4.1.exe", "ffprobe"]))
        );
        let both = [("FFMPEG_PATH", "/a/ffmpeg"), ("FFPROBE_PATH", "/b/p")];
        assert_eq!(probes(None, None, &both), ("/a/ffmpeg".into(), Probes::Named("/b/p".into())));
        assert_eq!(
            probes(Some("mine"), Some("own"), &both),
            ("mine".into(), Probes::Named("own".into()))
        );
    }
}
