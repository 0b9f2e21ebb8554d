//! An exchange of old and new content that an earlier run left → one home, whole.
//!
//! A home that has not proved itself is taken back: everybody who sees its mounts is stopped,
//! whoever may have started them meanwhile, then the old content moves back, and only then
//! anything is released. Of a home that has proved itself only the old content is left to remove.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::release::{recreated, release};
use super::{PATIENCE_WITHOUT_ENGINE, PAUSE_BETWEEN_TRIES, Recovered};
use crate::engine::{Engine, Error};
use crate::island::island;
use crate::journal::{Event, Journal, Open, OpenHold, OpenSwap, Stage};
use crate::quiesce::note;
use crate::swap;

/// How long a stop is tried again where the engine answers, but refuses.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of a restored home that did not come up and was left to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wreck {
    /// It stays.
    Stays,
    /// The old home comes back.
    GoesBack,
    /// It is kept, and the old content removed.
    IsKept,
}

/// Brings the content back to one kind as far as that can be done without anybody running. Gives
/// the exchange that is taken back, for [`settle`] when everything runs; one that cannot be closed
/// stays open.
pub(super) async fn close(
    engine: &Engine,
    journal: &Journal,
    open: &mut Open,
    recovered: &mut Recovered,
    wreck: Wreck,
) -> anyhow::Result<Option<OpenSwap>> {
    let Some(mut swap) = open.swap.take() else { return Ok(None) };
    let was_left = swap.stage == Stage::Left;
    match (swap.stage, wreck) {
        (Stage::Left, Wreck::Stays) => {
            recovered.warnings.push(waits(&swap));
            open.swap = Some(swap);
            return Ok(None);
        }
        (Stage::Left, Wreck::GoesBack) => {
            note(journal, vec![Event::BackIntended]).await?;
            swap.stage = Stage::Underway;
        }
        (Stage::Left, Wreck::IsKept) => {
            let (noting, proved) = (journal.clone(), swap.clone());
            island("keeping the restored home", move || swap::prove(&noting, &proved)).await?;
            swap.stage = Stage::Proved;
            recovered.kept = Some(swap.backup.clone());
        }
        (Stage::Underway | Stage::Proved, _) => (),
    }
    if swap.stage == Stage::Proved {
        finish(journal, swap, open, recovered).await;
        return Ok(None);
    }
    match put_back(engine, journal, &swap, open).await {
        Ok(()) => {
            recovered.taken_back = Some(swap.backup.clone());
            if !was_left {
                recovered.warnings.push(taken_back(&swap));
            }
            Ok(Some(swap))
        }
        Err(err) => {
            recovered.warnings.push(stuck(&swap, &err));
            open.swap = Some(swap);
            Ok(None)
        }
    }
}

/// Stops everybody who sees the mounts, and puts the old content back.
async fn put_back(
    engine: &Engine,
    journal: &Journal,
    swap: &OpenSwap,
    open: &mut Open,
) -> anyhow::Result<()> {
    let looked_at = swap.clone();
    if !island("looking for old content", move || Ok(swap::are_aside(&looked_at))).await? {
        return Ok(());
    }
    // A way back that cannot be written down has to be gone all the same: as long as the exchange
    // is open in the journal, it tells who has to be released.
    let holds = swap.holds.iter().cloned().map(Event::HoldIntended).collect();
    let _ = note(journal, holds).await;
    for hold in &swap.holds {
        if !open.holds.iter().any(|it| it.container.name == hold.container.name) {
            open.holds.push(hold.clone());
        }
    }
    for hold in &swap.holds {
        stop(engine, hold).await?;
    }
    let names = swap.holds.iter().map(|it| it.container.name.clone());
    let _ = note(journal, names.map(|name| Event::Stopped { name }).collect()).await;
    open.holds.iter_mut().for_each(|it| it.is_stopped = true);
    let swap = swap.clone();
    island("moving back", move || Ok(swap::put_back(&swap)?)).await
}

