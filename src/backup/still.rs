//! The hold: everything stands still while the capture takes what changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::write;
use crate::archive::{Metadata, Written};
use crate::capture::{Capture, Retaken};
use crate::fsx::Draft;
use crate::hands::Hands;
use crate::island::{Shore, island};
use crate::plan::{Hold, HoldLimit, How, OnMaxHold};
use crate::quiesce::{self, Held, Stillness};
use crate::signals;

/// The containers were held for as long as they may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the containers were held for {} s and not everything was copied; allow more with --max-hold, or let them go on meanwhile with --on-max-hold continue",
    .0.as_secs_f64()
)]
pub struct HeldTooLong(Duration);

/// What a hold needs.
pub(super) struct Holding<'a> {
    pub(super) hands: &'a Hands,
    pub(super) holds: &'a [Hold],
    pub(super) limit: HoldLimit,
    pub(super) cancel: &'a CancellationToken,
}

/// What came out of it.
pub(super) struct Still {
    /// The stable view; nothing where the files had to be archived in their places.
    pub(super) capture: Option<Capture>,
    /// Where they had to be, the archive.
    pub(super) archived: Option<(Draft, Written)>,
    pub(super) containers: Vec<Stillness>,
    pub(super) warnings: Vec<String>,
}

/// Holds everything, takes what changed, and releases, whatever happens in between. `draft` is for
/// a capture that is not stable, which is archived while everything is held.
pub(super) async fn still(
    holding: &Holding<'_>,
    capture: Capture,
    metadata: &Metadata,
    draft: &mut Option<Draft>,
) -> anyhow::Result<Still> {
    let engine = &holding.hands.engine;
    holding.hands.monitor.step("holding the containers", 0);
    let mut held = Some(quiesce::hold(engine, holding.holds).await?);
    let mut still = Still { capture: None, archived: None, containers: vec![], warnings: vec![] };
    let taken = take(holding, capture, metadata, draft, &mut held, &mut still).await;
    let stayed = match &held {
        Some(held) => quiesce::check(engine, held).await,
        None => Ok(()),
    };
    release(holding, &mut held, &mut still).await;
    taken?;
    stayed?;
    Ok(still)
}

async fn take(
    holding: &Holding<'_>,
    capture: Capture,
    metadata: &Metadata,
    draft: &mut Option<Draft>,
    held: &mut Option<Held>,
    still: &mut Still,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + holding.limit.longest;
    let (mut capture, settled) = settle(holding, capture, Some(deadline)).await?;
    match settled {
        Err(err) if err.is::<HeldTooLong>() && goes_on(holding) => {
            release(holding, held, still).await;
            still.warnings.push(too_long(holding));
            let (late, settled) = settle(holding, capture, None).await?;
            settled?;
            capture = late;
        }
        settled => settled?,
    }
    if capture.is_stable() {
        still.capture = Some(capture);
        return Ok(());
    }
    let Some(draft) = draft.take() else { return Ok(()) };
    let stop = holding.cancel.child_token();
    let never = |_: &Capture, _, _| Ok(Vec::new());
    let archiving = write::archive(holding.hands, capture, metadata, draft, never, &stop);
    let mut archiving = std::pin::pin!(archiving);
    still.archived = Some(match timeout_at(deadline, &mut archiving).await {
        Ok(archived) => archived?,
        Err(_) if goes_on(holding) => {
            release(holding, held, still).await;
            still.warnings.push(too_long(holding));
            archiving.await?
        }
        Err(_) => {
            stop.cancel();
            archiving.await.map_err(|_| HeldTooLong(holding.limit.longest))?
        }
    });
    Ok(())
}

fn goes_on(holding: &Holding<'_>) -> bool {
    holding.limit.then == OnMaxHold::Continue
}

fn too_long(holding: &Holding<'_>) -> String {
    format!(
        "the containers went on after {} s (--max-hold): what was copied later is of later moments",
        holding.limit.longest.as_secs_f64()
    )
}

/// Lets everything go on; once.
async fn release(holding: &Holding<'_>, held: &mut Option<Held>, still: &mut Still) {
    if let Some(held) = held.take() {
        let (containers, failures) = quiesce::release(&holding.hands.engine, held).await;
        still.containers = containers;
        still.warnings.extend(failures.err().map(|it| format!("{it:#}")));
    }
}

/// Takes what changed. The capture comes back also where that did not go well.
async fn settle(
    holding: &Holding<'_>,
    mut capture: Capture,
    deadline: Option<Instant>,
) -> anyhow::Result<(Capture, anyhow::Result<()>)> {
    let (cancel, longest) = (holding.cancel.clone(), holding.limit.longest);
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

/// A second, short hold for files that were written in place since the first. Containers that have
/// to be stopped for it go on: the files are not worth that.
pub(super) struct Again {
    hands: Hands,
    pauses: Vec<Hold>,
    cancel: CancellationToken,
    shore: Shore,
    stood: Mutex<Vec<Stillness>>,
}

impl Again {
    pub(super) fn new(holding: &Holding<'_>) -> Arc<Again> {
        let pauses = holding.holds.iter().filter(|it| it.how == How::Pause).cloned().collect();
        Arc::new(Again {
            hands: holding.hands.clone(),
            pauses,
            cancel: holding.cancel.clone(),
            shore: Shore::here(),
            stood: Mutex::default(),
        })
    }

    /// Takes files again. To be called from an island.
    pub(super) fn retake(
        &self,
        capture: &Capture,
        part: usize,
        names: Vec<Vec<u8>>,
    ) -> anyhow::Result<Vec<Retaken>> {
        let engine = &self.hands.engine;
        let held = self.shore.wait(quiesce::hold(engine, &self.pauses))?;
        let retaken = capture.retake(part, names, &|| Ok(signals::check(&self.cancel)?));
        let (stood, failures) = self.shore.wait(quiesce::release(engine, held));
        self.stood.lock().unwrap_or_else(PoisonError::into_inner).extend(stood);
        failures?;
        retaken
    }

    /// Adds how long the containers stood still again; gives the longest of these holds.
    pub(super) fn add_to(&self, containers: &mut [Stillness]) -> f64 {
        let stood = self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        for it in stood.iter() {
            let first = containers.iter_mut().find(|first| first.name == it.name);
            first.into_iter().for_each(|first| first.hold_seconds += it.hold_seconds);
        }
        quiesce::longest(&stood)
    }
}
