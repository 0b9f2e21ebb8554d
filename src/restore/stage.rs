//! Before anything is touched: the backup is read to its end, and extracted beside its targets.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, Checks};
use crate::hands::Hands;
use crate::island::island;
use crate::model::{Asks, Found, Item};
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

/// Finds out what the plan of a foreign backup has to know.
pub(super) async fn find_out(
    hands: &Hands,
    archive: &Archive,
    asks: Asks,
    reach: &Reach,
    cancel: &CancellationToken,
) -> anyhow::Result<Found> {
    let (archive, reach) = (archive.clone(), reach.clone());
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let items: BTreeSet<&Item> = asks.places.iter().map(|(item, _)| item).collect();
    monitor.step("looking into the backup", archive.size_of(items));
    island("looking into the backup", move || {
        let mut found = Found {
            places: archive::holds(&archive, &asks.places, &cancel, &*monitor)?,
            ..Found::default()
        };
        for (item, key) in &asks.options {
            let value = archive::option(&archive, item, key, &cancel, &*monitor)?;
            found.options.extend(value.map(|it| (item.clone(), it)));
        }
        let owners = asks.sources.into_iter().map(|it| (reach.owner(&it), it));
        found.owners.extend(owners.filter_map(|(owner, it)| Some((it, owner?))));
        Ok(found)
    })
    .await
}

/// Extracts everything beside its target, while the home goes on.
pub(super) async fn extract(
    hands: &Hands,
    archive: Archive,
    content_bytes: BTreeMap<String, u64>,
    plan: &RestorePlan,
    reach: &Reach,
    cancel: &CancellationToken,
) -> anyhow::Result<(Moves, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let (routes, reach) = (plan.routes.clone(), reach.clone());
    monitor.step("extracting", archive.size_of(&plan.sources()));
    island("extracting", move || {
        let (moves, warnings) =
            Moves::extract(&archive, &content_bytes, routes, &reach, &cancel, &*monitor)?;
        match signals::check(&cancel) {
            Ok(()) => Ok((moves, warnings)),
            Err(err) => Err(moves.discard_after(err.into())),
        }
    })
    .await
}
