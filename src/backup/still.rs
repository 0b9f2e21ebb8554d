//! The hold: everything stands still while the capture takes what changed.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Run, metadata, write};
use crate::archive::{Metadata, Written};
use crate::capture::Capture;
use crate::fsx::Draft;
use crate::island::island;
use crate::plan::OnMaxHold;
use crate::quiesce::databases::{self, Consistency};
use crate::quiesce::hooks::Before;
use crate::quiesce::{self, Held, Stillness};
use crate::signals;

/// The containers were held for as long as they may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the containers were held for {} s and not everything was copied; allow more with --max-hold, or let them go on meanwhile with --on-max-hold continue",
    .0.as_secs_f64()
)]
pub struct HeldTooLong(Duration);

/// What came out of a hold.
pub(super) struct Still {
    pub(super) taken: Option<Taken>,
    pub(super) content_bytes: u64,
    /// Bytes that were copied meanwhile.
    pub(super) held_bytes: u64,
    pub(super) containers: Vec<Stillness>,
    pub(super) databases: Vec<Consistency>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// What was taken while everything stood still.
pub(super) enum Taken {
    /// A stable view, to be archived at leisure.
    View(Capture, Metadata, Draft),
    /// The archive itself, where there was no room for copies.
    Archive(Draft, Written),
}

/// Holds everything, takes what changed, and releases, whatever happens in between.
pub(super) async fn still(
    run: &Run<'_>,
    capture: Capture,
    before: &Before,
) -> anyhow::Result<Still> {
    if let Some(failed) = &before.failed {
        return Err(signals::check(run.cancel).map_or_else(anyhow::Error::from, |()| {
            anyhow::anyhow!("{failed:#}; nothing was held")
        }));
    }
    let mut warnings = Vec::new();
    let capture = warm_again(run, capture, before, &mut warnings).await?;
    let metadata = metadata(run.plan, &capture);
    let draft = write::begin(run, &metadata).await?;
    let locked = databases::lock(&run.hands.engine, &run.plan.databases, run.cancel).await;
    let mut still = Still {
        taken: None,
        content_bytes: 0,
        held_bytes: 0,
        containers: Vec::new(),
        databases: Vec::new(),
        notes: notes(&capture),
        warnings,
    };
    let taken = hold(run, capture, metadata, draft, &mut still).await;
    still.databases = databases::unlock(locked).await;
    still.taken = Some(taken?);
    Ok(still)
}

/// Leaves out what its container does not want to be taken, and copies what hooks have changed.
async fn warm_again(
    run: &Run<'_>,
    mut capture: Capture,
    before: &Before,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Capture> {
    capture.retain(|part| !before.skipped.iter().any(|(item, _)| *item == part.item));
    anyhow::ensure!(
        capture.parts().next().is_some(),
        "nothing is left to back up: every container asked to be skipped"
    );
    if run.plan.hooks.is_empty() || !capture.is_stable() {
        return Ok(capture);
    }
    super::warmed(capture, None, warnings, run.cancel).await
}

fn notes(capture: &Capture) -> Vec<String> {
    match capture.n_packed() {
        0 => Vec::new(),
        n => vec![format!(
            "{n} small files were copied before the hold, since this process may not hold so many open (ulimit -n)"
        )],
    }
}

async fn hold(
    run: &Run<'_>,
    capture: Capture,
    metadata: Metadata,
    draft: Draft,
    still: &mut Still,
) -> anyhow::Result<Taken> {
    signals::check(run.cancel)?;
    let (engine, journal) = (&run.hands.engine, &run.desk.journal);
    run.hands.monitor.step("holding the containers", 0);
    let mut held = Some(quiesce::hold(engine, journal, &run.plan.holds, run.cancel).await?);
    let taken = take(run, capture, metadata, draft, &mut held, still).await;
    let stayed = match &held {
        Some(held) => quiesce::check(engine, held).await,
        None => Ok(()),
    };
    release(run, &mut held, still).await;
    let taken = let_go(taken?).await?;
    stayed?;
    Ok(taken)
}

/// Ends the read transactions in databases: now that everything runs, their logs grow by them.
async fn let_go(taken: Taken) -> anyhow::Result<Taken> {
    match taken {
        Taken::View(mut capture, metadata, draft) => {
            let let_go = move || {
                capture.let_go();
                Ok(capture)
            };
            Ok(Taken::View(island("letting go of databases", let_go).await?, metadata, draft))
        }
        taken => Ok(taken),
    }
}

async fn take(
    run: &Run<'_>,
    capture: Capture,
    metadata: Metadata,
    draft: Draft,
    held: &mut Option<Held>,
    still: &mut Still,
) -> anyhow::Result<Taken> {
    let deadline = Instant::now() + run.limit.longest;
    let (mut capture, settled) = settle(run, capture, Some(deadline)).await?;
    match settled {
        Err(err) if err.is::<HeldTooLong>() && goes_on(run) => {
            release(run, held, still).await;
            still.warnings.push(too_long(run));
            let (late, settled) = settle(run, capture, None).await?;
            settled?;
            capture = late;
        }
        settled => still.held_bytes = settled?,
    }
    still.content_bytes = capture.extents().iter().map(|it| it.bytes).sum();
    if capture.is_stable() {
        return Ok(Taken::View(capture, metadata, draft));
    }
    still.held_bytes = still.content_bytes;
    let stop = run.cancel.child_token();
    let never = |_: &Capture, _, _| Ok(Vec::new());
    let mut writing =
        std::pin::pin!(write::write(run.hands, capture, metadata, draft, never, &stop));
    let (draft, written) = match timeout_at(deadline, &mut writing).await {
        Ok(written) => written?,
        Err(_) if goes_on(run) => {
            release(run, held, still).await;
            still.warnings.push(too_long(run));
            writing.await?
        }
        Err(_) => {
            stop.cancel();
            writing.await.map_err(|_| HeldTooLong(run.limit.longest))?
        }
    };
    Ok(Taken::Archive(draft, written))
}

fn goes_on(run: &Run<'_>) -> bool {
    run.limit.then == OnMaxHold::Continue
}

fn too_long(run: &Run<'_>) -> String {
    format!(
        "the containers went on after {} s (--max-hold): what was copied later is of later moments",
        run.limit.longest.as_secs_f64()
    )
}

/// Lets everything go on; once.
async fn release(run: &Run<'_>, held: &mut Option<Held>, still: &mut Still) {
    let Some(held) = held.take() else { return };
    let released = quiesce::release(&run.hands.engine, &run.desk.journal, held).await;
    still.containers = released.containers;
    // A container that is still held is worse than no backup, and none the better for one less.
    still.warnings.extend(released.failures.into_iter().map(|it| it.text));
    still.warnings.extend(released.warnings);
}

/// Takes what changed. The capture comes back also where that did not go well.
async fn settle(
    run: &Run<'_>,
    mut capture: Capture,
    deadline: Option<Instant>,
) -> anyhow::Result<(Capture, anyhow::Result<u64>)> {
    let (cancel, longest) = (run.cancel.clone(), run.limit.longest);
    island("copying what changed", move || {
        let settled = capture.settle(&|| {
            signals::check(&cancel)?;
            match deadline {
                Some(deadline) if Instant::now() > deadline => Err(HeldTooLong(longest).into()),
                _ => Ok(()),
            }
        });
        Ok((capture, settled))
    })
    .await
}
