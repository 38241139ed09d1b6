//! What is in a folder.

use std::path::{Path, PathBuf};

use super::{super::Error, failed};

/// The files and folders below a folder, by their paths in it. Links that stay inside are what they lead to.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Each before what is in it.
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

impl Tree {
    /// Looks into `root`.
    ///
    /// # Errors
    /// When something in it cannot be read, is neither file nor folder, or is a link that leads out of it or to a folder
    /// it is in.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let real_root = root.canonicalize().map_err(failed("realpath", root))?;
        let mut tree = Self::default();
        tree.look(root, &real_root, Path::new(""), &mut vec![real_root.clone()])?;
        Ok(tree)
    }

    /// `above` are the real folders that are being looked into.
    #[expect(
        clippy::filetype_is_file,
        reason = "pipes and devices have no end that could be stored"
    )]
    fn look(
        &mut self,
        root: &Path,
        real_root: &Path,
        inside: &Path,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), Error> {
        let folder = root.join(inside);
        for entry in std::fs::read_dir(&folder).map_err(failed("scandir", &folder))? {
            let entry = entry.map_err(failed("scandir", &folder))?;
            let (path, inside) = (entry.path(), inside.join(entry.file_name()));
            let mut kind = entry.file_type().map_err(failed("stat", &path))?;
            let mut real = None;
            if kind.is_symlink() {
                let target = path.canonicalize().map_err(failed("realpath", &path))?;
                if !target.starts_with(real_root) {
                    let folder = root.to_owned();
                    return Err(Error::LinkOutside { link: path, target, folder });
                }
                kind = target.metadata().map_err(failed("stat", &path))?.file_type();
                real = Some(target);
            }
            if kind.is_dir() {
                let real = match real {
                    Some(real) => real,
                    None => path.canonicalize().map_err(failed("realpath", &path))?,
                };
                if above.contains(&real) {
                    return Err(Error::LinkLoop(path));
                }
                self.folders.push(inside.clone());
                above.push(real);
                self.look(root, real_root, &inside, above)?;
                above.pop();
            } else if kind.is_file() {
                self.files.push(inside);
            } else {
                return Err(Error::NoFile(path));
            }
        }
        Ok(())
    }

    /// Whether there is a file of this name in the folder itself.
    pub(super) fn has_file(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == Path::new(name))
    }

    /// Forgets a folder and all that is in it.
    pub(super) fn leave_out(&mut self, path: &Path) {
        self.folders.retain(|folder| !folder.starts_with(path));
        self.files.retain(|file| !file.starts_with(path));
    }
}
