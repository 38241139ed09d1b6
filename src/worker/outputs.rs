//! What a chunk leaves in the storage: its file, and what its command said.

use std::{path::Path, time::Duration};

use super::run_folder::RunFolder;
use crate::{
    Result,
    model::{ChunkId, Text},
    process::MAX_LOG,
    storage::ArtifactStorage,
    task,
};

/// The ending of a log.
const LOG: &str = "log";

/// The place of a chunk in a storage.
#[derive(Debug)]
pub(super) struct Outputs<'a> {
    pub(super) storage: &'a dyn ArtifactStorage,
    /// What the job is stored under.
    pub(super) id: String,
    pub(super) chunk: ChunkId,
}

impl Outputs<'_> {
    /// Stores the chunk's file; gives its URL.
    pub(super) async fn store(&self, file: &Path) -> Result<String> {
        let file = file.to_string_lossy();
        self.storage.upload_chunk_output(&self.id, self.chunk, &file).await
    }

    /// Stores what the command said as an output of its own: beside `3.mp4` there is `3.log`. It comes before the file, so
    /// that a storage that has one place per chunk keeps the file. Best effort: a log is not worth a chunk.
    pub(super) async fn log(&self, output_file: Option<&str>, said: &[&Text], limit: Duration) {
        let is_log = |file: &str| Path::new(file).extension().is_some_and(|ending| ending == LOG);
        if output_file.is_some_and(is_log) || said.iter().all(|text| text.as_str().is_empty()) {
            return;
        }
        drop(tokio::time::timeout(limit, self.store_log(said)).await);
    }

    async fn store_log(&self, said: &[&Text]) -> Result<()> {
        let folder = RunFolder::create(std::env::temp_dir()).await?;
        let file = folder.path().join(format!("{}.{LOG}", self.chunk));
        let (path, log) = (file.clone(), log(said));
        let stored = match task::blocking(move || std::fs::write(path, log)).await {
            Ok(()) => self.store(&file).await.map(drop),
            Err(_) => Ok(()),
        };
        folder.remove().await;
        stored
    }
}

/// Standard output, then standard error, beginning and end of each.
fn log(said: &[&Text]) -> String {
    let mut log = String::new();
    for text in said {
        if !log.is_empty() && !log.ends_with('\n') {
            log.push('\n');
        }
        log.push_str(text.clipped(MAX_LOG).as_str());
    }
    log
}
