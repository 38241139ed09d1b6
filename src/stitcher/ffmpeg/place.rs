//! Where a video is made: beside the place it goes to.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::{join::failed, tools::Tools};
use crate::{Result, files, process, stitcher::Error, task};

/// How often somebody looks whether the place is free.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The files that a video takes while it is made. Their names depend on the target alone: those that a crash has left are
/// used again.
#[derive(Debug)]
pub(super) struct Workplace {
    /// Where the video goes.
    pub(super) target: PathBuf,
    /// The video before it is proven. Hidden, and with the extension of its target: ffmpeg chooses the format by it.
    pub(super) partial: PathBuf,
    /// What is needed on the way.
    pub(super) folder: PathBuf,
    /// Locked by whoever works here. Not the partial file: where locks bind everybody ffmpeg could not write it.
    lock: PathBuf,
}

/// The right to work in a place, until this is dropped.
#[derive(Debug)]
pub(super) struct Held(
    #[expect(dead_code, reason = "it is locked as long as it is open")] Option<File>,
);

impl Workplace {
    pub(super) fn beside(target: PathBuf) -> Self {
        let stem = target.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!(".{stem}.partial");
        let partial = match target.extension() {
            Some(extension) => format!("{name}.{}", extension.to_string_lossy()),
            None => name.clone(),
        };
        Self {
            partial: target.with_file_name(partial),
            folder: target.with_file_name(format!("{name}.parts")),
            lock: target.with_file_name(format!("{name}.lock")),
            target,
        }
    }

    /// Waits until nobody else works here, in this process or another: two would write one file.
    pub(super) async fn hold(self: &Arc<Self>, tools: &Tools) -> Result<Held> {
        loop {
            let place = Arc::clone(self);
            if let Some(held) = task::blocking(move || place.try_hold()).await? {
                return Ok(held);
            }
            if tools.is_stopped() {
                return Err(process::Error::Aborted.into());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    fn try_hold(&self) -> Result<Option<Held>, Error> {
        loop {
            let options =
                OpenOptions::new().write(true).create(true).truncate(false).open(&self.lock);
            // What is wrong with the folder is for ffmpeg to say.
            let Ok(file) = options else { return Ok(Some(Held(None))) };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                // On a file system without locks nobody is kept apart.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            let opened = file.metadata().map_err(failed("stat", &self.lock))?;
            // Whoever held it has removed it before it was locked here.
            if files::names(&self.lock, &opened).map_err(failed("stat", &self.lock))? {
                return Ok(Some(Held(Some(file))));
            }
        }
    }

    /// Moves the finished video to its place, so that a power cut finds it there, whole, or what was there before.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let Self { target, partial, .. } = self;
        // Windows syncs only what may be written to.
        let file = OpenOptions::new().append(true).open(partial);
        file.and_then(|file| file.sync_all()).map_err(failed("fsync", partial))?;
        std::fs::rename(partial, target).map_err(failed("rename", target))?;
        files::sync_folder(target).map_err(failed("fsync", target))
    }

    /// Removes what the work has left beside the target, and leaves.
    pub(super) fn clear(&self, held: Held) -> Result<(), Error> {
        let partial = files::gone(std::fs::remove_file(&self.partial));
        let folder = files::gone(std::fs::remove_dir_all(&self.folder));
        // Nobody else has it: it is locked. One that stays does no harm.
        drop(std::fs::remove_file(&self.lock));
        drop(held);
        partial.map_err(failed("unlink", &self.partial))?;
        folder.map_err(failed("rmdir", &self.folder))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn workplace_is_hidden_beside_the_target() {
        let place = Workplace::beside("/x/film.end.mp4".into());
        assert_eq!(place.partial, Path::new("/x/.film.end.partial.mp4"));
        assert_eq!(place.folder, Path::new("/x/.film.end.partial.parts"));
        assert_eq!(Workplace::beside("/x/''".into()).partial, Path::new("/x/.''.partial"));
    }

    #[test]
    fn one_at_a_time_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] =
            ["film.mp4", "film.mov"].map(|name| Workplace::beside(folder.path().join(name)));
        let held = one.try_hold().unwrap().unwrap();
        // They have a folder for parts in common.
        assert!(one.try_hold().unwrap().is_none() && other.try_hold().unwrap().is_none());
        one.clear(held).unwrap();
        let held = other.try_hold().unwrap().unwrap();
        assert!(one.try_hold().unwrap().is_none());
        other.clear(held).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn folder_that_is_not_there_is_no_obstacle() {
        let place = Workplace::beside("/nowhere/film.mp4".into());
        let held = place.try_hold().unwrap().unwrap();
        place.clear(held).unwrap();
    }
}
