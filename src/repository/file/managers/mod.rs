//! Which manager has which job of a folder.
//!
//! A manager that runs jobs holds a lock on a file of its own, `.manager-<uuid>`, whose uuid stands in the records of its
//! jobs. The system gives the lock up when the process dies, whichever way: that is how others know, also those in another
//! container or PID namespace, where ids of processes mean nothing. What they ask of it they append to
//! `.manager-<uuid>.asked`, one line each.

mod identity;
mod member;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use uuid::Uuid;

use self::member::Member;
use super::{
    super::{DeadManager, Error, Managers, Membership, Request},
    FileJobRepository, journal, read, remove_record, strays, view,
};
use crate::{
    Result,
    error::SystemError,
    files::{
        self,
        atomic::{Durability, Replacement},
    },
    model::{JobState, JobStatus, json},
    task,
};

/// What the names of the managers' files begin with.
pub(super) const PREFIX: &str = ".manager-";
/// What the names of the files with requests end with.
pub(super) const ASKED: &str = "asked";

impl Managers for FileJobRepository {
    fn join(&self, marks: &str) -> LocalBoxFuture<'_, Result<Option<Box<dyn Membership>>>> {
        let (folder, marks) = (Arc::clone(&self.folder), marks.to_owned());
        async move {
            let member = task::blocking(move || Member::join(&folder, &marks)).await?;
            Ok(member.map(|member| Box::new(member) as Box<dyn Membership>))
        }
        .boxed_local()
    }

    fn is_alive<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<bool>> {
        let path = path_of(&self.folder, name);
        async move {
            let Some(path) = path else { return Ok(false) };
            Ok(task::blocking(move || is_alive(&path)).await?)
        }
        .boxed_local()
    }

    fn claim<'a>(
        &'a self,
        id: &'a str,
        states: &'static [JobState],
        name: &'a str,
    ) -> LocalBoxFuture<'a, Result<bool>> {
        async move {
            let (path, folder) = (self.path(id)?, Arc::clone(&self.folder));
            let (name, durability) = (name.to_owned(), self.durability);
            let _writer = self.writers.acquire(id).await;
            Ok(task::blocking(move || claim(&path, &folder, states, name, durability)).await?)
        }
        .boxed_local()
    }

    fn remove<'a>(&'a self, id: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<bool>> {
        async move {
            let (path, folder) = (self.path(id)?, Arc::clone(&self.folder));
            let (name, durability) = (name.to_owned(), self.durability);
            let _writer = self.writers.acquire(id).await;
            Ok(task::blocking(move || remove_unless_claimed(&path, &folder, &name, durability))
                .await?)
        }
        .boxed_local()
    }

    fn ask<'a>(&'a self, name: &'a str, request: Request) -> LocalBoxFuture<'a, Result<()>> {
        let path = path_of(&self.folder, name);
        async move {
            let Some(path) = path else { return Ok(()) };
            Ok(task::blocking(move || ask(&path.with_extension(ASKED), &request)).await?)
        }
        .boxed_local()
    }

    fn dead(&self) -> LocalBoxFuture<'_, Result<Vec<DeadManager>>> {
        let folder = Arc::clone(&self.folder);
        async move { Ok(task::blocking(move || dead(&folder)).await?) }.boxed_local()
    }

    fn forget(&self, dead: Vec<DeadManager>) -> LocalBoxFuture<'_, Result<()>> {
        let folder = Arc::clone(&self.folder);
        async move {
            task::blocking(move || {
                let paths = dead.iter().filter_map(|dead| path_of(&folder, &dead.name));
                paths.for_each(|path| remove_dead(&path));
                strays::remove(&folder);
            })
            .await;
            Ok(())
        }
        .boxed_local()
    }
}

/// The file of a manager. Names are read from records, which anybody may have written.
fn path_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Uuid::try_parse(name).ok()?.hyphenated();
    Some(folder.join(format!("{PREFIX}{name}")))
}

fn failed<'a>(syscall: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::System(SystemError::new(source, syscall, path))
}

fn is_missing<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// What is to be seen of a manager.
enum Seen {
    /// It is not there: it has never been, or has left.
    Nothing,
    Alive,
    /// It has died. Its file is locked as long as this is held.
    Dead(File),
}

fn look(path: &Path) -> Result<Seen, Error> {
    let file = File::open(path);
    if is_missing(&file) {
        return Ok(Seen::Nothing);
    }
    let file = file.map_err(failed("open", path))?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) if identity::is_gone(&file) => {
            // What a process was starting when it died has its files, and the lock, until its program runs. It is known by its
            // mark only then, so it is waited for.
            file.lock_shared().map_err(failed("flock", path))?;
        }
        Err(TryLockError::WouldBlock) => return Ok(Seen::Alive),
        Err(TryLockError::Error(error)) => return Err(failed("flock", path)(error)),
    }
    // Who leaves removes the file before the lock.
    let opened = file.metadata().map_err(failed("stat", path))?;
    let is_there = files::names(path, &opened).map_err(failed("stat", path))?;
    Ok(if is_there { Seen::Dead(file) } else { Seen::Nothing })
}

