//! Trees of processes, their guardian, and program look-up on Unix.

mod census;
mod guardian;
mod tree;

use std::{
    io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::ExitStatus,
};

use rustix::fs::{Access, access};

pub(super) use census::Registry;
pub(super) use guardian::Guarded;
pub use guardian::Guardian;
use tree::order_group;
pub(super) use tree::{Order, Tree};

use super::{Command, in_folder};

/// Where programs are looked for when the child has no `PATH`, as in libuv.
const DEFAULT_PATH: &str = "/usr/bin:/bin";
/// What a pipe is widened to when much goes through it.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 256 * 1024;

/// Makes the child the leader of a group of its own.
pub(super) fn own_group(command: &mut tokio::process::Command) {
    command.process_group(0);
}

/// Lets the child see the name it was called by, not the path that was found for it.
pub(super) fn set_name(command: &mut tokio::process::Command, name: &str) {
    command.arg0(name);
}

/// Finds the program as execvp would with the child's own `PATH` and folder.
///
/// std would find it too, but not without fork: a bare name together with a changed `PATH` costs it `posix_spawn`,
/// and a fork of a process with 1 GB in use takes 50 ms.
pub(super) fn find_program(command: &Command) -> io::Result<PathBuf> {
    if command.program.contains('/') {
        return Ok(command.program.clone().into());
    }
    let path = command.env.get("PATH").unwrap_or(DEFAULT_PATH.as_ref());
    let mut refused = false;
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        let file = Path::new(std::ffi::OsStr::from_bytes(folder)).join(&command.program);
        let found = if file.is_absolute() {
            file
        } else {
            // The child changes its folder before it executes: look from there, hand over what it will see.
            in_folder(command.cwd.as_deref(), &file.to_string_lossy())
        };
        match access(&found, Access::EXEC_OK) {
            Ok(()) if found.is_file() => return std::path::absolute(&found),
            Ok(()) => refused = true,
            Err(error) => refused |= error == rustix::io::Errno::ACCESS,
        }
    }
    Err(io::Error::from_raw_os_error(if refused { libc::EACCES } else { libc::ENOENT }))
}

/// Whether the program is a text without a `#!` line.
pub(super) fn is_script_without_interpreter(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOEXEC)
}

/// Lets more fit into a pipe, which halves the number of wake-ups when much goes through it.
pub(super) fn widen_pipe(pipe: &impl AsFd) {
    // Not allowed to every user for every size, and only a matter of speed.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// The name of the signal that ended a child.
pub(super) fn signal_name(status: ExitStatus) -> Option<&'static str> {
    const NAMES: &[(i32, &str)] = &[
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    let signal = status.signal()?;
    NAMES.iter().find(|row| row.0 == signal).map(|row| row.1)
}
