//! Copies files, many at a time, none of them half.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio_util::sync::CancellationToken;

use super::{Error, Partial, Tree, failed};

/// How many files are copied at once: a network share answers late, and takes many questions.
const MAX_THREADS: usize = 16;
/// A thread for fewer files than this costs more than it saves.
const FILES_PER_THREAD: usize = 16;

/// Copies all of `tree` from one folder to another, which may hold other files already. What fails, or is cancelled, removes
/// what it has brought.
pub(super) fn tree(
    tree: &Tree,
    source: &Path,
    target: &Path,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let (mut made, mut brought) = (Vec::new(), Vec::new());
    let copied = folders(tree, target, &mut made)
        .and_then(|()| files(tree, source, target, cancel, &mut brought))
        .and_then(|()| permissions(tree, source, target));
    if copied.is_err() {
        for file in brought {
            drop(std::fs::remove_file(file));
        }
        for folder in made.iter().rev() {
            drop(std::fs::remove_dir(folder));
        }
    }
    copied
}

/// Makes the folders; keeps in `made` those that were not there.
fn folders(tree: &Tree, target: &Path, made: &mut Vec<PathBuf>) -> Result<(), Error> {
    let inner = tree.folders.iter().map(|folder| target.join(folder));
    for folder in std::iter::once(target.to_owned()).chain(inner) {
        if !folder.exists() {
            std::fs::create_dir_all(&folder).map_err(failed("mkdir", &folder))?;
            made.push(folder);
        }
    }
    Ok(())
}

/// Copies the files; keeps in `brought` those that were not there.
fn files(
    tree: &Tree,
    source: &Path,
    target: &Path,
    cancel: &CancellationToken,
    brought: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let new = Mutex::new(brought);
    let work = || {
        while let Some(file) = tree.files.get(next.fetch_add(1, Relaxed)) {
            let to = target.join(file);
            let is_new = !to.exists();
            let copied = if cancel.is_cancelled() {
                Err(Error::Cancelled)
            } else {
                self::file(&source.join(file), &to)
            };
            match copied {
                Ok(()) if is_new => lock(&new).push(to),
                Ok(()) => {}
                Err(error) => {
                    next.fetch_add(tree.files.len(), Relaxed);
                    // The failure that is told is the first one.
                    lock(&failure).get_or_insert(error);
                }
            }
        }
    };
    let threads = tree.files.len().div_ceil(FILES_PER_THREAD).min(MAX_THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    lock(&failure).take().map_or(Ok(()), Err)
}

/// Gives the folders their permissions, once all that belongs into them is there, the inner ones first.
fn permissions(tree: &Tree, source: &Path, target: &Path) -> Result<(), Error> {
    for folder in tree.folders.iter().rev() {
        let (from, to) = (source.join(folder), target.join(folder));
        let permissions = std::fs::metadata(&from).map_err(failed("stat", &from))?.permissions();
        std::fs::set_permissions(&to, permissions).map_err(failed("chmod", &to))?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies one file, with its permissions. It appears at its place when it is whole.
pub(super) fn file(source: &Path, target: &Path) -> Result<(), Error> {
    let partial = Partial::beside(target);
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(failed("mkdir", folder))?;
    }
    let before = std::fs::metadata(source).map_err(failed("open", source))?;
    let size = before.len();
    let copied = std::fs::copy(source, partial.path()).map_err(failed("copyfile", source))?;
    let arrived = std::fs::metadata(partial.path()).map_err(failed("stat", target))?.len();
    let after = std::fs::metadata(source).map_err(failed("stat", source))?;
    let touched = |metadata: &std::fs::Metadata| metadata.modified().ok();
    if copied != size || arrived != size || touched(&before) != touched(&after) {
        return Err(Error::Changed { file: source.to_owned(), copied: arrived, size });
    }
    partial.rename(target)
}
