//! A folder for one run, which goes with it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{
    Error, Result,
    error::SystemError,
    files::{self, make_folder},
    task,
};

/// What the names of the folders begin with.
const PREFIX: &str = "helios-run-";
/// The ending of the file beside a folder that is locked as long as its run lives.
const LOCK: &str = "lock";

/// A folder for one run below a workspace. It is removed at the end of the run, whatever that is; where the process was
/// killed, by [`RunFolder::sweep`].
///
/// The lock beside it tells folders of the living from those of the dead: the system gives it up with the process. It is
/// there before the folder, and longer.
#[derive(Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
    /// `None` once the folder is gone.
    lock: Option<File>,
}

impl RunFolder {
    /// Makes a folder in `workspace`, which is made when it is missing.
    pub(super) async fn create(workspace: PathBuf) -> Result<Self> {
        task::blocking(move || create(&workspace)).await.map_err(Error::System)
    }

    /// Removes the folders in `workspace` whose process is gone. Best effort: what stays is found again.
    pub(super) async fn sweep(workspace: PathBuf) {
        task::blocking(move || drop(sweep(&workspace))).await;
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder without making the caller's thread wait for the disk.
    pub(super) async fn remove(self) {
        task::blocking(move || drop(self)).await;
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // What cannot be removed now is for the next sweep.
            if remove(&self.path).is_ok() {
                drop(std::fs::remove_file(self.path.with_extension(LOCK)));
            }
            drop(lock);
        }
    }
}

fn create(workspace: &Path) -> Result<RunFolder, SystemError> {
    make_folder(workspace)?;
    loop {
        let path = workspace.join(format!("{PREFIX}{}", Uuid::new_v4()));
        let lock_path = path.with_extension(LOCK);
        let failed = |syscall| {
            let path = lock_path.clone();
            move |source| SystemError::new(source, syscall, path)
        };
        let options = OpenOptions::new().write(true).create_new(true).open(&lock_path);
        let lock = options.map_err(failed("open"))?;
        // On a file system without locks nobody sweeps, as nobody else gets one either.
        drop(lock.lock());
        let opened = lock.metadata().map_err(failed("stat"))?;
        // Somebody may have taken it for a dead one's before it was locked.
        if files::names(&lock_path, &opened).map_err(failed("stat"))? {
            let folder = RunFolder { path, lock: Some(lock) };
            let made = std::fs::create_dir(&folder.path);
            made.map_err(|source| SystemError::new(source, "mkdir", &folder.path))?;
            return Ok(folder);
        }
    }
}

fn sweep(workspace: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(workspace)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(id) = name.strip_prefix(PREFIX) else { continue };
        let id = id.strip_suffix(LOCK).and_then(|id| id.strip_suffix('.')).unwrap_or(id);
        // Whatever else people have there is theirs.
        if Uuid::try_parse(id).is_ok() {
            remove_dead(&path.with_extension(""));
        }
    }
    Ok(())
}

fn remove_dead(folder: &Path) {
    let lock_path = folder.with_extension(LOCK);
    let lock = match File::open(&lock_path) {
        Ok(lock) => lock,
        // A folder that came to be after its end: of a copy that could not be told to stop.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return drop(remove(folder)),
        Err(_) => return,
    };
    match lock.try_lock() {
        Ok(()) => {
            if remove(folder).is_ok() {
                drop(std::fs::remove_file(&lock_path));
            }
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    files::gone(std::fs::remove_dir_all(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn folder_goes_with_its_run() {
        let workspace = tempfile::tempdir().unwrap();
        let run = RunFolder::create(workspace.path().join("new")).await.unwrap();
        std::fs::write(run.path().join("file"), "x").unwrap();
        assert_eq!(names(&workspace.path().join("new")).len(), 2);
        run.remove().await;
        assert!(names(&workspace.path().join("new")).is_empty());
        drop(RunFolder::create(workspace.path().join("new")).await.unwrap());
        assert!(names(&workspace.path().join("new")).is_empty());
    }

    #[tokio::test]
    async fn only_what_the_dead_left_is_swept() {
        let workspace = tempfile::tempdir().unwrap();
        let folder = workspace.path();
        let living = RunFolder::create(folder.to_owned()).await.unwrap();
        let name = |ending: &str| format!("{PREFIX}{}{ending}", Uuid::new_v4());
        // Killed after the folder was made, before it was made, and one whose copy went on after the end.
        let killed = name("");
        std::fs::create_dir_all(folder.join(&killed).join("inside")).unwrap();
        std::fs::write(folder.join(format!("{killed}.{LOCK}")), "").unwrap();
        std::fs::write(folder.join(name(".lock")), "").unwrap();
        std::fs::create_dir(folder.join(name(""))).unwrap();
        let own = ["helios-run-mine", "helios-run-mine.lock", "other"];
        for name in own {
            std::fs::write(folder.join(name), "").unwrap();
        }
        RunFolder::sweep(folder.to_owned()).await;
        let path = living.path().file_name().unwrap().to_str().unwrap();
        let mut left = vec![path.to_owned(), format!("{path}.{LOCK}")];
        left.extend(own.map(str::to_owned));
        left.sort();
        assert_eq!(names(folder), left);
    }

    #[tokio::test]
    async fn who_is_swept_before_he_has_locked_takes_another_name() {
        let workspace = tempfile::tempdir().unwrap();
        let path = workspace.path().to_owned();
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let sweeps = {
            let done = std::sync::Arc::clone(&done);
            std::thread::spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(sweep(&path));
                }
            })
        };
        for _ in 0..500 {
            let run = create(workspace.path()).unwrap();
            assert!(run.path().is_dir());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        sweeps.join().unwrap();
        RunFolder::sweep(workspace.path().to_owned()).await;
        assert_eq!(names(workspace.path()), [""; 0]);
    }
}
