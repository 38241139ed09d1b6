//! How variables get into a container without their values being seen in a list of processes.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{error::InvalidInput, process::Environment};

/// What docker itself goes by, and the helpers that it asks for logins, beside all that begins or ends as said below.
const CLIENTS_OWN: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "GNUPGHOME",
    "GODEBUG",
    "HOME",
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USERPROFILE",
];
const CLIENTS_OWN_BEGIN: &[&str] =
    &["AWS_", "AZURE_", "CLOUDSDK_", "DOCKER_", "GOOGLE_", "LD_", "PASSWORD_STORE_", "XDG_"];

/// The variables of a container.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// What docker has in its own environment, and is told the names of.
    pub(super) names: Vec<String>,
    /// What would mean something to docker itself, as text for a file.
    filed: String,
}

impl Variables {
    /// Gives a container what was `picked`, by the environment of docker where that can be.
    ///
    /// # Errors
    /// When a value can be given neither way.
    pub(super) fn place(
        picked: BTreeMap<String, String>,
        env: &mut Environment,
    ) -> Result<Self, InvalidInput> {
        let mut variables = Self::default();
        for (name, value) in picked {
            // A name with a sign like that would be taken for name and value, or for two.
            if name.is_empty() || name.contains(['=', '\n', '\r']) {
                continue;
            }
            let is_same = env.get(&name).is_some_and(|here| *here == *value);
            if is_same || !is_clients_own(&name) {
                env.apply(vec![(name.clone(), Some(value))]);
                variables.names.push(name);
                continue;
            }
            if value.contains(['\n', '\r']) {
                let text =
                    format!("job.env['{name}'] must be one line, as docker itself goes by it");
                return Err(InvalidInput::new(text));
            }
            // Writing to a string does not fail.
            let _ = writeln!(variables.filed, "{name}={value}");
        }
        Ok(variables)
    }

    /// The content of a file with what is not given by name, if there is such.
    pub(super) fn filed(&self) -> Option<String> {
        (!self.filed.is_empty()).then(|| self.filed.clone())
    }
}

fn is_clients_own(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    CLIENTS_OWN.contains(&name.as_str())
        || CLIENTS_OWN_BEGIN.iter().any(|beginning| name.starts_with(beginning))
        || name.ends_with("_PROXY")
}

/// A file that only its owner can read, until this is dropped.
#[derive(Debug)]
pub(super) struct VariableFile(PathBuf);

/// What the names of the files of a process begin with, whose [`marks`](crate::process::Supervisor::marks) these are.
fn beginning(marks: &str) -> String {
    format!("helios-env-{marks}-")
}

/// Removes the files that a dead process has left. Those that cannot be removed are another user's.
pub(super) fn remove_all(marks: &str) {
    let beginning = beginning(marks);
    let files = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for file in files.filter(|it| it.file_name().to_string_lossy().starts_with(&beginning)) {
        drop(std::fs::remove_file(file.path()));
    }
}

impl VariableFile {
    /// A file of the process with these marks, with this content.
    pub(super) fn new(marks: &str, text: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(beginning(marks) + &Uuid::new_v4().to_string());
        let mut file = create_private(&path)?;
        let made = Self(path);
        file.write_all(text.as_bytes()).map(|()| made)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for VariableFile {
    fn drop(&mut self) {
        // One that cannot be removed stays; there is nobody to tell.
        drop(std::fs::remove_file(&self.0));
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment(pairs.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    fn picked(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_docker_goes_by_itself_stays_as_it_is() {
        let mut env = environment(&[("PATH", "/bin"), ("DOCKER_HOST", "unix:///x"), ("A", "0")]);
        let variables = Variables::place(
            picked(&[
                ("A", "1"),
                ("B", "two\nlines"),
                ("PATH", "/opt"),
                ("DOCKER_HOST", "unix:///x"),
                ("DOCKER_CONTEXT", "other"),
                ("https_proxy", "http://user:word@proxy"),
                ("C=D", "secret"),
                ("XDG\nC", "secret"),
                ("", "secret"),
            ]),
            &mut env,
        );
        let variables = variables.unwrap();
        assert_eq!(variables.names, ["A", "B", "DOCKER_HOST"]);
        let expected = "DOCKER_CONTEXT=other\nPATH=/opt\nhttps_proxy=http://user:word@proxy\n";
        assert_eq!(variables.filed, expected);
        assert_eq!(env.get("PATH").unwrap(), "/bin");
        assert_eq!(
            (env.get("A").unwrap(), env.get("B").unwrap()),
            ("1".as_ref(), "two\nlines".as_ref())
        );
        assert!(env.get("https_proxy").is_none() && env.get("DOCKER_CONTEXT").is_none());
    }

    #[test]
    fn file_is_private_and_goes() {
        let mut env = environment(&[("PATH", "/bin")]);
        let none = Variables::place(picked(&[("A", "1")]), &mut env).unwrap();
        assert!(none.filed().is_none());
        let some = Variables::place(picked(&[("PATH", "/opt")]), &mut env).unwrap();
        let file = VariableFile::new("marks.1", &some.filed().unwrap()).unwrap();
        let path = file.path().to_owned();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "PATH=/opt\n");
        #[cfg(unix)]
        {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        remove_all("marks.2");
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
        let left = VariableFile::new("marks.3", "").unwrap();
        remove_all("marks.3");
        assert!(!left.path().exists());
    }

    #[test]
    fn file_has_one_line_per_variable() {
        let refused = Variables::place(picked(&[("PATH", "/a\nB=1")]), &mut Environment::default());
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "job.env['PATH'] must be one line, as docker itself goes by it");
    }

    proptest! {
        #[test]
        fn every_variable_gets_there_in_one_way(names: Vec<String>, value in "[^\n\r]*") {
            let all: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), value.clone())).collect();
            let is_usable = |name: &&String| !name.is_empty() && !name.contains(['=', '\n', '\r']);
            let usable = all.keys().filter(is_usable).count();
            let mut env = Environment::default();
            let variables = Variables::place(all, &mut env).unwrap();
            prop_assert!(variables.names.iter().all(|name| env.get(name).is_some_and(|there| *there == *value)));
            prop_assert!(variables.names.iter().all(|name| !is_clients_own(name)));
            let filed = variables.filed.matches('\n').count();
            prop_assert_eq!(variables.names.len() + filed, usable);
        }
    }
}
