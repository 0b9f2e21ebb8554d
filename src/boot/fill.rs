//! The backup is read to its end, looked into, and extracted into the throw-away volume.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, Checks};
use crate::hands::Hands;
use crate::island::island;
use crate::model::Item;
use crate::plan::BootPlan;
use crate::throwaway::Throwaway;

/// A backup that is whole, and what is known of it then.
pub(super) struct Checked {
    pub(super) archive: Archive,
    content_bytes: BTreeMap<String, u64>,
    /// What could not be looked at.
    pub(super) notes: Vec<String>,
}

/// Reads the backup to its end, and looks into its databases: where one is broken, nothing has to
/// be started to know it.
pub(super) async fn check(
    hands: &Hands,
    archive: Archive,
    throwaway: &Throwaway,
    deep: bool,
    cancel: &CancellationToken,
) -> anyhow::Result<Checked> {
    let (monitor, cancel, throwaway) = (hands.monitor.clone(), cancel.clone(), throwaway.clone());
    monitor.step("checking the backup", archive.size_bytes);
    island("checking", move || {
        // What is put there for it goes with the volume, also when nobody is left to clean up.
        let checks = Checks { hashes: deep, contents: Some(throwaway.folder()), gauges: &[] };
        let mut verdict = archive::verify(&archive, checks, &cancel, &*monitor)?;
        let notes = std::mem::take(&mut verdict.notes);
        let content_bytes = verdict.into_result(&archive)?;
        Ok(Checked { archive, content_bytes, notes })
    })
    .await
}

/// Extracts the trees of the plan; gives what could not be placed.
pub(super) async fn fill(
    hands: &Hands,
    checked: Checked,
    throwaway: &Throwaway,
    plan: &BootPlan,
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<String>> {
    let (monitor, cancel, throwaway) = (hands.monitor.clone(), cancel.clone(), throwaway.clone());
    let Checked { archive, content_bytes, .. } = checked;
    let trees = plan.trees.clone();
    let items: Vec<Item> = trees.iter().map(|it| it.item.clone()).collect();
    monitor.step("extracting", archive.size_of(&items));
    island("extracting", move || {
        throwaway.fill(&archive, &content_bytes, &trees, &cancel, &*monitor)
    })
    .await
}
