//! Errors of the operating system in the form Node gives them.

use std::{fmt, io, path::Path};

/// An error of a system call, with the fields and the text of Node's own: `ENOENT: no such file or directory, open 'x'`.
#[derive(Debug)]
pub struct SystemError {
    source: io::Error,
    /// The system call in libuv's words: `open`, `mkdir`, `rename`, `scandir`…
    pub syscall: &'static str,
    /// What the call was about.
    pub path: String,
}

impl SystemError {
    /// What `syscall` on `path` failed with.
    pub fn new(source: io::Error, syscall: &'static str, path: impl AsRef<Path>) -> Self {
        Self { source, syscall, path: path.as_ref().to_string_lossy().into_owned() }
    }

    /// Node's `code`, such as `ENOENT`.
    pub fn code(&self) -> &'static str {
        code_and_text(&self.source).0
    }

    /// Node's `errno`: the negated number of the operating system.
    pub fn errno(&self) -> i32 {
        errno(&self.source)
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, text) = code_and_text(&self.source);
        if code == "UNKNOWN" {
            write!(f, "{code}: {}, {} '{}'", self.source, self.syscall, self.path)
        } else {
            write!(f, "{code}: {text}, {} '{}'", self.syscall, self.path)
        }
    }
}

impl std::error::Error for SystemError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Node's `errno` of `error`: negative, as libuv has it.
pub(crate) fn errno(error: &io::Error) -> i32 {
    -error.raw_os_error().unwrap_or(0)
}

/// Node's `code` of `error`, such as `ENOENT`.
pub(crate) fn code(error: &io::Error) -> &'static str {
    code_and_text(error).0
}

/// Prints the [`code`] of an error, for messages of the form `spawn x ENOENT`.
pub(crate) struct SpawnCode<'a>(pub(crate) &'a io::Error);

impl fmt::Display for SpawnCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(code(self.0))
    }
}

/// Code and text as libuv's `uv_strerror` has them.
#[cfg(unix)]
fn code_and_text(error: &io::Error) -> (&'static str, &'static str) {
    const TABLE: &[(i32, &str, &str)] = &[
        (libc::E2BIG, "E2BIG", "argument list too long"),
        (libc::EACCES, "EACCES", "permission denied"),
        (libc::EAGAIN, "EAGAIN", "resource temporarily unavailable"),
        (libc::EBADF, "EBADF", "bad file descriptor"),
        (libc::EBUSY, "EBUSY", "resource busy or locked"),
        (libc::ECONNABORTED, "ECONNABORTED", "software caused connection abort"),
        (libc::ECONNREFUSED, "ECONNREFUSED", "connection refused"),
        (libc::ECONNRESET, "ECONNRESET", "connection reset by peer"),
        (libc::EDQUOT, "EDQUOT", "disk quota exceeded"),
        (libc::EEXIST, "EEXIST", "file already exists"),
        (libc::EHOSTUNREACH, "EHOSTUNREACH", "host is unreachable"),
        (libc::ENETUNREACH, "ENETUNREACH", "network is unreachable"),
        (libc::ETIMEDOUT, "ETIMEDOUT", "connection timed out"),
        (libc::EFBIG, "EFBIG", "file too large"),
        (libc::EINVAL, "EINVAL", "invalid argument"),
        (libc::EIO, "EIO", "i/o error"),
        (libc::EISDIR, "EISDIR", "illegal operation on a directory"),
        (libc::ELOOP, "ELOOP", "too many symbolic links encountered"),
        (libc::EMFILE, "EMFILE", "too many open files"),
        (libc::ENAMETOOLONG, "ENAMETOOLONG", "name too long"),
        (libc::ENFILE, "ENFILE", "file table overflow"),
        (libc::ENOENT, "ENOENT", "no such file or directory"),
        (libc::ENOEXEC, "ENOEXEC", "exec format error"),
        (libc::ENOMEM, "ENOMEM", "not enough memory"),
        (libc::ENOSPC, "ENOSPC", "no space left on device"),
        (libc::ENOTDIR, "ENOTDIR", "not a directory"),
        (libc::ENOTEMPTY, "ENOTEMPTY", "directory not empty"),
        (libc::EPERM, "EPERM", "operation not permitted"),
        (libc::EPIPE, "EPIPE", "broken pipe"),
        (libc::EROFS, "EROFS", "read-only file system"),
        (libc::ETXTBSY, "ETXTBSY", "text file is busy"),
        (libc::EXDEV, "EXDEV", "cross-device link not permitted"),
    ];
    let number = error.raw_os_error().unwrap_or(0);
    TABLE
        .iter()
        .find(|row| row.0 == number)
        .map_or(("UNKNOWN", "unknown error"), |row| (row.1, row.2))
}

/// Code and text by kind: Windows' numbers are not errnos.
#[cfg(not(unix))]
fn code_and_text(error: &io::Error) -> (&'static str, &'static str) {
    match error.kind() {
        io::ErrorKind::NotFound => ("ENOENT", "no such file or directory"),
        io::ErrorKind::PermissionDenied => ("EACCES", "permission denied"),
        io::ErrorKind::AlreadyExists => ("EEXIST", "file already exists"),
        io::ErrorKind::NotADirectory => ("ENOTDIR", "not a directory"),
        io::ErrorKind::IsADirectory => ("EISDIR", "illegal operation on a directory"),
        io::ErrorKind::StorageFull => ("ENOSPC", "no space left on device"),
        _ => ("UNKNOWN", "unknown error"),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn text_is_nodes() {
        let error =
            SystemError::new(io::Error::from_raw_os_error(libc::ENOENT), "open", "/no/such");
        assert_eq!(error.to_string(), "ENOENT: no such file or directory, open '/no/such'");
        assert_eq!((error.code(), error.errno()), ("ENOENT", -libc::ENOENT));
    }

    #[test]
    fn unknown_error_keeps_the_systems_words() {
        let error = SystemError::new(io::Error::other("odd"), "open", "x");
        assert_eq!(error.to_string(), "UNKNOWN: odd, open 'x'");
    }
}
