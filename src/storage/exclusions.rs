//! What stays at home when the folder of a job goes up.

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::Error;

/// The file in a folder that names what stays at home, in the format of `.gitignore`.
pub const IGNORE_FILE: &str = ".heliosignore";
/// Secrets, and what is large and made anew anywhere.
const NEVER: &[&str] = &[".env*", "node_modules", ".git"];

/// What of a folder is not stored. Default: nothing, all of it is.
#[derive(Clone, Debug)]
pub struct Exclusions {
    rules: Gitignore,
    paths: Vec<PathBuf>,
}

impl Exclusions {
    /// What workers have no use for in the folder of a job, or must not see: what its `.heliosignore` names, `.env*`,
    /// `node_modules` and `.git`, and `paths`, the files and folders at these paths in it.
    ///
    /// # Errors
    /// When `.heliosignore` is there and cannot be read or understood.
    pub fn of_job(folder: &Path, paths: Vec<PathBuf>) -> Result<Self, Error> {
        let mut rules = GitignoreBuilder::new(folder);
        let file = folder.join(IGNORE_FILE);
        if let Some(error) = file.exists().then(|| rules.add(&file)).flatten() {
            return Err(Error::Ignore(Box::new(error)));
        }
        // The last rule that fits decides: these cannot be taken back.
        for name in NEVER {
            rules.add_line(None, name).map_err(|error| Error::Ignore(Box::new(error)))?;
        }
        let rules = rules.build().map_err(|error| Error::Ignore(Box::new(error)))?;
        Ok(Self { rules, paths })
    }

    /// Whether what is at `path` in the folder is not stored. The folders above it are.
    pub fn exclude(&self, path: &Path, is_folder: bool) -> bool {
        self.paths.iter().any(|excluded| excluded == path)
            || self.rules.matched(path, is_folder).is_ignore()
    }
}

impl Default for Exclusions {
    fn default() -> Self {
        Self { rules: Gitignore::empty(), paths: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(lines: &str, paths: &[&str], path: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(IGNORE_FILE), lines).unwrap();
        let paths = paths.iter().map(PathBuf::from).collect();
        let exclusions = Exclusions::of_job(folder.path(), paths).unwrap();
        let (path, is_folder) =
            path.strip_suffix('/').map_or((path, false), |folder| (folder, true));
        exclusions.exclude(Path::new(path), is_folder)
    }

    #[test]
    fn nothing_stays_at_home_unasked() {
        assert!(!Exclusions::default().exclude(Path::new(".env"), false));
    }

    #[test]
    fn secrets_and_what_is_made_anew_stay_at_home_at_any_depth() {
        for path in [".env", "a/.env.local", "node_modules/", "a/b/node_modules/", ".git/"] {
            assert!(excluded("", &[], path), "{path}");
            assert!(excluded("!.env*\n!node_modules\n!.git\n", &[], path), "{path}");
        }
        assert!(!excluded("", &[], "environment.json"));
    }

    #[test]
    fn ignore_file_names_what_else_stays() {
        let lines = "# takes\n*.wav\n/raw\n!keep.wav\ncache/\n";
        for path in ["a.wav", "deep/a.wav", "raw/", "deep/cache/"] {
            assert!(excluded(lines, &[], path), "{path}");
        }
        for path in ["keep.wav", "deep/raw/", "cache", "scene.json"] {
            assert!(!excluded(lines, &[], path), "{path}");
        }
    }

    #[test]
    fn paths_are_meant_exactly() {
        assert!(excluded("", &["out/0.mp4"], "out/0.mp4"));
        assert!(!excluded("", &["out/0.mp4"], "0.mp4"));
    }
}
