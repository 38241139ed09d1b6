//! What the modules that keep files have in common.

pub(crate) mod atomic;

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
};

use crate::error::SystemError;

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What a removal comes to: nothing is wrong when there was nothing to remove.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a folder, with those above it, so that its name outlives a power cut: without it nothing in it would.
pub(crate) fn make_folder(folder: &Path) -> Result<(), SystemError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    std::fs::create_dir_all(folder).map_err(|source| SystemError::new(source, "mkdir", folder))?;
    for made in missing.into_iter().filter(|made| !made.as_os_str().is_empty()) {
        match sync_folder(made) {
            // It may be that names can be made in a folder that cannot be opened.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(SystemError::new(error, "fsync", made));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether `path` still names the file that was opened.
#[cfg(unix)]
pub(crate) fn names(path: &Path, opened: &Metadata) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(is_same(opened, &named)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
pub(crate) fn names(path: &Path, _opened: &Metadata) -> io::Result<bool> {
    path.try_exists()
}

/// Whether both are of one file, as far as the system tells.
#[cfg(unix)]
pub(crate) fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
pub(crate) fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}
