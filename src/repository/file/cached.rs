//! Reads a file without ever waiting for a disk.

use std::path::Path;

/// Larger files are left to another thread: parsing them takes longer than the hop there.
#[cfg(target_os = "linux")]
const MAX_SIZE: usize = 256 * 1024;

/// The content of `path`, or that it is not there, if the kernel knows it without asking the disk.
#[cfg(target_os = "linux")]
pub(super) fn read(path: &Path) -> Option<Option<Vec<u8>>> {
    use std::io::IoSliceMut;

    use rustix::{
        fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2},
        io::{Errno, ReadWriteFlags, preadv2},
    };

    // Kernels before 5.12 do not know RESOLVE_CACHED, nor all file systems RWF_NOWAIT: they end in `None` too.
    let file = match openat2(
        CWD,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::CACHED,
    ) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Some(None),
        Err(_) => return None,
    };
    let size = usize::try_from(fstat(&file).ok()?.st_size).ok().filter(|size| *size <= MAX_SIZE)?;
    // One byte more than there is: a read that does not fill the buffer has reached the end.
    let mut content = vec![0; size + 1];
    let read =
        preadv2(&file, &mut [IoSliceMut::new(&mut content)], 0, ReadWriteFlags::NOWAIT).ok()?;
    if read > size {
        return None;
    }
    content.truncate(read);
    (read == size).then_some(Some(content))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read(_path: &Path) -> Option<Option<Vec<u8>>> {
    None
}
