//! Reads a file without ever waiting for a disk.

use std::path::Path;

/// Larger files are left to another thread: parsing them takes longer than the hop there.
#[cfg(target_os = "linux")]
const MAX_SIZE: usize = 256 * 1024;

/// What the kernel knows of a file without asking the disk.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux tells whether a file is in memory")
)]
pub(super) enum Cached {
    /// All that is in it.
    Content(Vec<u8>),
    /// That it is not there.
    Missing,
    /// Not enough.
    Unknown,
}

/// Looks at `path`.
#[cfg(target_os = "linux")]
pub(super) fn read(path: &Path) -> Cached {
    use rustix::{
        fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
        io::Errno,
    };

    // Kernels before 5.12 do not know RESOLVE_CACHED.
    match openat2(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED)
    {
        Ok(file) => read_opened(&file).map_or(Cached::Unknown, Cached::Content),
        Err(Errno::NOENT) => Cached::Missing,
        Err(_) => Cached::Unknown,
    }
}

#[cfg(target_os = "linux")]
fn read_opened(file: &rustix::fd::OwnedFd) -> Option<Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let size = rustix::fs::fstat(file).ok()?.st_size;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_SIZE)?;
    // One byte more than there is: a read that does not fill the buffer has reached the end.
    let mut content = vec![0; size + 1];
    let buffers = &mut [std::io::IoSliceMut::new(&mut content)];
    // Not all file systems know RWF_NOWAIT.
    let read = preadv2(file, buffers, 0, ReadWriteFlags::NOWAIT).ok()?;
    content.truncate(size);
    (read == size).then_some(content)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read(_path: &Path) -> Cached {
    Cached::Unknown
}
