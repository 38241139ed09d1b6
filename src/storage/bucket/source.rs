//! Files that are stored.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use memmap2::MmapMut;
use object_store::{Attribute, Attributes};

use super::super::{Error, failed};

/// Larger pieces have pages of their own. What malloc gets back of such sizes it keeps, in each thread's arena: 85 MB instead
/// of 40 after a file of 1 GB (glibc 2.36).
const OWN_PAGES: usize = 1024 * 1024;

/// A file that is read while it is stored.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: File,
    before: Metadata,
    pub(super) size: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(failed("open", path))?;
        let before = file.metadata().map_err(failed("fstat", path))?;
        let size = before.len();
        Ok(Self { path: path.to_owned(), file, before, size })
    }

    /// The next `length` bytes, fewer only at the end.
    pub(super) fn read(&self, length: u64) -> Result<Bytes, Error> {
        let length = usize::try_from(length).unwrap_or_default();
        let read =
            if length > OWN_PAGES { self.read_pages(length) } else { self.read_heap(length) };
        read.map_err(failed("read", &self.path))
    }

    fn read_heap(&self, length: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        (&self.file).take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    /// Into pages that the system gets back as soon as they are sent.
    fn read_pages(&self, length: usize) -> io::Result<Bytes> {
        let mut pages = MmapMut::map_anon(length)?;
        let mut read = 0;
        while read < length {
            match (&self.file).read(&mut pages[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Bytes::from_owner(pages).slice(..read))
    }

    /// All of it; it must be small.
    pub(super) fn read_all(&self) -> Result<Bytes, Error> {
        let bytes = self.read(self.size)?;
        self.is_unchanged(bytes.len() as u64)?;
        Ok(bytes)
    }

    /// From the beginning again.
    pub(super) fn rewind(&self) -> Result<(), Error> {
        (&self.file).rewind().map_err(failed("read", &self.path))
    }

    /// Whether it is still what it was when it was opened, of which `read` bytes were read.
    pub(super) fn is_unchanged(&self, read: u64) -> Result<(), Error> {
        let now = self.file.metadata().map_err(failed("fstat", &self.path))?;
        let touched = |metadata: &Metadata| metadata.modified().ok();
        if read == self.size && now.len() == self.size && touched(&now) == touched(&self.before) {
            return Ok(());
        }
        let copied = if read == self.size { now.len() } else { read };
        Err(Error::Changed { file: self.path.clone(), copied, size: self.size })
    }

    /// Whether it may be run.
    pub(super) fn is_executable(&self) -> bool {
        is_executable(&self.before)
    }
}

/// What of a file is kept with its object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// In hexadecimal.
    pub(super) sha256: Option<String>,
    pub(super) executable: bool,
}

const HASH: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("sha256"));
const MODE: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("mode"));
const EXECUTABLE: &str = "755";

impl Properties {
    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(sha256) = &self.sha256 {
            attributes.insert(HASH, sha256.clone().into());
        }
        if self.executable {
            attributes.insert(MODE, EXECUTABLE.into());
        }
        attributes
    }

    pub(super) fn read(attributes: &Attributes) -> Self {
        let text = |key| attributes.get(&key).map(|value| value.as_ref().to_owned());
        Self { sha256: text(HASH), executable: text(MODE).as_deref() == Some(EXECUTABLE) }
    }
}

/// A SHA-256 that grows.
pub(super) struct Hash(Context);

impl Hash {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal.
    pub(super) fn finish(self) -> String {
        self.0.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
            text
        })
    }

    pub(super) fn of(bytes: &[u8]) -> String {
        let mut hash = Self::new();
        hash.update(bytes);
        hash.finish()
    }
}

/// A file with what is known of its content.
#[derive(Clone, Debug)]
pub(super) struct Hashed {
    pub(super) source: Arc<Source>,
    /// The content, if it is small.
    pub(super) bytes: Option<Bytes>,
    pub(super) properties: Properties,
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

/// Lets whoever may read a file run it.
#[cfg(unix)]
pub(super) fn make_executable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(PermissionsExt::from_mode(mode | ((mode & 0o444) >> 2)))
}

#[cfg(not(unix))]
pub(super) fn make_executable(_: &File) -> io::Result<()> {
    Ok(())
}
