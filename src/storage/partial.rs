//! Files that are not whole yet.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{Error, failed};

/// Longer names are not in those of files that are not whole: together they would have more than 255 bytes.
const MAX_NAME: usize = 200;

/// A file that is not whole yet. Removed unless it was renamed.
pub(super) struct Partial(PathBuf);

impl Partial {
    /// A new name in the folder of `target`.
    pub(super) fn beside(target: &Path) -> Self {
        let mut name = OsString::from(".");
        // A name may be as long as file systems take: then there is no room for more.
        let of = target.file_name().filter(|of| of.len() <= MAX_NAME);
        name.push(of.unwrap_or_default());
        name.push(format!(".{}", Uuid::new_v4()));
        Self(target.with_file_name(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it the name of what it was made for.
    pub(super) fn rename(self, target: &Path) -> Result<(), Error> {
        std::fs::rename(&self.0, target).map_err(failed("rename", target))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Renamed, or never made: then there is nothing to remove.
        drop(std::fs::remove_file(&self.0));
    }
}