fn is_alive(path: &Path) -> Result<bool, Error> {
    Ok(matches!(look(path)?, Seen::Alive))
}

fn claim(
    path: &Path,
    folder: &Path,
    states: &[JobState],
    name: String,
    durability: Durability,
) -> Result<bool, Error> {
    let record = Replacement::begin(path).map_err(Error::System)?;
    let Some(text) = read(path)? else { return Ok(false) };
    let mut status: JobStatus = view(&text)?.into_status();
    if !status.state.is_some_and(|state| states.contains(&state)) {
        return Ok(false);
    }
    if is_with_another(&status, folder, &name)? {
        return Ok(false);
    }
    status.manager = Some(name);
    let document = status.document().expect("what was read from JSON can be written as JSON");
    journal::replace(record, durability, |out| document.write_to(out))?;
    Ok(true)
}

/// Whether a manager of another name has the job, and is alive.
fn is_with_another(status: &JobStatus, folder: &Path, name: &str) -> Result<bool, Error> {
    let other = status.manager.as_deref().filter(|other| *other != name);
    other.and_then(|other| path_of(folder, other)).map_or(Ok(false), |other| is_alive(&other))
}

fn remove_unless_claimed(
    path: &Path,
    folder: &Path,
    name: &str,
    durability: Durability,
) -> Result<bool, Error> {
    let Some(text) = read(path)? else { return Ok(true) };
    // Nobody claims it meanwhile. On a full disk nobody can.
    let record = Replacement::begin(path).ok();
    // What was read before that may have been claimed since.
    let text = if record.is_some() { read(path)? } else { Some(text) };
    let Some(text) = text else { return Ok(true) };
    if is_with_another(&view(&text)?.into_status(), folder, name)? {
        return Ok(false);
    }
    remove_record(path, durability)?;
    Ok(true)
}

fn ask(path: &Path, request: &Request) -> Result<(), Error> {
    let line = format!("{} {}\n", request.stop.as_str(), json::string(&request.id));
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(failed("open", path))
}

fn dead(folder: &Path) -> Result<Vec<DeadManager>, Error> {
    let entries = std::fs::read_dir(folder);
    if is_missing(&entries) {
        return Ok(Vec::new());
    }
    let mut dead = Vec::new();
    for entry in entries.map_err(failed("scandir", folder))? {
        let entry = entry.map_err(failed("scandir", folder))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let Some(path) = path_of(folder, name) else { continue };
        if let Seen::Dead(file) = look(&path)? {
            // One that is just joining has not been able to lock it, and to write into it, yet: nothing is known of its
            // attempts, nor of those of one whose file is cut off.
            let marks = identity::marks(&file);
            dead.push(DeadManager { name: name.to_owned(), marks });
        }
    }
    Ok(dead)
}

/// Removes what a manager has left. Best effort: it is found again.
fn remove(path: &Path) {
    drop(std::fs::remove_file(path.with_extension(ASKED)));
    drop(std::fs::remove_file(path));
}

