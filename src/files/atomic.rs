//! Replaces files so that a reader, a crash or a full disk sees the old text or the new one, never a torn one.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{make_folder, names, sync_folder};
use crate::error::SystemError;

/// What is promised once a file has been replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The new text survives a power cut: file and folder are synced.
    Synced,
    /// The new text survives this process; a power cut may bring the old text back, or an empty file on some disks.
    Cached,
}

/// Replaces `path` by what `write` writes. The folder is made when it is missing.
///
/// # Errors
/// See [`Replacement::commit`].
pub(crate) fn replace(
    path: &Path,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<File, SystemError> {
    Replacement::begin(path)?.commit(durability, write, || Ok(()))
}

/// A file that is about to be replaced. Until it is, other writers wait, also those of other processes: what is read meanwhile
/// is what will be replaced. Dropped without that, it leaves everything as it was.
///
/// The text goes to a temporary file beside its target, whose name depends on the target alone: one left behind by a
/// crash is used again by the next write. A lock on it keeps writers apart.
#[derive(Debug)]
pub(crate) struct Replacement<'a> {
    path: &'a Path,
    temporary: Temporary,
    file: File,
    opened: Metadata,
}

impl<'a> Replacement<'a> {
    /// Waits until nobody else writes `path`. Its folder is made when it is missing.
    ///
    /// # Errors
    /// When the temporary file cannot be opened, with the path of its target.
    pub(crate) fn begin(path: &'a Path) -> Result<Self, SystemError> {
        let temporary = temporary_path(path);
        let (file, opened) = open_locked(path, &temporary)?;
        Ok(Self { path, temporary: Temporary(Some(temporary)), file, opened })
    }

    /// The file that will be replaced.
    pub(crate) fn target(&self) -> &'a Path {
        self.path
    }

    /// Puts what `write` writes in the place of the file, and does what `then` does before anybody else may write; gives the
    /// new file.
    ///
    /// # Errors
    /// With the name of the system call that failed and the path of the target. The target is then as it was before, but
    /// where only the folder could not be synced, or `then` has failed.
    pub(crate) fn commit(
        self,
        durability: Durability,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        then: impl FnOnce() -> Result<(), SystemError>,
    ) -> Result<File, SystemError> {
        let Self { path, mut temporary, file, opened } = self;
        let failed = |syscall| move |source| SystemError::new(source, syscall, path);
        if opened.len() > 0 {
            file.set_len(0).map_err(failed("ftruncate"))?;
        }
        keep_permissions(path, &file, &opened).map_err(failed("fchmod"))?;
        let mut out = BufWriter::with_capacity(64 * 1024, &file);
        write(&mut out).and_then(|()| out.flush()).map_err(failed("write"))?;
        drop(out);
        if durability == Durability::Synced {
            file.sync_data().map_err(failed("fsync"))?;
        }
        temporary.rename(path).map_err(failed("rename"))?;
        if durability == Durability::Synced {
            sync_folder(path).map_err(failed("fsync"))?;
        }
        then()?;
        // Whoever waits for it has opened what is now the target, and looks again.
        let _ = file.unlock();
        Ok(file)
    }
}

/// The name of a temporary file, which goes unless the file is renamed.
#[derive(Debug)]
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn rename(&mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.0 {
            std::fs::rename(path, target)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Best effort: the next write would use the file again.
            drop(std::fs::remove_file(path));
        }
    }
}

/// Lets `file` be read and written by those who may read and write `path`.
fn keep_permissions(path: &Path, file: &File, opened: &Metadata) -> io::Result<()> {
    let Ok(old) = std::fs::metadata(path) else { return Ok(()) };
    if old.permissions() == opened.permissions() {
        return Ok(());
    }
    file.set_permissions(old.permissions())
}

/// Removes what a crash has left beside `path`. Whoever is writing there just now is waited for.
pub(crate) fn remove_stray(path: &Path) {
    let temporary = temporary_path(path);
    let Ok(file) = OpenOptions::new().write(true).open(&temporary) else { return };
    let is_ours = lock(&file)
        && file.metadata().is_ok_and(|opened| names(&temporary, &opened).unwrap_or(false));
    if is_ours {
        // Best effort: the next write would use it again.
        drop(std::fs::remove_file(&temporary));
    }
}

/// `.name.tmp` beside `name`: hidden from those who list the folder for `*.json`.
fn temporary_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

/// Opens the temporary file and locks it; gives also what it is like. A writer who held it before has
/// renamed or removed it since: then the name means another file, or none, and it is opened again.
fn open_locked(path: &Path, temporary: &Path) -> Result<(File, Metadata), SystemError> {
    let failed = |syscall| move |source| SystemError::new(source, syscall, path);
    loop {
        let file = match open(temporary) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(path.parent().unwrap_or(Path::new(".")))?;
                open(temporary).map_err(failed("open"))?
            }
            opened => opened.map_err(failed("open"))?,
        };
        // On a file system without locks writers of other processes are not kept apart.
        let locked = lock(&file);
        let opened = file.metadata().map_err(failed("stat"))?;
        if !locked || names(temporary, &opened).map_err(failed("stat"))? {
            return Ok((file, opened));
        }
    }
}

/// Waits for the lock; `false` where there are none.
fn lock(file: &File) -> bool {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked.is_ok(),
        }
    }
}

fn open(temporary: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn failed_write_leaves_the_old_text_and_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.json");
        replace(&path, Durability::Synced, |out| out.write_all(b"old")).unwrap();
        let error = replace(&path, Durability::Cached, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from_raw_os_error(28))
        });
        assert!(error.unwrap_err().to_string().ends_with(&format!(", write '{}'", path.display())));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(path.parent().unwrap()), ["a.json"]);
    }

    #[test]
    fn stray_of_a_crash_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(temporary_path(&path), "a long text that a crash left behind").unwrap();
        replace(&path, Durability::Cached, |out| out.write_all(b"new")).unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(folder.path())),
            (b"new".to_vec(), vec!["a.json".to_owned()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for wanted in [0o600, 0o664] {
            std::fs::write(&path, "old").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(wanted)).unwrap();
            replace(&path, Durability::Cached, |out| out.write_all(b"new")).unwrap();
            assert_eq!((std::fs::read(&path).unwrap(), mode()), (b"new".to_vec(), wanted));
        }
    }

    #[test]
    fn who_waits_goes_on_although_the_new_file_stays_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let first = Replacement::begin(&path).unwrap();
        let (send, gone_on) = std::sync::mpsc::channel();
        let waiting = path.clone();
        std::thread::spawn(move || {
            drop(Replacement::begin(&waiting).unwrap());
            send.send(()).unwrap();
        });
        let soon = std::time::Duration::from_millis(100);
        assert!(gone_on.recv_timeout(soon).is_err(), "it did not wait");
        let file =
            first.commit(Durability::Cached, |out| out.write_all(b"new"), || Ok(())).unwrap();
        assert!(gone_on.recv_timeout(soon * 100).is_ok(), "it waits for ever");
        drop(file);
    }

    #[test]
    fn writers_at_the_same_time_never_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let text = vec![b'a' + writer; 1000 * usize::from(writer + 1)];
                        replace(path, Durability::Cached, |out| out.write_all(&text)).unwrap();
                        let seen = std::fs::read(path).unwrap();
                        assert_eq!(seen.len(), 1000 * usize::from(seen[0] - b'a' + 1));
                        assert!(seen.iter().all(|byte| *byte == seen[0]));
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), ["a.json"]);
    }
}
