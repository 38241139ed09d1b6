//! What is where in a storage.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Error, OUTPUTS, SPEC, relative};
use crate::path;

/// What its URLs begin with.
const SCHEME: &str = "local://";

/// The folder of a storage. Its methods ask the disk.
#[derive(Clone, Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// The folder of a job.
    pub(super) fn place(&self, job_id: &str) -> Result<PathBuf, Error> {
        let place = relative(job_id).map(|id| self.0.join(id));
        let place = place.ok_or_else(|| Error::InvalidId(job_id.to_owned()))?;
        self.keeps(&place)?;
        Ok(place)
    }

    /// What a URL of ours means: always something below the folder.
    pub(super) fn locate(&self, url: &str) -> Result<PathBuf, Error> {
        let path = url.strip_prefix(SCHEME).ok_or_else(|| Error::Scheme(url.to_owned()))?;
        let located = path::resolve(Path::new(path));
        let root = path::resolve(&self.0);
        if located == root || !located.starts_with(&root) {
            return Err(Error::Traversal(url.to_owned()));
        }
        if is_inside(&located, &root) { Ok(located) } else { Err(Error::Traversal(url.to_owned())) }
    }

    /// Checks that nothing at `path`, a path below the folder, is elsewhere.
    pub(super) fn keeps(&self, path: &Path) -> Result<(), Error> {
        let is_inside = is_inside(&path::resolve(path), &path::resolve(&self.0));
        if is_inside { Ok(()) } else { Err(Error::Traversal(url(path))) }
    }

    /// The folder of the outputs of the job defined in a file. All of the storage is no job.
    pub(super) fn outputs(&self, spec: &Path) -> Result<Option<PathBuf>, Error> {
        let root = path::resolve(&self.0);
        let outputs = outputs(spec).filter(|outputs| outputs.parent() != Some(&root));
        if let Some(outputs) = &outputs {
            self.keeps(outputs)?;
        }
        Ok(outputs)
    }
}

/// Whether what is, or would be, at `path` is in `root`, which it begins with: a link in there may lead out of it.
fn is_inside(path: &Path, root: &Path) -> bool {
    let Ok(real_root) = root.canonicalize() else { return true };
    for above in path.ancestors().take_while(|above| *above != root) {
        match above.canonicalize() {
            Ok(real) => return real.starts_with(&real_root),
            // It leads somewhere, if only to what is not there yet.
            Err(_) if above.is_symlink() => return false,
            Err(_) => {}
        }
    }
    true
}

pub(super) fn url(path: &Path) -> String {
    format!("{SCHEME}{}", path.to_string_lossy())
}

/// Where the definition is of a job whose folder has a file of that name itself.
pub(super) fn beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(SPEC);
    place.with_file_name(name)
}

pub(super) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The folder of the outputs of the job defined in a file.
fn outputs(spec: &Path) -> Option<PathBuf> {
    let name = spec.file_name()?.to_str()?;
    let place = match name.strip_suffix(SPEC)? {
        "" => spec.parent()?.to_owned(),
        id => spec.with_file_name(id.strip_suffix('.')?),
    };
    Some(place.join(OUTPUTS))
}
