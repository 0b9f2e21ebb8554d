//! The home stands still: old and new content change places.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::roll_back::undo;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{Event, Journal, OpenHold, OpenSwap, Stage};
use crate::plan::RestorePlan;
use crate::quiesce::{self, Stillness};
use crate::swap::{self, Moves};

/// A home whose content was exchanged.
pub(super) struct Replaced {
    /// The way back.
    pub(super) swap: OpenSwap,
    pub(super) containers: Vec<Stillness>,
    /// What a person should look at of how they went on.
    pub(super) warnings: Vec<String>,
    /// Whether everything that was stopped could be started.
    pub(super) released: anyhow::Result<()>,
}

/// Stops the containers, puts everything in place, starts them again. `backup` is a slug.
///
/// # Errors
/// Whatever was in the way. The old content is in place then, and the containers run; where it
/// could not be put back, they stay stopped, and the error says what to do.
pub(super) async fn replace(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    moves: Moves,
    stays: Vec<PathBuf>,
    backup: &str,
    cancel: &CancellationToken,
) -> anyhow::Result<Replaced> {
    hands.monitor.step("stopping the containers", 0);
    hands.monitor.silence(quiesce::longest_hold(&plan.stops));
    let held = match quiesce::hold(&hands.engine, journal, &plan.stops, cancel).await {
        Ok(held) => held,
        Err(err) => return Err(give_up(moves, err).await),
    };
    // From here on nothing returns before everything that was stopped is started again.
    let holds = plan.all_who_see().iter().map(OpenHold::now).collect();
    let swap = match intend(journal, &moves, stays, backup, holds).await {
        Ok(swap) => swap,
        Err(err) => {
            let released = quiesce::release(&hands.engine, journal, held).await.outcome();
            let err = give_up(moves, err).await;
            return Err(match released {
                Ok(()) => err,
                Err(held) => err.context(format!("{held:#}; before that")),
            });
        }
    };
    let exchanged = swap.clone();
    if let Err(err) = island("exchanging", move || swap::exchange(&exchanged)).await {
        return Err(undo(hands, journal, swap, err).await);
    }
    hands.monitor.step("starting the containers", 0);
    let released = quiesce::release(&hands.engine, journal, held).await;
    let outcome = released.outcome();
    let (containers, warnings) = (released.containers, released.warnings);
    Ok(Replaced { swap, containers, warnings, released: outcome })
}

/// Writes down all that it takes to undo the exchange.
async fn intend(
    journal: &Journal,
    moves: &Moves,
    stays: Vec<PathBuf>,
    backup: &str,
    holds: Vec<OpenHold>,
) -> anyhow::Result<OpenSwap> {
    let (journal, moves, backup) = (journal.clone(), moves.clone(), backup.to_owned());
    island("preparing the exchange", move || {
        let mounts = moves.mounts(&stays)?;
        let swap = OpenSwap { backup, mounts, holds, stage: Stage::Underway };
        journal.note(&[Event::SwapIntended(swap.clone())])?;
        Ok(swap)
    })
    .await
}

/// Removes what was extracted; gives the error to tell.
pub(super) async fn give_up(moves: Moves, err: anyhow::Error) -> anyhow::Error {
    match island("cleaning up", move || Ok(moves.discard_after(err))).await {
        Ok(err) | Err(err) => err,
    }
}