/// Stops a container, whatever it is called by now. One that does not exist any more is still.
async fn stop(engine: &Engine, hold: &OpenHold) -> anyhow::Result<()> {
    let since = Instant::now();
    let mut refused_since = None;
    let mut id = hold.container.id.clone();
    let timeout = hold.stop_timeout_seconds.map(Duration::from_secs);
    loop {
        let err = match engine.stop(&id, timeout).await {
            Ok(()) => return Ok(()),
            Err(Error::NotFound { .. }) => match recreated(engine, &hold.container).await {
                Ok(Some(container)) => {
                    id = container.id;
                    continue;
                }
                Ok(None) => return Ok(()),
                Err(err) => err,
            },
            Err(err) => err,
        };
        let is_over = match err {
            Error::Unreachable { .. } => {
                refused_since = None;
                since.elapsed() > PATIENCE_WITHOUT_ENGINE
            }
            _ => refused_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE,
        };
        anyhow::ensure!(!is_over, "{} cannot be stopped: {err}", hold.container.name);
        sleep(PAUSE_BETWEEN_TRIES).await;
    }
}

/// Closes an exchange that is taken back, once everything runs.
pub(super) async fn settle(
    journal: &Journal,
    swap: OpenSwap,
    open: &mut Open,
    recovered: &mut Recovered,
) {
    let (noting, settled) = (journal.clone(), swap.clone());
    match island("cleaning up", move || swap::settle(&noting, &settled)).await {
        Ok(()) => {
            let folders = swap.mounts.iter().map(|it| it.staging.to_path_buf());
            recovered.removed.extend(folders);
            open.stagings.clear();
        }
        Err(err) => {
            recovered.warnings.push(format!("{err:#}"));
            open.swap = Some(swap);
        }
    }
}

async fn finish(journal: &Journal, swap: OpenSwap, open: &mut Open, recovered: &mut Recovered) {
    let (noting, finished) = (journal.clone(), swap.clone());
    match island("cleaning up", move || swap::finish(&noting, &finished)).await {
        Ok(gone) => {
            recovered.removed.extend(gone);
            open.stagings.clear();
        }
        Err(err) => {
            recovered.warnings.push(format!("{err:#}; hearthkeep resume tries again"));
            open.swap = Some(swap);
        }
    }
}

/// Takes back an exchange of the run that has the journal, as a crash would have it taken back.
/// Gives what a person should look at, though everything is as it was.
///
/// # Errors
/// What could not be stopped, moved or started again.
pub async fn take_back(
    engine: &Engine,
    journal: &Journal,
    swap: OpenSwap,
) -> anyhow::Result<Vec<String>> {
    let mut recovered = Recovered::default();
    let mut open = Open { holds: swap.holds.clone(), ..Open::default() };
    // They were stopped, or are stopped now.
    open.holds.iter_mut().for_each(|it| it.is_stopped = true);
    if let Err(err) = put_back(engine, journal, &swap, &mut open).await {
        anyhow::bail!(stuck(&swap, &err));
    }
    release(engine, journal, &mut open, &mut recovered).await;
    settle(journal, swap, &mut open, &mut recovered).await;
    anyhow::ensure!(open.holds.is_empty(), recovered.warnings.join("; "));
    Ok(recovered.warnings)
}

/// What a person should know of a restore that is taken back.
fn taken_back(swap: &OpenSwap) -> String {
    format!(
        "the restore of {} was interrupted before the home had proved itself, and was taken back: everything is as it was before, and it can be run again",
        swap.backup
    )
}

/// What a person has to do about an exchange that cannot be taken back now.
fn stuck(swap: &OpenSwap, err: &anyhow::Error) -> String {
    let names: Vec<&str> = swap.holds.iter().map(|it| it.container.name.as_str()).collect();
    format!(
        "the restore of {} has to be taken back, and cannot be yet: {err:#}; until then {} must stay stopped: mend that, then run `hearthkeep resume`",
        swap.backup,
        names.join(", ")
    )
}

/// What a person may do with a restored home that was left to be looked at.
pub(super) fn waits(swap: &OpenSwap) -> String {
    format!(
        "the home that was restored from {} did not come up, and waits to be looked at: `hearthkeep resume` puts the old home back, `hearthkeep resume --keep-restored` keeps the restored one and removes the old",
        swap.backup
    )
}