/// Removes what a manager has left that is really dead: one that was just joining may have been taken for that.
fn remove_dead(path: &Path) {
    // Who is joining waits for the lock, and sees that the file is gone.
    if let Ok(Seen::Dead(_held)) = look(path) {
        remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{FileJobRepositoryOptions, Stop};

    const CLAIMED: &[JobState] = &[JobState::Running];

    fn repository(folder: &Path) -> FileJobRepository {
        FileJobRepository::new(folder, FileJobRepositoryOptions::default())
    }

    async fn join(repository: &FileJobRepository) -> Box<dyn Membership> {
        repository.join("marks").await.unwrap().unwrap()
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn manager_is_alive_until_it_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(&folder.path().join("new"));
        let member = join(&repository).await;
        assert!(repository.is_alive(member.name()).await.unwrap());
        assert_eq!(repository.dead().await.unwrap(), []);
        let name = member.name().to_owned();
        drop(member);
        assert!(!repository.is_alive(&name).await.unwrap());
        assert!(!repository.is_alive("../../etc/passwd").await.unwrap());
        assert_eq!(files(&folder.path().join("new")), 0);
    }

    #[tokio::test]
    async fn dead_managers_are_found_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let member = join(&repository).await;
        let name = member.name().to_owned();
        // As after a kill: the lock goes, the file stays.
        std::fs::rename(folder.path().join(format!("{PREFIX}{name}")), folder.path().join("kept"))
            .unwrap();
        drop(member);
        std::fs::write(folder.path().join(format!("{PREFIX}{name}")), r#"{"attempts":"abc"}"#)
            .unwrap();
        let dead = repository.dead().await.unwrap();
        assert_eq!(dead, [DeadManager { name, marks: Some("abc".into()) }]);
        repository.forget(dead).await.unwrap();
        assert_eq!(repository.dead().await.unwrap(), []);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn dead_manager_is_known_while_something_it_was_starting_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let name = Uuid::new_v4().to_string();
        let path = folder.path().join(format!("{PREFIX}{name}"));
        let gone = identity::of("abc").replace(&std::process::id().to_string(), "4194305");
        std::fs::write(&path, gone).unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        let mut dead = std::pin::pin!(repository.dead());
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), &mut dead).await;
        assert!(waits.is_err(), "what it was starting can be found only once it has begun");
        drop(held);
        assert_eq!(dead.await.unwrap(), [DeadManager { name, marks: Some("abc".into()) }]);
    }

    #[tokio::test]
    async fn who_was_joining_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let name = Uuid::new_v4().to_string();
        let path = folder.path().join(format!("{PREFIX}{name}"));
        let file = File::create_new(&path).unwrap();
        let dead = repository.dead().await.unwrap();
        assert_eq!(dead.len(), 1, "it is not locked yet");
        file.lock().unwrap();
        repository.forget(dead).await.unwrap();
        assert!(repository.is_alive(&name).await.unwrap());
    }

    #[tokio::test]
    async fn who_leaves_is_never_seen_dead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let looks = {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let mut marks = Vec::new();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    marks.extend(dead(&path).unwrap().into_iter().filter_map(|dead| dead.marks));
                }
                marks
            })
        };
        for _ in 0..2000 {
            drop(Member::join(folder.path(), "marks").unwrap());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(looks.join().unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn one_of_several_gets_a_job() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let save = async |record: &str| {
            repository.save_json("a", record.as_bytes().to_vec()).await.unwrap();
        };
        let managers = [join(&repository).await, join(&repository).await];
        save(r#"{"id":"a","state":"running","odd":1}"#).await;
        let claims = managers.iter().map(|manager| repository.claim("a", CLAIMED, manager.name()));
        let got = futures_util::future::join_all(claims).await;
        let got: Vec<bool> = got.into_iter().map(Result::unwrap).collect();
        assert_eq!(got.iter().filter(|got| **got).count(), 1, "{got:?}");
        let [winner, loser] = if got[0] {
            managers
        } else {
            let [first, second] = managers;
            [second, first]
        };
        assert!(repository.claim("a", CLAIMED, winner.name()).await.unwrap(), "it has it already");
        drop(winner);
        assert!(repository.claim("a", CLAIMED, loser.name()).await.unwrap(), "its owner is gone");
        assert!(!repository.claim("b", CLAIMED, loser.name()).await.unwrap(), "there is none");
        save(r#"{"id":"a","state":"completed"}"#).await;
        assert!(!repository.claim("a", CLAIMED, loser.name()).await.unwrap(), "it is over");
    }

    #[tokio::test]
    async fn record_that_another_manager_has_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let managers = [join(&repository).await, join(&repository).await];
        repository.save_json("a", br#"{"id":"a","state":"running"}"#.to_vec()).await.unwrap();
        assert!(repository.claim("a", CLAIMED, managers[0].name()).await.unwrap());
        assert!(!Managers::remove(&repository, "a", managers[1].name()).await.unwrap());
        assert!(!Managers::remove(&repository, "a", "").await.unwrap());
        assert!(repository.read("a").await.unwrap().is_some());
        assert!(Managers::remove(&repository, "a", managers[0].name()).await.unwrap());
        assert!(!repository.claim("a", CLAIMED, managers[1].name()).await.unwrap());
        assert!(Managers::remove(&repository, "a", managers[1].name()).await.unwrap());
        drop(managers);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn requests_are_heard_once() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let member = join(&repository).await;
        assert_eq!(member.asked().await, []);
        let request = |id: &str, stop| Request { id: id.into(), stop };
        let asked = [request("a b\n", Stop::Pause), request("c", Stop::Cancel)];
        for request in &asked {
            repository.ask(member.name(), request.clone()).await.unwrap();
        }
        assert_eq!(member.asked().await, asked);
        repository.ask(member.name(), asked[0].clone()).await.unwrap();
        assert_eq!(member.asked().await, [asked[0].clone()]);
        drop(member);
        assert_eq!(files(folder.path()), 0);
    }
}
