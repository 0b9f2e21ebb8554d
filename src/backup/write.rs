//! From the capture to a file that has proved itself.

use std::path::PathBuf;

use anyhow::Context;
use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

use super::again::Again;
use super::still::{Still, Taken, Work};
use super::{Prepared, Report, Run};
use crate::archive::{self, Archive, Checks, Metadata, Wrapping, Written};
use crate::capture::{Capture, Retaken};
use crate::fsx::{self, Draft};
use crate::hands::Hands;
use crate::island::island;
use crate::journal::Event;
use crate::memory;

/// Refuses before anything is done where the archive cannot fit.
pub(super) async fn check_room(prepared: &Prepared) -> anyhow::Result<()> {
    let (store, least) = (prepared.store.clone(), prepared.least());
    island("looking for room", move || {
        store.make()?;
        let room = fsx::room(store.folder())?;
        anyhow::ensure!(
            room >= least,
            "no room in {}: {} free, at least {} needed",
            store.folder().display(),
            ByteSize(room),
            ByteSize(least)
        );
        Ok(())
    })
    .await
}

/// Begins the file, once it is written down that it will be there.
pub(super) async fn begin(run: &Run<'_>, metadata: &Metadata) -> anyhow::Result<Draft> {
    let (store, name) = (run.store.clone(), metadata.file_name());
    run.desk.note(Event::DraftIntended { path: store.draft_path(&name).into() }).await?;
    island("beginning the file", move || store.draft(&name)).await
}

/// Writes the archive, unless the hold already did.
pub(super) async fn archive(
    run: &Run<'_>,
    still: Still,
    report: &mut Report,
) -> anyhow::Result<(Draft, Written)> {
    match still.taken.context("nothing was taken")? {
        Taken::Archive(draft, written) => Ok((draft, written)),
        Taken::View(work) => {
            let again = Again::new(run);
            let retaking = again.clone();
            let retake = move |capture: &_, part, names| retaking.retake(capture, part, names);
            let written = write(run, work, retake, run.cancel).await;
            again.tell(report);
            written
        }
    }
}

/// Writes it. `again` takes files of a part again, by their names in its tar.
pub(super) async fn write(
    run: &Run<'_>,
    work: Work,
    again: impl Fn(&Capture, usize, Vec<Vec<u8>>) -> anyhow::Result<Vec<Retaken>> + Send + 'static,
    cancel: &CancellationToken,
) -> anyhow::Result<(Draft, Written)> {
    let (monitor, wrapper, cancel) =
        (run.hands.monitor.clone(), run.wrapper.clone(), cancel.clone());
    let Work { capture, metadata, draft } = work;
    monitor.step("archiving", capture.extents().iter().map(|it| it.bytes).sum());
    island("archiving", move || {
        let again = |part, names| again(&capture, part, names);
        let written =
            archive::write(&capture, metadata, &draft, &wrapper, &again, &cancel, &*monitor)?;
        Ok((draft, written))
    })
    .await
}

/// Reads what was written back to its end, and only then gives it its name.
pub(super) async fn verify(
    hands: &Hands,
    draft: Draft,
    written: &Written,
    wrapping: &Wrapping,
    cancel: &CancellationToken,
) -> anyhow::Result<PathBuf> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let password = wrapping.password.clone();
    monitor.step("verifying", written.size_bytes);
    island("verifying", move || {
        // What was known of each file is not needed any more.
        memory::give_back();
        let mut archive = Archive::open(draft.draft_path())?;
        // As at a restore: with keys that are made anew of the password.
        password.map(|it| archive.unlock(it)).transpose()?;
        archive::verify(&archive, Checks::default(), &cancel, &*monitor)?.into_result(&archive)?;
        draft.name().context("finishing the backup")
    })
    .await
}
