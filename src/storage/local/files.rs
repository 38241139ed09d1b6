//! What happens to the files of a storage.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{
    Error, Exclusions, OUTPUTS, SPEC, Tree, copy, failed,
    place::{beside, is_missing, url},
};
use crate::{files, path};

pub(super) fn upload(
    folder: &Path,
    exclusions: &Exclusions,
    place: &Path,
    storage: &Path,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    if !folder.is_dir() {
        return Err(Error::NoLocalFolder(folder.to_owned()));
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path::resolve(path));
    let (real_folder, real_storage) = (real(folder), real(storage));
    // Nothing would be left of it to be stored, or it would be deleted with what is stored of it.
    if real_folder == real_storage || real_folder.starts_with(real(place)) {
        return Err(Error::OwnFolder(folder.to_owned()));
    }
    let mut tree = Tree::read(folder, exclusions)?;
    // A storage in the folder of the job does not keep itself.
    if let Ok(inside) = real_storage.strip_prefix(real_folder) {
        tree.leave_out(inside);
    }
    let (own, other) = (place.join(SPEC), beside(place));
    if tree.has_file(SPEC) {
        // From now on the job's definition is beside the folder: what is in it is the user's own.
        if !other.exists() {
            match std::fs::rename(&own, &other) {
                Err(error) if is_missing(&error) => {
                    let parent = other.parent().unwrap_or(place);
                    std::fs::create_dir_all(parent).map_err(failed("mkdir", parent))?;
                    std::fs::write(&other, "").map_err(failed("open", &other))?;
                }
                moved => moved.map_err(failed("rename", &own))?,
            }
        }
    }
    // What is in the folder of a job already is no link of ours.
    if let Some(link) =
        tree.folders.iter().map(|folder| place.join(folder)).find(|to| to.is_symlink())
    {
        return Err(Error::Traversal(url(&link)));
    }
    copy::tree(&tree, folder, place, cancel).inspect_err(|_| forget_own(place))
}

/// Removes what says that a bundle has a `job.json` of its own, where there is no such bundle and no definition.
pub(super) fn forget_own(place: &Path) {
    let mark = beside(place);
    let is_mark = mark.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    if is_mark && !place.join(SPEC).exists() {
        // It tells nobody anything.
        drop(std::fs::remove_file(mark));
    }
}

pub(super) fn download(
    source: &Path,
    target: &Path,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    if !source.is_dir() {
        return Err(Error::NoRemoteFolder(source.to_owned()));
    }
    let mut tree = Tree::read(source, &Exclusions::default())?;
    tree.leave_out(Path::new(OUTPUTS));
    if !beside(source).exists() {
        tree.leave_out(Path::new(SPEC));
    }
    copy::tree(&tree, source, target, cancel)
}

pub(super) fn remove_folder(folder: &Path) -> Result<(), Error> {
    files::gone(std::fs::remove_dir_all(folder)).map_err(failed("rmdir", folder))
}

/// Removes a definition and what goes with it, but not the bundle.
pub(super) fn remove_definition(spec: &Path, outputs: Option<&Path>) -> Result<(), Error> {
    files::gone(std::fs::remove_file(spec)).map_err(failed("unlink", spec))?;
    if let Some(outputs) = outputs {
        remove_folder(outputs)?;
        if let Some(place) = outputs.parent() {
            // Where there is a bundle, this fails.
            drop(std::fs::remove_dir(place));
        }
    }
    Ok(())
}
