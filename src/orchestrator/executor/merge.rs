//! Joins the chunks of a job.

use std::rc::Rc;

use super::{Run, resolve};
use crate::{
    Error as CrateError, Result,
    model::{Chunk, ChunkId, JobPhase, WorkerJob},
    orchestrator::{Error, VerifyChunks},
    process,
    stitcher::{StitchInput, StitchJob, Verifying, VideoProof},
};

/// Frames per second that are lost where a rate is written with two decimals (29.97, 23.98).
const SAME_RATE: f64 = 0.005;

impl Run<'_> {
    /// Joins the chunks, if there is a way to.
    pub(super) async fn merge(&self) -> Result<()> {
        let options = self.options;
        if !options.merge {
            self.console.log(format_args!("Skipping merge step (disabled in options)."));
            return Ok(());
        }
        // An empty string is no merge command in JavaScript, a blank one is a mistake.
        let command = self.job.merge_command.as_deref().filter(|command| !command.is_empty());
        if let Some(observer) = &options.observer {
            observer.phase(JobPhase::Merging);
        }
        let merged = match (&options.stitcher, &options.output_file, command) {
            (Some(_), Some(output), _) => self.stitch(output).await,
            (stitcher, _, Some(command)) => {
                self.run_merge_command(command, stitcher.is_some()).await
            }
            _ => {
                self.console
                    .log(format_args!("Skipping merge step (no merge mechanism provided)."));
                return Ok(());
            }
        };
        match merged {
            Err(_) if options.abort.is_aborted() => Err(CrateError::Aborted),
            Err(error) => {
                self.console.error("Merge step failed:", &error.to_string());
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    async fn stitch(&self, output: &str) -> Result<()> {
        self.console.log(format_args!(
            "All chunks completed. Starting merge step using dedicated VideoStitcher..."
        ));
        let options = self.options;
        let Some(stitcher) = &options.stitcher else { return Ok(()) };
        let mut chunks: Vec<&Chunk> = self.job.chunks.iter().collect();
        let number = |chunk: &Chunk| chunk.id.map_or(f64::NAN, ChunkId::get);
        chunks.sort_by(|a, b| number(a).total_cmp(&number(b)));
        let path = |file: &str| resolve(&self.folder, file).to_string_lossy().into_owned();
        let inputs = chunks.iter().map(|chunk| {
            let id = chunk.id.map(|id| id.to_string()).unwrap_or_default();
            let file = chunk.output_file.as_deref().map(path).ok_or_else(|| {
                CrateError::invalid(format_args!("outputFile of chunk {id}"), "a string")
            })?;
            let frames = chunk.frames().filter(|_| options.verify_chunks != VerifyChunks::Never);
            Ok(StitchInput { path: file, chunk: chunk.id, frames })
        });
        let inputs = inputs.collect::<Result<_>>()?;
        let job = StitchJob {
            inputs,
            output: path(output),
            cancel: options.abort.token.clone(),
            kill_grace: Some(options.kill_grace),
            verifying: Verifying(options.observer.clone().map(|observer| {
                Rc::new(move || observer.phase(JobPhase::Verifying)) as Rc<dyn Fn()>
            })),
        };
        let proof = stitcher.stitch(job).await?;
        if let Some(proof) = &proof {
            self.warn_of_another_rate(proof);
            options.observer.iter().for_each(|observer| observer.proven(proof));
        }
        self.console.log(format_args!("Merge completed successfully via VideoStitcher."));
        Ok(())
    }

    /// A video that has all its frames may still be shorter or longer than it was meant to be: chunks without a clock of their
    /// own, as raw H.264 is, get 25 frames per second.
    fn warn_of_another_rate(&self, proof: &VideoProof) {
        let (Some(wanted), Some(is)) = (self.job.frame_rate(), proof.frame_rate()) else { return };
        if (wanted - is).abs() >= SAME_RATE {
            let short = |rate: f64| (rate * 1000.0).round() / 1000.0;
            let (is, wanted) = (short(is), short(wanted));
            self.console.warn(&format!(
                "Warning: the video has {is} frames per second, not the {wanted} of the job's metadata."
            ));
        }
    }

    async fn run_merge_command(&self, command: &str, stitcher_unused: bool) -> Result<()> {
        self.console
            .log(format_args!("All chunks completed. Starting merge step via mergeCommand..."));
        if stitcher_unused {
            self.console.warn("Warning: stitcher provided but outputFile is missing. Falling back to mergeCommand.");
        }
        let here = self.local.filter(|_| !self.adapter.runs_commands());
        let adapter = self.options.merge_adapter.as_deref().or(here).unwrap_or(self.adapter);
        let (program, args) = process::program_of(command)?;
        let job = WorkerJob {
            command: program,
            args,
            cwd: Some(self.folder.clone()),
            cancel: self.options.abort.token.clone(),
            kill_grace: Some(self.options.kill_grace),
            max_output: self.options.max_output,
            max_log: Some(self.options.max_log),
            observed: true,
            job_id: Some(Rc::clone(&self.id)),
            extensions: self.options.extensions.clone(),
            ..WorkerJob::default()
        };
        let result = adapter.execute(job).await?;
        if !result.exit_code.is_success() {
            return Err(Error::MergeExit { report: self.report(command, &result) }.into());
        }
        self.verify_merged(adapter, command, &result).await?;
        self.console.log(format_args!("Merge completed successfully."));
        Ok(())
    }
}
