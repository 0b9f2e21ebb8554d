//! From the capture to a file that has proved itself.

use std::path::PathBuf;

use anyhow::Context;
use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

use super::Prepared;
use crate::archive::{self, Archive, Metadata, Written};
use crate::capture::{Capture, Retaken};
use crate::fsx::{self, Draft};
use crate::hands::Hands;
use crate::island::island;

/// Begins the file, where there is room for it.
pub(super) async fn reserve(prepared: &Prepared, metadata: &Metadata) -> anyhow::Result<Draft> {
    let least = prepared.least();
    let (store, name) = (prepared.store.clone(), metadata.file_name());
    island("reserving", move || {
        store.make()?;
        let room = fsx::room(store.folder())?;
        anyhow::ensure!(
            room >= least,
            "no room in {}: {} free, at least {} needed",
            store.folder().display(),
            ByteSize(room),
            ByteSize(least)
        );
        store.draft(&name)
    })
    .await
}

/// Writes the archive. `again` takes files of a part again, by their names in its tar.
pub(super) async fn archive(
    hands: &Hands,
    capture: Capture,
    metadata: &Metadata,
    draft: Draft,
    again: impl Fn(&Capture, usize, Vec<Vec<u8>>) -> anyhow::Result<Vec<Retaken>> + Send + 'static,
    cancel: &CancellationToken,
) -> anyhow::Result<(Draft, Written)> {
    let (monitor, cancel, metadata) = (hands.monitor.clone(), cancel.clone(), metadata.clone());
    monitor.step("archiving", capture.extents().iter().map(|it| it.bytes).sum());
    island("archiving", move || {
        let again = |part, names| again(&capture, part, names);
        let written = archive::write(&capture, metadata, &draft, &again, &cancel, &*monitor)?;
        Ok((draft, written))
    })
    .await
}

/// Reads what was written back to its end, and only then gives it its name.
pub(super) async fn verify(
    hands: &Hands,
    draft: Draft,
    written: &Written,
    cancel: &CancellationToken,
) -> anyhow::Result<PathBuf> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("verifying", written.size_bytes);
    island("verifying", move || {
        let archive = Archive::open(draft.draft_path())?;
        archive::verify(&archive, &cancel, &*monitor)?.into_result(&archive)?;
        draft.name().context("finishing the backup")
    })
    .await
}
