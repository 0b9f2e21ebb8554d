//! Everything is extracted beside its target, and made ready there.

use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::companions::handover::Clues;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::Journal;
use crate::plan::RestorePlan;
use crate::reach::Reach;
use crate::swap::Moves;
use crate::{signals, translate};

/// Extracts everything beside its target, while the home goes on.
pub(super) async fn extract(
    hands: &Hands,
    journal: &Journal,
    archive: Archive,
    plan: &RestorePlan,
    reach: &Reach,
    cancel: &CancellationToken,
) -> anyhow::Result<(Moves, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let (routes, reach, journal) = (plan.routes.clone(), reach.clone(), journal.clone());
    monitor.step("extracting", archive.size_of(&plan.sources()));
    island("extracting", move || {
        let (moves, warnings) =
            Moves::extract(&archive, routes, &reach, &journal, &cancel, &*monitor)?;
        match signals::check(&cancel) {
            Ok(()) => Ok((moves, warnings)),
            Err(err) => Err(moves.discard_after(err.into())),
        }
    })
    .await
}

/// Makes what was extracted ready for life without a Supervisor; gives what was done and what was
/// left, as sentences.
pub(super) async fn translate(
    plan: &RestorePlan,
    moves: Moves,
    clues: Clues,
) -> anyhow::Result<(Moves, Vec<String>, Vec<String>)> {
    if plan.translations.is_empty() {
        return Ok((moves, Vec::new(), Vec::new()));
    }
    let changes = plan.translations.clone();
    island("translating", move || match translate::translate(&moves, &changes, &clues) {
        Ok((done, left)) => Ok((moves, done, left)),
        Err(err) => Err(moves.discard_after(err)),
    })
    .await
}
