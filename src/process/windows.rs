//! Trees of processes on Windows: a job object each, which ends with the handle to it, and so with this process.

#![expect(
    clippy::unnecessary_wraps,
    clippy::unused_async,
    clippy::unused_self,
    reason = "the interface is that of the other systems, where there is more to do"
)]

use std::{
    ffi::c_void,
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    path::{Path, PathBuf},
    process::ExitStatus,
    ptr,
    sync::Arc,
    time::Duration,
};

use tokio::process::Child;
use windows_sys::Win32::{
    Foundation::HANDLE,
    System::{
        Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent},
        JobObjects::{
            AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
            JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
            JOBOBJECTINFOCLASS, JobObjectBasicAccountingInformation,
            JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject,
            TerminateJobObject,
        },
        Threading::CREATE_NEW_PROCESS_GROUP,
    },
};

use super::{Activity, Command, Mark};

/// The exit code of what is killed, as with Node's `child.kill()`.
const KILLED: u32 = 1;

/// How a tree is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By itself: the child hears Ctrl-Break, if it shares our console; else it is killed.
    Terminate,
    /// At once.
    Kill,
}

/// Job objects need no guardian: the system ends them with this process.
#[derive(Debug, Default)]
pub struct Guardian(());

impl Guardian {
    /// Guards an attempt.
    pub(super) fn guard(self: &Arc<Self>, _mark: &Mark, _grace: Duration) -> Guarded {
        Guarded(())
    }

    /// Ends children that would outlive this process; there are none.
    pub(super) fn end_unguarded(&self, _leaders: impl Iterator<Item = u32>) {}
}

/// An attempt that is being guarded.
#[derive(Debug)]
pub(super) struct Guarded(());

impl Guarded {
    /// The child has been started.
    pub(super) fn started(&self, _pid: u32) {}
}

/// Who is running is asked of the job object itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry(());

/// See [`Registry`].
#[derive(Debug)]
pub(super) struct Census(());

impl Registry {
    /// There is nothing to be looked at.
    pub(super) async fn census(&self) -> io::Result<Arc<Census>> {
        Ok(Arc::new(Census(())))
    }
}

/// A child and everything that came of it, but for what it started before it was put into the job object, right after its
/// own start.
#[derive(Debug)]
pub(super) struct Tree {
    leader: u32,
    /// `None` when the system refused.
    job: Option<OwnedHandle>,
    /// Whether it was told to end by itself.
    told: bool,
}

impl Tree {
    /// The tree of a child that was just started.
    pub(super) fn of(child: &Child, leader: u32, _mark: Mark) -> Self {
        let job = child.raw_handle().and_then(|child| job_of(child.cast()).ok());
        Self { leader, job, told: false }
    }

    /// Gives an order to all of the tree.
    pub(super) fn order_group(&self, order: Order) {
        // SAFETY: a call without pointers.
        let heard = order == Order::Terminate
            && unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, self.leader) } != 0;
        if let Some(job) = self.job.as_ref().filter(|_| !heard) {
            // SAFETY: the handle is open. What fails here is found out by looking.
            unsafe { TerminateJobObject(job.as_raw_handle().cast(), KILLED) };
        }
    }

    /// The child, if anybody of the tree is there.
    pub(super) fn group(&self) -> Option<u32> {
        (self.accounting()?.ActiveProcesses > 0).then_some(self.leader)
    }

    /// Gives an order to all of the tree; gives its leader as long as anybody is still running.
    pub(super) fn order(&mut self, _census: &Census, order: Order) -> Vec<u32> {
        if order == Order::Kill || !self.told {
            self.told = true;
            self.order_group(order);
        }
        self.group().into_iter().collect()
    }

    /// What the tree is doing.
    pub(super) fn activity(&mut self, _census: &Census) -> Activity {
        let accounting = self.accounting().unwrap_or_default();
        let ticks = accounting.TotalUserTime + accounting.TotalKernelTime;
        // In units of 100 ns.
        let cpu = Duration::from_nanos(ticks.unsigned_abs().saturating_mul(100));
        Activity { processes: accounting.ActiveProcesses as usize, state: "running", cpu }
    }

    /// Lets what is still running go on when this process ends.
    pub(super) fn release(&mut self) {
        if let Some(job) = &self.job {
            let limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
            // It fails only for handles that are not open.
            drop(set(job, JobObjectExtendedLimitInformation, &limits));
        }
    }

    fn accounting(&self) -> Option<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION> {
        let mut accounting = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        let length = size(&accounting);
        // SAFETY: the handle is open, and the place as large as is said.
        let done = unsafe {
            QueryInformationJobObject(
                self.job.as_ref()?.as_raw_handle().cast(),
                JobObjectBasicAccountingInformation,
                (&raw mut accounting).cast(),
                length,
                ptr::null_mut(),
            )
        };
        (done != 0).then_some(accounting)
    }
}

/// A job object with `child` in it that ends when its handle is closed.
fn job_of(child: HANDLE) -> io::Result<OwnedHandle> {
    // SAFETY: both pointers may be null.
    let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
    if job.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just opened and is nobody else's.
    let job = unsafe { OwnedHandle::from_raw_handle(job.cast()) };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    set(&job, JobObjectExtendedLimitInformation, &limits)?;
    // SAFETY: both handles are open: the child was not waited for.
    check(unsafe { AssignProcessToJobObject(job.as_raw_handle().cast(), child) })?;
    Ok(job)
}

fn set<T>(job: &OwnedHandle, class: JOBOBJECTINFOCLASS, value: &T) -> io::Result<()> {
    let pointer = ptr::from_ref(value).cast::<c_void>();
    // SAFETY: the handle is open, and the value as large as is said.
    check(unsafe {
        SetInformationJobObject(job.as_raw_handle().cast(), class, pointer, size(value))
    })
}

/// The size of what the system is given.
fn size<T>(_value: &T) -> u32 {
    u32::try_from(size_of::<T>()).expect("a structure of some bytes")
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets the child hear Ctrl-Break without us.
pub(super) fn own_group(command: &mut tokio::process::Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// Programs see the name they were found by.
pub(super) fn set_name(_command: &mut tokio::process::Command, _name: &str) {}

/// The system looks programs up, in the child's own `PATH` (std sees to that).
pub(super) fn find_program(command: &Command) -> io::Result<PathBuf> {
    Ok(Path::new(&command.program).to_owned())
}

/// There is no sh to hand scripts to.
pub(super) fn is_script_without_interpreter(_error: &io::Error) -> bool {
    false
}

/// Pipes grow by themselves.
pub(super) fn widen_pipe<T>(_pipe: &T) {}

/// Processes are not ended by signals.
pub(super) fn signal_name(_status: ExitStatus) -> Option<&'static str> {
    None
}
