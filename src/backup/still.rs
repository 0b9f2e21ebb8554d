//! The hold: everything stands still while the capture takes what changed.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, timeout_at};

use super::{Run, metadata, warmed, write};
use crate::archive::{Metadata, Written};
use crate::capture::Capture;
use crate::fsx::Draft;
use crate::island::island;
use crate::plan::OnMaxHold;
use crate::quiesce::databases::{self, Consistency, Locked};
use crate::quiesce::hooks::Before;
use crate::quiesce::{self, Held, Stillness, Unseen};
use crate::signals;

/// The containers were held for as long as they may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the containers were held for {} s and not everything was copied; allow more with --max-hold, or let them go on meanwhile with --on-max-hold continue",
    .0.as_secs_f64()
)]
pub struct HeldTooLong(pub(super) Duration);

/// What came out of a hold.
#[derive(Default)]
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
    View(Work),
    /// The archive itself, where there was no room for copies.
    Archive(Draft, Written),
}

/// What is to be archived, and the file for it.
pub(super) struct Work {
    pub(super) capture: Capture,
    pub(super) metadata: Metadata,
    pub(super) draft: Draft,
}

/// What stands still, and what no commit gets into meanwhile.
struct Holding {
    held: Held,
    locked: Locked,
}

/// Holds everything, takes what changed, and releases, whatever happens in between.
pub(super) async fn still(
    run: &Run<'_>,
    mut capture: Capture,
    before: &Before,
) -> anyhow::Result<Still> {
    if let Some(failed) = &before.failed {
        return Err(signals::check(run.cancel).map_or_else(anyhow::Error::from, |()| {
            anyhow::anyhow!("{failed:#}; nothing was held")
        }));
    }
    let is_skipped = |item: &_| before.skipped.iter().any(|(it, _)| it == item);
    let plan = run.plan.without(is_skipped)?;
    let run = &Run { plan: &plan, ..run.clone() };
    capture.retain(|part| !is_skipped(&part.item));
    anyhow::ensure!(
        capture.parts().next().is_some(),
        "nothing is left to back up: every container asked to be skipped"
    );
    let mut still = Still::default();
    // What the hooks have changed.
    if !plan.hooks.is_empty() && capture.is_stable() {
        capture = warmed(capture, None, &mut still.warnings, run.cancel).await?;
    }
    let metadata = metadata(run, &capture);
    let draft = write::begin(run, &metadata).await?;
    still.taken = Some(hold(run, Work { capture, metadata, draft }, &mut still).await?);
    Ok(still)
}

async fn hold(run: &Run<'_>, work: Work, still: &mut Still) -> anyhow::Result<Taken> {
    let (engine, journal) = (&run.hands.engine, &run.desk.journal);
    run.hands.monitor.step("holding the containers", 0);
    let holds = quiesce::as_they_are(engine, &run.plan.holds).await?;
    run.hands.monitor.silence(quiesce::longest_hold(&holds));
    let locked = databases::lock(engine, &run.plan.databases, run.cancel).await;
    let mut holding = match quiesce::hold(engine, journal, &holds, run.cancel).await {
        Ok(held) => Some(Holding { held, locked }),
        Err(err) => {
            databases::unlock(locked).await;
            return Err(err);
        }
    };
    // In a slot, because to let go of it takes its time, for which nobody should be held.
    let mut work = Some(work);
    let taken = take(run, &mut work, &mut holding, still).await;
    let stayed = match &holding {
        Some(holding) => quiesce::check(engine, &holding.held).await,
        None => Ok(()),
    };
    let stayed = match stayed {
        Err(unseen) if unseen.is::<Unseen>() => {
            still.warnings.push(unseen.to_string());
            Ok(())
        }
        stayed => stayed,
    };
    release(run, &mut holding, still).await;
    let work = let_go(work, still).await?;
    let taken = taken.map_err(|err| match still.warnings.as_slice() {
        [] => err,
        // Who is still held has to be told above all.
        warnings => err.context(format!("{}; before that", warnings.join("; "))),
    });
    match (taken?, work) {
        (Some((draft, written)), _) => stayed.map(|()| Taken::Archive(draft, written)),
        (None, Some(work)) => stayed.map(|()| Taken::View(work)),
        (None, None) => anyhow::bail!("nothing was taken"),
    }
}

