//! One run at a time: a lock on a file of the state folder.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

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

/// Takes the lock of a state folder, which is made where it is missing.
///
/// # Errors
/// [`Busy`] where another process has it.
pub fn take(state: &Path) -> anyhow::Result<Lock> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("making the state folder {}", state.display()))?;
    let path = state.join("lock");
    let opening = || format!("opening {}", path.display());
    let file = File::options().create(true).append(true).open(&path).with_context(opening)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Busy.into()),
        Err(TryLockError::Error(err)) => Err(err).with_context(opening),
    }
}
