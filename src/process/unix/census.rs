//! Who is running on this machine.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::Mutex;

/// One process, as the system lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    /// 0 where the system does not tell.
    pub(super) session: i32,
    /// One letter, as in proc(5) and ps(1).
    pub(super) state: char,
    /// When it was started, in a unit of the system's. Tells two processes apart that had one id.
    pub(super) started: u64,
    /// The processor time that it and its children it has waited for have used, in ticks.
    pub(super) ticks: u64,
}

impl Process {
    /// Whether there is more of it than an exit code that nobody has asked for. Nobody may ever do.
    pub(super) fn is_running(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Everything that ran at one moment.
#[derive(Debug)]
pub(in super::super) struct Census {
    pub(super) processes: Vec<Process>,
}

impl Census {
    fn take() -> io::Result<Self> {
        list().map(|processes| Self { processes })
    }

    /// The process with the given id.
    pub(super) fn find(&self, pid: i32) -> Option<Process> {
        self.processes.iter().find(|process| process.pid == pid).copied()
    }
}

/// Takes a census when one is needed. Those who ask while one is being taken share the next one: 32 chunks that are
/// cancelled at once do not each read all of `/proc`.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Registry(Arc<Mutex<Option<Taken>>>);

/// A census, and when it was begun.
#[derive(Debug)]
struct Taken {
    begun: Instant,
    census: Arc<Census>,
}

impl Registry {
    /// A census that was begun after this was called.
    pub(in super::super) async fn census(&self) -> io::Result<Arc<Census>> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(taken) = last.as_ref().filter(|taken| taken.begun >= asked) {
            return Ok(Arc::clone(&taken.census));
        }
        let begun = Instant::now();
        let census = Arc::new(crate::task::blocking(Census::take).await?);
        *last = Some(Taken { begun, census: Arc::clone(&census) });
        Ok(census)
    }
}

#[cfg(target_os = "linux")]
fn list() -> io::Result<Vec<Process>> {
    use std::os::unix::ffi::OsStrExt;

    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        if entry.file_name().as_bytes()[0].is_ascii_digit() {
            // Processes end while they are listed.
            let stat = std::fs::read(entry.path().join("stat"));
            processes.extend(stat.ok().and_then(|stat| parse(&String::from_utf8_lossy(&stat))));
        }
    }
    Ok(processes)
}

/// Reads `/proc/*/stat`, see proc(5). The name in it may hold anything, also brackets and spaces.
#[cfg(target_os = "linux")]
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(' ')?;
    let fields: Vec<&str> = rest.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // proc(5) counts from 1 and has the id and the name before these.
    let number = |place: usize| fields.get(place - 3)?.parse::<i64>().ok();
    let id = |place| i32::try_from(number(place)?).ok();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: id(4)?,
        group: id(5)?,
        session: id(6)?,
        state: fields.first()?.chars().next()?,
        started: number(22)?.cast_unsigned(),
        ticks: (14..=17).map_while(number).sum::<i64>().cast_unsigned(),
    })
}

/// Whether a process was started with `mark` in its environment.
#[cfg(target_os = "linux")]
pub(super) fn is_marked(process: Process, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{}/environ", process.pid));
    // Other users' cannot be read, and are none of ours.
    environment.is_ok_and(|text| text.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

/// Elsewhere the environment of others is not to be had.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_marked(_process: Process, _mark: &str) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "asks the system who is running")]
fn list() -> io::Result<Vec<Process>> {
    let columns = "pid=,ppid=,pgid=,stat=,time=";
    let output = std::process::Command::new("/bin/ps").args(["-axo", columns]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect())
}

/// Reads a line of ps(1). The time is `minutes:seconds.hundredths`, with hours or days before it where it took so long.
#[cfg(not(target_os = "linux"))]
fn parse(line: &str) -> Option<Process> {
    let mut fields = line.split_ascii_whitespace();
    let mut id = || fields.next()?.parse().ok();
    let (pid, parent, group) = (id()?, id()?, id()?);
    let state = fields.next()?.chars().next()?;
    let time = fields.next().unwrap_or_default();
    let digits = time.bytes().filter(u8::is_ascii_digit);
    let ticks = digits.fold(0, |sum: u64, digit| sum.wrapping_mul(10) + u64::from(digit - b'0'));
    Some(Process { pid, parent, group, session: 0, state, started: 0, ticks })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_and_spaces_are_no_trouble() {
        let stat = "42 (a) b (c) S 7 8 9 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5555 1000 10";
        let process = parse(stat).unwrap();
        let expected = Process {
            pid: 42,
            parent: 7,
            group: 8,
            session: 9,
            state: 'S',
            started: 5555,
            ticks: 100,
        };
        assert_eq!(process, expected);
        assert!(process.is_running() && !parse(&stat.replace(" S ", " Z ")).unwrap().is_running());
        assert_eq!(parse("42 (cut"), None);
    }

    #[test]
    fn this_process_is_listed() {
        let census = Census::take().unwrap();
        let own = census.find(std::process::id().cast_signed()).unwrap();
        let parent = std::os::unix::process::parent_id();
        assert_eq!(own.parent, parent.cast_signed());
        assert!(own.is_running() && own.started > 0);
        let path = std::env::var("PATH").unwrap();
        assert!(is_marked(own, &path) && !is_marked(own, &format!("{path}-not")));
    }

    #[tokio::test]
    async fn those_who_ask_together_share_one_census() {
        let registry = Registry::default();
        let (first, second, third) =
            tokio::join!(registry.census(), registry.census(), registry.census());
        let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
        // The first had been begun when the others asked, or had not: no more than two were taken.
        assert!(Arc::ptr_eq(&second, &third) || Arc::ptr_eq(&first, &second));
        let later = registry.census().await.unwrap();
        assert!(!Arc::ptr_eq(&third, &later));
    }
}
