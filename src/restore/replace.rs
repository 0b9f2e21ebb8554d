//! The home stands still: old and new content change places.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::hands::Hands;
use crate::island::island;
use crate::journal::{Event, Journal};
use crate::plan::RestorePlan;
use crate::quiesce::{self, Stillness};
use crate::swap::{Moves, Swapped};

/// A home whose content was exchanged.
pub(super) struct Replaced {
    /// They hold the old content.
    pub(super) moves: Moves,
    pub(super) swapped: Swapped,
    pub(super) containers: Vec<Stillness>,
    /// What a person should look at of how they went on.
    pub(super) warnings: Vec<String>,
    /// Whether everything that was stopped could be started.
    pub(super) released: anyhow::Result<()>,
}

/// Stops the containers, puts everything in place, starts them again.
///
/// # Errors
/// Whatever was in the way. The old content is in place then, and the containers run.
pub(super) async fn replace(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    moves: Moves,
    stays: Vec<PathBuf>,
    cancel: &CancellationToken,
) -> anyhow::Result<Replaced> {
    hands.monitor.step("stopping the containers", 0);
    let held = match quiesce::hold(&hands.engine, journal, &plan.stops, cancel).await {
        Ok(held) => held,
        Err(err) => return Err(give_up(moves, err).await),
    };
    // From here on nothing returns before everything that was stopped is started again.
    let noting = journal.clone();
    let exchanged = island("exchanging", move || {
        let swapped = exchange(&noting, &moves, &stays);
        Ok((moves, swapped))
    })
    .await;
    hands.monitor.step("starting the containers", 0);
    let released = quiesce::release(&hands.engine, journal, held).await;
    let outcome = released.outcome();
    let err = match exchanged {
        Ok((moves, Ok(swapped))) => {
            return Ok(Replaced {
                moves,
                swapped,
                containers: released.containers,
                warnings: released.warnings,
                released: outcome,
            });
        }
        Ok((moves, Err(err))) => give_up(moves, err).await,
        Err(err) => err,
    };
    Err(match outcome {
        Ok(()) => err,
        Err(held) => err.context(format!("{held:#}; before that")),
    })
}

/// Exchanges old and new content. The journal shows for how long they may be mixed.
fn exchange(journal: &Journal, moves: &Moves, stays: &[PathBuf]) -> anyhow::Result<Swapped> {
    journal.note(&[Event::SwapIntended])?;
    let swapped = moves.exchange(stays);
    // After a failure too, everything is where it was, unless old content lies aside still.
    if swapped.is_ok() || !moves.hold_old_content() {
        // Without that line a crash leaves the containers to a person, who finds all in order.
        let _ = journal.note(&[Event::SwapDone]);
    }
    swapped
}

/// Removes what was extracted; gives the error to tell.
pub(super) async fn give_up(moves: Moves, err: anyhow::Error) -> anyhow::Error {
    match island("cleaning up", move || Ok(moves.discard_after(err))).await {
        Ok(err) | Err(err) => err,
    }
}
