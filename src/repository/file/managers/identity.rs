//! What stands in the file of a manager: whose it is.

use std::{fs::File, io::Seek};

use crate::model::{Fields, json};

/// The identity of a manager of this process, whose attempts have names that begin with `marks`.
pub(super) fn of(marks: &str) -> String {
    let system = system().map(|system| format!(r#","system":{}"#, json::string(&system)));
    let (pid, system) = (std::process::id(), system.unwrap_or_default());
    format!("{{\"pid\":{pid}{system},\"attempts\":{}}}\n", json::string(marks))
}

/// What the names of the attempts of the manager begin with whose file this is. `None` where its text is cut off.
pub(super) fn marks(file: &File) -> Option<String> {
    read(file)?.read("attempts")
}

fn read(mut file: &File) -> Option<Fields> {
    // It may have been read before.
    file.rewind().ok()?;
    Fields::parse(&std::io::read_to_string(file).ok()?).ok()
}

/// Whether the process of a manager is known to be gone. Ids of processes mean something only where this one runs.
#[cfg(target_os = "linux")]
pub(super) fn is_gone(file: &File) -> bool {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process},
    };

    let Some(fields) = read(file) else { return false };
    let is_here = fields.read::<String>("system").is_some_and(|its| system() == Some(its));
    let pid = fields.read("pid").and_then(Pid::from_raw);
    is_here && pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Elsewhere a process that is being started has no files of its parent's that it shall not keep.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_gone(_: &File) -> bool {
    false
}

/// Names this start of the machine and the PID namespace of this process.
fn system() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim_end(), namespace.display()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn process_is_gone_only_where_its_id_means_something() {
        let written = |identity: &str| {
            let path = tempfile::NamedTempFile::new().unwrap();
            path.as_file().write_all(identity.as_bytes()).unwrap();
            File::open(path.path()).unwrap()
        };
        let is_gone = |identity: &str| is_gone(&written(identity));
        let own = of("marks");
        // Above the highest id that Linux gives.
        let other = own.replace(&std::process::id().to_string(), "4194305");
        let file = written(&own);
        assert_eq!(
            [marks(&file), marks(&file)],
            [Some("marks".to_owned()), Some("marks".to_owned())]
        );
        assert!(!is_gone(&own));
        assert!(is_gone(&other));
        assert!(!is_gone(&other.replace("pid:[", "pid:[1")));
        assert!(!is_gone(&other[..20]));
    }
}
