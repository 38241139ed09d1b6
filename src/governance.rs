//! Keeps the versions of packages in a workspace in step.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::SystemError,
    files::atomic,
    model::{
        Fields,
        json::{indent, string},
    },
    task,
};

/// The parts of a package.json in which versions are kept in step. Peer dependencies are ranges on purpose.
const DEPENDENCY_FIELDS: [&str; 2] = ["dependencies", "devDependencies"];

/// Why the versions could not be brought in step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    System(SystemError),
    /// A package.json is not JSON.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// What is wrong with it.
        source: serde_json::Error,
        /// The file.
        path: PathBuf,
    },
}

struct Package {
    path: PathBuf,
    fields: Fields,
    changed: bool,
}

/// Sets every dependency of `packages/*` on another package of the workspace to `^` and that package's version. Only
/// files that change are written, each atomically.
///
/// # Errors
/// When a package.json cannot be read, parsed or written.
pub async fn sync_workspace_dependencies(root_dir: PathBuf) -> Result<(), Error> {
    task::blocking(move || sync(&root_dir.join("packages"))).await
}

fn sync(folder: &Path) -> Result<(), Error> {
    let mut packages = read_packages(folder)?;
    let versions: HashMap<String, String> = packages
        .iter()
        .filter_map(|package| Some((package.fields.read("name")?, package.fields.read("version")?)))
        .collect();
    for package in &mut packages {
        for field in DEPENDENCY_FIELDS {
            update(package, field, &versions);
        }
        if package.changed {
            write(package)?;
        }
    }
    Ok(())
}

fn read_packages(folder: &Path) -> Result<Vec<Package>, Error> {
    let system = |source| Error::System(SystemError::new(source, "scandir", folder));
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(system)?,
    };
    let mut packages = Vec::new();
    for entry in entries {
        let path = entry.map_err(system)?.path().join("package.json");
        let text = match std::fs::read_to_string(&path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            text => {
                text.map_err(|source| Error::System(SystemError::new(source, "open", &path)))?
            }
        };
        match Fields::parse(&text) {
            Ok(fields) => packages.push(Package { path, fields, changed: false }),
            Err(source) => return Err(Error::Syntax { source, path }),
        }
    }
    Ok(packages)
}

fn update(package: &mut Package, field: &str, versions: &HashMap<String, String>) {
    let Some(mut dependencies) = package.fields.read::<Fields>(field) else { return };
    let names: Vec<String> = dependencies.iter().map(|(name, _)| name.to_owned()).collect();
    let mut changed = false;
    for name in names {
        let Some(version) = versions.get(&name) else { continue };
        let wanted = format!("^{version}");
        if dependencies.read::<String>(&name).as_ref() != Some(&wanted) {
            dependencies.set(&name, string(&wanted));
            changed = true;
        }
    }
    if changed {
        package.fields.set(field, dependencies.json());
        package.changed = true;
    }
}

fn write(package: &Package) -> Result<(), Error> {
    let write_to = |file: &mut dyn io::Write| {
        let mut text = Vec::new();
        indent(package.fields.json().as_bytes(), 0, &mut text)?;
        text.push(b'\n');
        file.write_all(&text)
    };
    // A linked package.json stays a link.
    let path = std::fs::canonicalize(&package.path).unwrap_or_else(|_| package.path.clone());
    let replaced = atomic::replace(&path, atomic::Durability::Synced, write_to);
    replaced.map(drop).map_err(Error::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn synced(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<(), Error>) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join("packages").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let result = sync_workspace_dependencies(root.path().into()).await;
        (root, result)
    }

    fn read(root: &tempfile::TempDir, path: &str) -> String {
        std::fs::read_to_string(root.path().join("packages").join(path)).unwrap()
    }

    #[tokio::test]
    async fn dependencies_follow_and_everything_else_stays() {
        let app = "{\n  \"odd\": 1.50,\n  \"dependencies\": {\n    \"core\": \"1.0.0\",\n    \"left-pad\": \"1\"\n  },\n  \
                   \"devDependencies\": {\n    \"core\": \"*\"\n  },\n  \"peerDependencies\": {\n    \"core\": \"1\"\n  },\n  \
                   \"name\": \"app\"\n}\n";
        let core = r#"{"name":"core","version":"2.1.0"}"#;
        let (root, result) =
            synced(&[("app/package.json", app), ("core/package.json", core), ("docs/x", "")]).await;
        result.unwrap();
        let expected = app
            .replace("\"core\": \"1.0.0\"", "\"core\": \"^2.1.0\"")
            .replace("\"core\": \"*\"", "\"core\": \"^2.1.0\"");
        assert_eq!(read(&root, "app/package.json"), expected);
        assert_eq!(read(&root, "core/package.json"), core, "unchanged files are not written");
    }

    #[tokio::test]
    async fn broken_json_is_an_error_and_no_packages_are_none() {
        let (_root, result) = synced(&[("a/package.json", "{")]).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains("a/package.json: "), "{error}");
        let (_root, result) = synced(&[]).await;
        result.unwrap();
    }
}
