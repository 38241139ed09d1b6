//! What stands in the file of a manager: whose it is.

use std::fs::File;

use crate::model::{Fields, json};

/// The identity of a manager of this process, whose attempts have names that begin with `marks`.
pub(super) fn of(marks: &str) -> String {
    let system = system().map(|system| format!(r#","system":{}"#, json::string(&system)));
    let (pid, system) = (std::process::id(), system.unwrap_or_default());
    format!("{{\"pid\":{pid}{system},\"attempts\":{}}}\n", json::string(marks))
}

/// What the names of a manager's attempts begin with. `None` where the text is cut off.
pub(super) fn marks(identity: &str) -> Option<String> {
    Fields::parse(identity).ok()?.read("attempts")
}

/// Whether the process of a manager is known to be gone. Ids of processes mean something only where this one runs.
#[cfg(target_os = "linux")]
pub(super) fn is_gone(file: &File) -> bool {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process},
    };

    let Ok(identity) = std::io::read_to_string(file) else { return false };
    let Ok(fields) = Fields::parse(&identity) else { return false };
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
        let is_gone = |identity: &str| {
            let path = tempfile::NamedTempFile::new().unwrap();
            path.as_file().write_all(identity.as_bytes()).unwrap();
            is_gone(&File::open(path.path()).unwrap())
        };
        let own = of("marks");
        // Above the highest id that Linux gives.
        let other = own.replace(&std::process::id().to_string(), "4194305");
        assert_eq!(marks(&own).as_deref(), Some("marks"));
        assert!(!is_gone(&own));
        assert!(is_gone(&other));
        assert!(!is_gone(&other.replace("pid:[", "pid:[1")));
        assert!(!is_gone(&other[..20]));
    }
}
