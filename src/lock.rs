//! One run at a time: a lock on a file of the state folder.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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

/// The process that has the lock, as far as it can be seen from here. Nobody is kept from the lock
/// by this, as would be by trying to take it.
pub fn holder(state: &Path) -> anyhow::Result<Option<u32>> {
    let Ok(file) = fs::metadata(state.join("lock")) else { return Ok(None) };
    let locks = fs::read_to_string("/proc/locks").context("reading /proc/locks")?;
    Ok(holder_in(&locks, file.ino()))
}

/// The holder of the file with this number. The file system is not compared: btrfs calls itself
/// one thing here and another there.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["FLOCK", _, "WRITE", pid, file, ..] = words.get(1..)? else { return None };
        let (_, found) = file.rsplit_once(':')?;
        (found.parse() == Ok(inode)).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_seen_and_not_disturbed() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(holder(folder.path()).expect("it can be read"), None);
        let lock = take(folder.path()).expect("it is free");
        assert_eq!(holder(folder.path()).expect("it can be read"), Some(std::process::id()));
        drop(lock);
        assert_eq!(holder(folder.path()).expect("it can be read"), None);
        let waits = "1: -> FLOCK  ADVISORY  WRITE 7 08:01:42 0 EOF";
        assert_eq!(holder_in(waits, 42), None);
    }
}
