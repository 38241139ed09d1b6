//! The list of inputs in the form of ffmpeg's concat demuxer (<https://ffmpeg.org/ffmpeg-formats.html#concat-1>).

use std::{
    fmt::Write,
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{error::SystemError, stitcher::Error};

/// A temporary file with a line per input. It goes, with all that came with it, when this is dropped.
#[derive(Debug)]
pub(super) struct ConcatList {
    /// The list.
    pub(super) path: PathBuf,
    // The demuxer reads by lines, so that no quoting helps a name with a line break: such files get a second name.
    links: PathBuf,
}

impl ConcatList {
    /// Writes the list for absolute `inputs` into `folder`. `microseconds`, where they are known, say how long each lasts.
    pub(super) fn write(
        folder: &Path,
        inputs: &[PathBuf],
        microseconds: &[i64],
    ) -> Result<Self, Error> {
        let name = format!("concat-{}", Uuid::new_v4());
        let list = Self { path: folder.join(format!("{name}.txt")), links: folder.join(name) };
        let mut text = String::new();
        for (index, input) in inputs.iter().enumerate() {
            let mut name = input.to_string_lossy();
            if name.contains(['\n', '\r']) {
                let link = list.links.join(index.to_string());
                make_link(input, &link).map_err(|error| failed(error, "symlink", &link))?;
                name = link.to_string_lossy().into_owned().into();
            }
            text.push_str("file '");
            text.push_str(&name.replace('\'', r"'\''"));
            text.push_str("'\n");
            if let Some(length) = microseconds.get(index) {
                // With its unit: plain numbers are seconds, and may have no more than microseconds behind the point.
                writeln!(text, "duration {length}us").expect("text takes what is written to it");
            }
        }
        std::fs::write(&list.path, text).map_err(|error| failed(error, "open", &list.path))?;
        Ok(list)
    }
}

fn failed(error: io::Error, syscall: &'static str, path: &Path) -> Error {
    Error::System(SystemError::new(error, syscall, path))
}

#[cfg(unix)]
fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    std::fs::create_dir_all(link.parent().unwrap_or(link))?;
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn make_link(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for ConcatList {
    fn drop(&mut self) {
        // Temporary files that are already gone, or that the system will clean up: neither is worth an error.
        drop(std::fs::remove_file(&self.path));
        drop(std::fs::remove_dir_all(&self.links));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_names_are_quoted_or_linked_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = ["/a b/it's.mp4", "/ü\n.mp4"].map(PathBuf::from);
        let list = ConcatList::write(folder.path(), &inputs, &[]).unwrap();
        let text = std::fs::read_to_string(&list.path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r"file '/a b/it'\''s.mp4'");
        let link = lines[1].strip_prefix("file '").unwrap().strip_suffix('\'').unwrap();
        assert_eq!(std::fs::read_link(link).unwrap(), inputs[1]);
        drop(list);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
