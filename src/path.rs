//! Paths as Node has them.

use std::path::{Path, PathBuf};

/// `path.resolve(path)`: absolute, without `.` and `..`, and without a look at the disk.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    path_clean::clean(std::path::absolute(path).unwrap_or_else(|_| path.into()))
}
