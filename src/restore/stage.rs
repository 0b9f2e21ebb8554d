//! Everything is extracted beside its target.

use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::Journal;
use crate::plan::RestorePlan;
use crate::reach::Reach;
use crate::signals;
use crate::swap::Moves;

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
