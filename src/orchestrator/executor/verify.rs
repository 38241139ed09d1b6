//! Looks whether the files that commands should have written are there.

use std::path::Path;

use super::{PlannedChunk, Run, resolve};
use crate::{
    Error as CrateError, Result,
    adapters::{WorkerAdapter, see},
    model::WorkerResult,
    orchestrator::{Error, VerifyChunks},
    stitcher::{self, Flaw, Inspection, StitchInput, VideoStitcher},
    task,
};

impl Run<'_> {
    /// Whether anybody wants to know what became of the files of chunks.
    pub(super) fn looks_at_files(&self) -> bool {
        self.options.see_outputs || self.options.verify_chunks != VerifyChunks::Never
    }

    /// Gives the result of a chunk that counts: its command has succeeded, and its file, where that is on this machine, is what it
    /// should be.
    pub(super) async fn verified(
        &self,
        chunk: &PlannedChunk,
        result: WorkerResult,
        is_here: bool,
    ) -> Result<WorkerResult> {
        let spec = &self.job.chunks[chunk.index];
        let Some(file) = spec.output_file.as_deref().filter(|_| is_here) else {
            return Ok(result);
        };
        let path = resolve(&self.folder, file);
        let flaw = match self.inspector() {
            Some(inspector) => {
                let inspection = Inspection {
                    input: StitchInput {
                        path: path.to_string_lossy().into_owned(),
                        chunk: Some(chunk.id),
                        frames: spec.frames(),
                    },
                    cancel: self.work.clone(),
                    kill_grace: Some(self.options.kill_grace),
                };
                inspector.inspect(inspection).await.err()
            }
            // Commands need not write their file, but who does writes something.
            None if self.options.verify_chunks == VerifyChunks::Never => None,
            None => {
                let is_empty = result.output.is_some_and(|seen| seen.size == 0);
                is_empty.then(|| bad(&path, Flaw::Empty))
            }
        };
        let Some(source) = flaw.map(Box::new) else { return Ok(result) };
        if source.is_abort() || self.work.is_cancelled() {
            return Err(*source);
        }
        let report = self.report(spec.command.as_deref().unwrap_or_default(), &result);
        Err(Error::ChunkFile { source, report }.into())
    }

    /// Who looks into the files of chunks.
    fn inspector(&self) -> Option<&dyn VideoStitcher> {
        let options = self.options;
        let able = options.stitcher.as_deref().filter(|stitcher| stitcher.inspects());
        match options.verify_chunks {
            VerifyChunks::Never => None,
            VerifyChunks::Always => able.or(options.inspector.as_deref()),
            VerifyChunks::Auto => able.filter(|_| options.merge && options.output_file.is_some()),
        }
    }

    /// That a merge command has written the video that it is known to make.
    pub(super) async fn verify_merged(
        &self,
        adapter: &dyn WorkerAdapter,
        command: &str,
        result: &WorkerResult,
    ) -> Result<()> {
        let is_asked = self.options.verify_chunks != VerifyChunks::Never && adapter.is_local();
        let Some(file) = self.options.output_file.as_deref().filter(|_| is_asked) else {
            return Ok(());
        };
        let path = resolve(&self.folder, file);
        let looked_at = path.clone();
        let flaw = match task::blocking(move || see(&looked_at)).await {
            Some(seen) if seen.size > 0 => return Ok(()),
            Some(_) => Flaw::Empty,
            None => Flaw::Missing,
        };
        let source = Box::new(bad(&path, flaw));
        Err(Error::MergeFile { source, report: self.report(command, result) }.into())
    }
}

fn bad(path: &Path, flaw: Flaw) -> CrateError {
    stitcher::Error::BadFile { path: path.to_string_lossy().into_owned(), flaw }.into()
}
