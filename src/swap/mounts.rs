//! All mounts of an exchange together: there, back, or final as one. Each step can be done twice.

use std::path::PathBuf;

use anyhow::Context;

use super::exchange::{back, forward, is_aside, is_in_reach};
use super::staging::{discard, old_content, remove, sync};
use crate::journal::{Event, Journal, OpenSwap};

/// Mounts whose old content cannot be put back now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stuck(String);

/// Puts everything in its place.
///
/// # Errors
/// What was in the way. What was moved until then waits for [`put_back`].
pub fn exchange(swap: &OpenSwap) -> anyhow::Result<()> {
    swap.mounts.iter().try_for_each(forward)
}

/// Whether old content of any mount lies aside, or nobody can tell.
pub fn are_aside(swap: &OpenSwap) -> bool {
    swap.mounts.iter().any(|it| is_aside(it).unwrap_or(true))
}

/// Puts the old content back into every mount, the last one first. Goes on after an error.
///
/// # Errors
/// [`Stuck`] where a mount still has new content, or both.
pub fn put_back(swap: &OpenSwap) -> Result<(), Stuck> {
    let stuck: Vec<String> = swap
        .mounts
        .iter()
        .rev()
        .filter_map(|mount| {
            let err = back(mount).err()?;
            let lies = old_content(&mount.staging).ok().flatten();
            let lies = lies.unwrap_or_else(|| mount.staging.to_path_buf());
            let (target, lies) = (mount.target.display(), lies.display());
            Some(format!("{target} cannot be put back ({err:#}), what it held lies in {lies}"))
        })
        .collect();
    if stuck.is_empty() { Ok(()) } else { Err(Stuck(stuck.join("; "))) }
}

/// Closes an exchange that is taken back: removes what was extracted, and says so in the journal.
///
/// # Errors
/// Where that fails; then it stays open.
pub fn settle(journal: &Journal, swap: &OpenSwap) -> anyhow::Result<()> {
    // What the journal forgets has to be true after a power cut.
    for mount in swap.mounts.iter().filter(|it| it.staging.is_dir()) {
        sync(&mount.staging)?;
    }
    let removed = swap.mounts.iter().map(|it| discard(&it.staging).map(drop));
    removed.fold(Ok(()), Result::and)?;
    journal.note(&[Event::SwapDone, Event::StagingDone])
}

/// Says in the journal that the restored home came up, so that nothing leads back any more.
///
/// # Errors
/// Where that cannot be written. The old content has to stay then.
pub fn prove(journal: &Journal, swap: &OpenSwap) -> anyhow::Result<()> {
    // Should the power go, the new content must be where the journal says it is.
    swap.mounts.iter().try_for_each(|it| sync(&it.staging))?;
    journal.note(&[Event::Proved])
}

/// Removes the old content of a home that has proved itself; gives the folders that are gone.
///
/// # Errors
/// The first that could not be removed; all others are.
pub fn finish(journal: &Journal, swap: &OpenSwap) -> anyhow::Result<Vec<PathBuf>> {
    let mut gone = Vec::new();
    let mut first = Ok(());
    for mount in &swap.mounts {
        let removed = is_in_reach(mount).and_then(|()| remove(&mount.staging));
        let removed = removed.with_context(|| {
            format!("{} still holds what was there before the restore", mount.staging.display())
        });
        match removed {
            Ok(true) => gone.push(mount.staging.to_path_buf()),
            Ok(false) => (),
            Err(err) => first = first.and(Err(err)),
        }
    }
    first?;
    journal.note(&[Event::SwapDone, Event::StagingDone])?;
    Ok(gone)
}