/// Takes what changed. Where there was no room for copies, archives everything in its place.
async fn take(
    run: &Run<'_>,
    work: &mut Option<Work>,
    holding: &mut Option<Holding>,
    still: &mut Still,
) -> anyhow::Result<Option<(Draft, Written)>> {
    let deadline = Instant::now() + run.limit.longest;
    match settle(run, work, Some(deadline)).await {
        Err(err) if err.is::<HeldTooLong>() && goes_on(run) => {
            release(run, holding, still).await;
            still.warnings.push(too_long(run));
            settle(run, work, None).await?;
        }
        settled => still.held_bytes = settled?,
    }
    let Some(Work { capture, metadata, draft }) = work.take_if(|it| !it.capture.is_stable()) else {
        return Ok(None);
    };
    still.content_bytes = bytes(&capture);
    still.held_bytes = still.content_bytes;
    let stop = run.cancel.child_token();
    let never = |_: &Capture, _, _| Ok(Vec::new());
    let mut writing =
        std::pin::pin!(write::write(run, Work { capture, metadata, draft }, never, &stop));
    let (draft, written) = match timeout_at(deadline, &mut writing).await {
        Ok(written) => written?,
        Err(_) if goes_on(run) => {
            release(run, holding, still).await;
            still.warnings.push(too_long(run));
            writing.await?
        }
        Err(_) => {
            stop.cancel();
            writing.await.map_err(|_| HeldTooLong(run.limit.longest))?
        }
    };
    Ok(Some((draft, written)))
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

/// Lets everything go on; once. Databases right after, for whose commits others may wait.
async fn release(run: &Run<'_>, holding: &mut Option<Holding>, still: &mut Still) {
    let Some(Holding { held, locked }) = holding.take() else { return };
    let released = quiesce::release(&run.hands.engine, &run.desk.journal, held).await;
    still.databases = databases::unlock(locked).await;
    still.containers = released.containers;
    // A container that is still held is worse than no backup, and none the better for one less.
    still.warnings.extend(released.failures.into_iter().map(|it| it.text));
    still.warnings.extend(released.warnings);
}

/// Takes what changed; gives how many bytes had to be copied.
async fn settle(
    run: &Run<'_>,
    work: &mut Option<Work>,
    deadline: Option<Instant>,
) -> anyhow::Result<u64> {
    let mut taken = work.take().context("nothing is left to take")?;
    let (cancel, longest) = (run.cancel.clone(), run.limit.longest);
    let (taken, settled) = island("copying what changed", move || {
        let settled = taken.capture.settle(&|| {
            signals::check(&cancel)?;
            match deadline {
                Some(deadline) if Instant::now() > deadline => Err(HeldTooLong(longest).into()),
                _ => Ok(()),
            }
        });
        Ok((taken, settled))
    })
    .await?;
    *work = Some(taken);
    settled
}

/// Ends the read transactions in databases: now that everything runs, their logs grow by them.
async fn let_go(work: Option<Work>, still: &mut Still) -> anyhow::Result<Option<Work>> {
    let Some(mut work) = work else { return Ok(None) };
    let work = island("letting go of databases", move || {
        work.capture.let_go();
        Ok(work)
    })
    .await?;
    still.content_bytes = bytes(&work.capture);
    still.notes = notes(&work.capture);
    Ok(Some(work))
}

fn bytes(capture: &Capture) -> u64 {
    capture.extents().iter().map(|it| it.bytes).sum()
}

fn notes(capture: &Capture) -> Vec<String> {
    match capture.n_packed() {
        0 => Vec::new(),
        n => vec![format!(
            "{n} small files were copied before the hold, since this process may not hold so many open (ulimit -n)"
        )],
    }
}
