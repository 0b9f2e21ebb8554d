//! The story of a backup, top to bottom.

mod prepare;
mod still;
mod write;

use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::still::{Again, Holding, Still};
use crate::archive::Metadata;
use crate::capture::{Capture, NoRoom};
use crate::hands::Hands;
use crate::island::island;
use crate::plan::{BackupRequest, Pick};
use crate::quiesce::{self, Stillness};
use crate::{lock, signals};

pub use self::prepare::{Prepared, prepare};
pub use self::still::HeldTooLong;

/// What a backup did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The backup's slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The bytes that were read for it.
    pub content_bytes: u64,
    /// How long the run took.
    pub duration_seconds: f64,
    /// The longest that any container stood still.
    pub longest_hold_seconds: f64,
    /// Each container that was held.
    pub containers: Vec<Stillness>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Makes a backup.
///
/// # Errors
/// Whatever stopped it. Every container goes on as before, and no unfinished file is left.
pub async fn run(
    hands: &Hands,
    pick: &Pick,
    request: &BackupRequest,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let state = hands.state.clone();
    let _lock = island("locking", move || lock::take(&state)).await?;
    hands.monitor.step("looking at the home", 0);
    let prepared = prepare(hands, pick, request).await?;
    let plan = prepared.plan.clone();
    let mut warnings = plan.warnings.clone();
    let content_bytes = prepared.bytes();
    let metadata = Metadata::new(&plan.name, Timestamp::now(), &plan.parts, plan.compressed);
    let mut draft = Some(write::reserve(&prepared, &metadata).await?);

    hands.monitor.step("copying what changes", prepared.needs);
    let capture = warm(prepared, &mut warnings, cancel).await?;
    signals::check(cancel)?;
    let holding = Holding { hands, holds: &plan.holds, limit: request.limit, cancel };
    let still = still::still(&holding, capture, &metadata, &mut draft).await?;
    let Still { capture, mut containers, archived, warnings: more } = still;
    warnings.extend(more);
    let mut longest_hold_seconds = quiesce::longest(&containers);
    let (draft, written) = match (capture, draft, archived) {
        (Some(capture), Some(draft), _) => {
            let again = Again::new(&holding);
            let retaking = again.clone();
            let retake = move |capture: &_, part, names| retaking.retake(capture, part, names);
            let archived =
                write::archive(hands, capture, &metadata, draft, retake, cancel).await?;
            longest_hold_seconds = longest_hold_seconds.max(again.add_to(&mut containers));
            archived
        }
        (_, _, Some(archived)) => archived,
        _ => anyhow::bail!("nothing was archived"),
    };
    let path = write::verify(hands, draft, &written, cancel).await?;
    warnings.extend(written.warnings);
    Ok(Report {
        slug: written.metadata.slug,
        name: written.metadata.name,
        path,
        size_bytes: written.size_bytes,
        content_bytes,
        duration_seconds: begin.elapsed().as_secs_f64(),
        longest_hold_seconds,
        containers,
        warnings,
    })
}

/// Copies what changes while everything runs.
async fn warm(
    prepared: Prepared,
    warnings: &mut Vec<String>,
    cancel: &CancellationToken,
) -> anyhow::Result<Capture> {
    let Prepared { mut capture, staging, .. } = prepared;
    let Some(staging) = staging else { return Ok(capture) };
    let cancel = cancel.clone();
    let (capture, warmed) = island("copying what changes", move || {
        let warmed = capture
            .begin(&staging)
            .and_then(|()| capture.warm(&|| Ok(signals::check(&cancel)?)));
        Ok((capture, warmed))
    })
    .await?;
    match warmed {
        // More changes than the files told at first.
        Err(err) if err.is::<NoRoom>() => {
            warnings.push(format!("the containers are held until the archive is written: {err:#}"));
        }
        warmed => warmed?,
    }
    Ok(capture)
}
