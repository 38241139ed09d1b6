//! What is in a folder.

use std::path::{Path, PathBuf};

use super::{Error, Exclusions, failed};

/// The folder that is looked into.
struct Look<'a> {
    root: &'a Path,
    real_root: &'a Path,
    exclusions: &'a Exclusions,
}

impl Look<'_> {
    /// Whether what a link has led to, `real`, is not stored: a name of another kind does not let it out.
    fn stays(&self, real: &Path, inside: &Path, is_folder: bool) -> bool {
        let Ok(own) = real.strip_prefix(self.real_root) else { return false };
        let excluded = |path: &Path| self.exclusions.exclude(path, is_folder || path != own);
        own != inside && own.ancestors().filter(|path| *path != Path::new("")).any(excluded)
    }
}

/// The files and folders below a folder, by their paths in it. Links that stay inside are what they lead to.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Each before what is in it.
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

impl Tree {
    /// Looks into `root`, but not at what is excluded.
    ///
    /// # Errors
    /// When something in it cannot be read, is neither file nor folder, or is a link that leads out of it or to a folder
    /// it is in.
    pub(super) fn read(root: &Path, exclusions: &Exclusions) -> Result<Self, Error> {
        let real_root = root.canonicalize().map_err(failed("realpath", root))?;
        let mut tree = Self::default();
        let look = Look { root, real_root: &real_root, exclusions };
        tree.look(&look, Path::new(""), &mut vec![real_root.clone()])?;
        Ok(tree)
    }

    /// Looks at a folder in it. `above` are the real folders that are being looked into.
    #[expect(
        clippy::filetype_is_file,
        reason = "pipes and devices have no end that could be stored"
    )]
    fn look(
        &mut self,
        at: &Look<'_>,
        inside: &Path,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), Error> {
        let folder = at.root.join(inside);
        for entry in std::fs::read_dir(&folder).map_err(failed("scandir", &folder))? {
            let entry = entry.map_err(failed("scandir", &folder))?;
            let (path, inside) = (entry.path(), inside.join(entry.file_name()));
            let mut kind = entry.file_type().map_err(failed("stat", &path))?;
            if at.exclusions.exclude(&inside, kind.is_dir()) {
                continue;
            }
            let mut real = above.last().map(|folder| folder.join(entry.file_name()));
            if kind.is_symlink() {
                let target = path.canonicalize().map_err(failed("realpath", &path))?;
                if !target.starts_with(at.real_root) {
                    let folder = at.root.to_owned();
                    return Err(Error::LinkOutside { link: path, target, folder });
                }
                kind = target.metadata().map_err(failed("stat", &path))?.file_type();
                real = Some(target);
            }
            let real = real.unwrap_or_else(|| path.clone());
            if at.stays(&real, &inside, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                if above.contains(&real) {
                    return Err(Error::LinkLoop(path));
                }
                self.folders.push(inside.clone());
                above.push(real);
                self.look(at, &inside, above)?;
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
