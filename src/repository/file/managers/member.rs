//! A manager's being known to others, and what they ask it for.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use uuid::Uuid;

use super::{
    super::super::{Error, Membership, Request, Stop},
    ASKED, PREFIX, failed, identity, is_missing, remove,
};
use crate::{files, task};

/// A manager that is known.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    path: PathBuf,
    /// Locked as long as this lives.
    file: Arc<Mutex<Option<File>>>,
    /// How much of what was asked has been read.
    heard: Arc<Mutex<usize>>,
}

impl Member {
    pub(super) fn join(folder: &Path, marks: &str) -> Result<Option<Self>, Error> {
        files::make_folder(folder).map_err(Error::System)?;
        loop {
            let name = Uuid::new_v4().to_string();
            let path = folder.join(format!("{PREFIX}{name}"));
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
            let mut file = file.map_err(failed("open", &path))?;
            if file.lock().is_err() {
                // A file system without locks.
                remove(&path);
                return Ok(None);
            }
            // For people, and for who cleans up; on a full disk it is missing.
            drop(file.write_all(identity::of(marks).as_bytes()));
            let opened = file.metadata().map_err(failed("stat", &path))?;
            // Somebody may have taken it for a dead one's before it was locked.
            if files::names(&path, &opened).map_err(failed("stat", &path))? {
                let file = Arc::new(Mutex::new(Some(file)));
                return Ok(Some(Self { name, path, file, heard: Arc::default() }));
            }
        }
    }
}

fn read_asked(path: &Path, heard: &mut usize) -> io::Result<Vec<Request>> {
    let text = std::fs::read_to_string(path);
    if is_missing(&text) {
        return Ok(Vec::new());
    }
    let text = text?;
    let text = text.get(*heard..).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    *heard += whole;
    let request = |line: &str| {
        let (stop, id) = line.split_once(' ')?;
        let (stop, id) = (Stop::from_name(stop)?, serde_json::from_str(id).ok()?);
        Some(Request { id, stop })
    };
    Ok(text[..whole].lines().filter_map(request).collect())
}

impl Membership for Member {
    fn name(&self) -> &str {
        &self.name
    }

    fn asked(&self) -> LocalBoxFuture<'_, Vec<Request>> {
        let (path, heard) = (self.path.with_extension(ASKED), Arc::clone(&self.heard));
        task::blocking(move || {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            // What cannot be read now is read the next time.
            read_asked(&path, &mut heard).unwrap_or_default()
        })
        .boxed_local()
    }

    fn release(&self) -> Box<dyn FnOnce()> {
        let file = Arc::downgrade(&self.file);
        Box::new(move || {
            // Its name stays, so that somebody waits for the processes that are still being ended.
            file.upgrade().and_then(|file| taken(&file)).inspect(give_up);
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(file) = taken(&self.file) {
            // Locked until it is gone: nobody shall take it for a dead one's, and end what else runs in this process.
            remove(&self.path);
            give_up(&file);
        }
    }
}

fn taken(file: &Mutex<Option<File>>) -> Option<File> {
    file.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Gives up the lock, for a process too that is just being started and has the file.
fn give_up(file: &File) {
    // Closing the file is the other way.
    drop(file.unlock());
}
