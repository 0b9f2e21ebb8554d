//! One run at a time: a lock on a file of the state folder.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Another run is under way.
#[derive(Debug, thiserror::Error)]
#[error("another backup or restore is running; wait for it to end")]
pub struct Busy;

/// Held as long as it lives; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A daemon has this state folder.
#[derive(Debug, thiserror::Error)]
#[error("another hearthkeep serves with the state in {}: stop it, or set HEARTHKEEP_STATE for this one", .0.display())]
pub struct Served(PathBuf);

/// Takes the lock of a run on a state folder, which is made where it is missing.
///
/// # Errors
/// [`Busy`] where another process has it.
pub fn take(state: &Path) -> anyhow::Result<Lock> {
    lock(state, "lock")?.ok_or_else(|| Busy.into())
}

/// Takes the lock of a daemon, so that a state folder has one.
///
/// # Errors
/// [`Served`] where another process has it.
pub fn serve(state: &Path) -> anyhow::Result<Lock> {
    lock(state, "daemon.lock")?.ok_or_else(|| Served(state.to_owned()).into())
}

fn lock(state: &Path, name: &str) -> anyhow::Result<Option<Lock>> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("making the state folder {}", state.display()))?;
    let path = state.join(name);
    let opening = || format!("opening {}", path.display());
    let file = File::options().create(true).append(true).open(&path).with_context(opening)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(err)) => Err(err).with_context(opening),
    }
}
