//! Process groups, signals and program look-up on Unix.

use std::{
    io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::ExitStatus,
};

use rustix::{
    fs::{Access, access},
    process::{Pid, Signal, kill_process_group, test_kill_process_group},
};
use tokio::process::Child;

use super::{Command, in_folder};

/// Where programs are looked for when the child has no `PATH`, as in libuv.
const DEFAULT_PATH: &str = "/usr/bin:/bin";
/// What a pipe is widened to when much goes through it.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 256 * 1024;

/// The process group of a child: the child itself and what it started, unless that left the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group(Pid);

impl Group {
    /// The group that `child` leads.
    pub(super) fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Self(pid.expect("a child that was not waited for has an id"))
    }

    /// The id of the group.
    pub(super) fn id(self) -> u32 {
        self.0.as_raw_nonzero().get().cast_unsigned()
    }

    /// Tells the group to end.
    pub(super) fn terminate(self) {
        self.signal(Signal::TERM);
    }

    /// Ends the group.
    pub(super) fn kill(self) {
        self.signal(Signal::KILL);
    }

    fn signal(self, signal: Signal) {
        // The group may be gone (ESRCH) or have changed its user (EPERM); whether it is gone is looked at afterwards.
        let _ = kill_process_group(self.0, signal);
    }

    /// Whether anything of the group is still running. Zombies do not count: nobody may ever reap them.
    pub(super) fn is_alive(self) -> bool {
        test_kill_process_group(self.0) != Err(rustix::io::Errno::SRCH) && self.has_running_member()
    }

    #[cfg(target_os = "linux")]
    fn has_running_member(self) -> bool {
        let Ok(entries) = std::fs::read_dir("/proc") else { return true };
        entries.filter_map(Result::ok).any(|entry| {
            entry.file_name().as_bytes()[0].is_ascii_digit()
                && std::fs::read_to_string(entry.path().join("stat"))
                    .is_ok_and(|stat| self.is_running_member(&stat))
        })
    }

    /// Whether a line of `/proc/*/stat` (see proc(5)) is about a running process of the group. The name in it may hold
    /// anything, also brackets and spaces.
    #[cfg(target_os = "linux")]
    fn is_running_member(self, stat: &str) -> bool {
        let Some((_, rest)) = stat.rsplit_once(')') else { return false };
        let mut fields = rest.split_ascii_whitespace();
        let (state, group) = (fields.next(), fields.nth(1));
        !matches!(state, Some("Z" | "X"))
            && group.is_some_and(|group| group == self.id().to_string())
    }

    #[cfg(not(target_os = "linux"))]
    fn has_running_member(self) -> bool {
        true
    }
}

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
