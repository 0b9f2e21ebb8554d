//! Before anything is touched: the backup is read to its end, and extracted beside its targets.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, Checks};
use crate::hands::Hands;
use crate::island::island;
use crate::journal::Journal;
use crate::plan::RestorePlan;
use crate::reach::Reach;
use crate::signals;
use crate::swap::Moves;

/// Reads the backup to its end before anything is touched.
pub(super) async fn check(
    hands: &Hands,
    archive: Archive,
    cancel: &CancellationToken,
) -> anyhow::Result<(Archive, BTreeMap<String, u64>, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("checking the backup", archive.size_bytes);
    island("checking", move || {
        let verdict = archive::verify(&archive, Checks::default(), &cancel, &*monitor)?;
        let (content_bytes, warnings) = verdict.restorable(&archive)?;
        Ok((archive, content_bytes, warnings))
    })
    .await
}

/// Extracts everything beside its target, while the home goes on.
pub(super) async fn extract(
    hands: &Hands,
    journal: &Journal,
    archive: Archive,
    content_bytes: BTreeMap<String, u64>,
    plan: &RestorePlan,
    reach: &Reach,
    cancel: &CancellationToken,
) -> anyhow::Result<(Moves, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let (routes, reach, journal) = (plan.routes.clone(), reach.clone(), journal.clone());
    monitor.step("extracting", archive.size_of(&plan.items()));
    island("extracting", move || {
        let (moves, warnings) =
            Moves::extract(&archive, &content_bytes, routes, &reach, &journal, &cancel, &*monitor)?;
        match signals::check(&cancel) {
            Ok(()) => Ok((moves, warnings)),
            Err(err) => Err(moves.discard_after(err.into())),
        }
    })
    .await
}
