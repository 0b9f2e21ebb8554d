//! What the plan of a backup of another writer has to know of its parts.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive};
use crate::hands::Hands;
use crate::island::island;
use crate::model::{Asks, Found, Item};
use crate::reach::Reach;

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
