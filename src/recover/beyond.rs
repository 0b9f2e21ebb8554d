//! What a job container left open that only another one can reach.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{Recovered, Wreck, connect};
use crate::island::island;
use crate::journal;
use crate::lines::{Line, VARIABLE};
use crate::lock::Busy;
use crate::outpost::{Ending, Heard, Post, Site};
use crate::plan;

/// The exit code of a run that met another one.
const BUSY: u64 = 11;

/// The paths, as the run reached them, at which something is left to close.
pub async fn open_paths(state: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let state = state.to_owned();
    island("reading the journal", move || {
        let open = journal::open(&journal::read(&state)?);
        let swapped = open.swap.into_iter().flat_map(|it| it.mounts);
        let swapped = swapped.flat_map(|it| [it.target, it.staging]);
        let all = swapped.chain(open.stagings).chain(open.drafts);
        Ok(all.map(PathBuf::from).collect())
    })
    .await
}

/// Has a job container close what is open; nothing where this process reaches all of it.
///
/// # Errors
/// [`Busy`] where a run is under way.
pub(super) async fn resume(
    state: &Path,
    wreck: Wreck,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Recovered>> {
    let paths = open_paths(state).await?;
    if !paths.iter().any(|it| plan::is_placed(it)) {
        return Ok(None);
    }
    // Whoever comes after a crash of the machine may be here before it.
    connect(cancel).await?;
    let Some(site) = Site::look(state).await? else { return Ok(None) };
    let mounts = site.leading_to(&paths);
    if mounts.is_empty() {
        return Ok(None);
    }
    site.check_folders(None)?;
    let words: &[&str] = match wreck {
        Wreck::Stays => &["resume", "--automatic"],
        Wreck::GoesBack => &["resume"],
        Wreck::IsKept => &["resume", "--keep-restored"],
    };
    let post = Post::start(&site.engine, &site.closing(job(), words, mounts)?, None).await?;
    let (mut printed, mut failed) = (None, None);
    let mut hear = |heard| match heard {
        Heard::Line(text) => match Line::read(&text) {
            Some(Line::Printed { object, .. }) => printed = Some(object),
            Some(Line::Failed { object, message }) => failed = Some((object, message)),
            _ => (),
        },
        Heard::Aside(_) => (),
    };
    let ending = post.follow(&mut hear).await?;
    // One that cannot be removed now is removed by whoever comes next.
    let _ = post.remove().await;
    match (printed, failed) {
        (Some(object), _) => {
            let recovered = serde_json::from_value(object).context("reading what was closed")?;
            Ok(Some(recovered))
        }
        (None, Some((object, _))) if object["exit_code"] == BUSY => Err(Busy.into()),
        (None, Some((_, message))) => Err(anyhow::anyhow!(message)),
        (None, None) => {
            let how = match ending {
                Ending::Ended(code) => format!("ended with {code}"),
                Ending::Gone => "was removed".to_owned(),
            };
            Err(anyhow::anyhow!("{} {how} before all was closed", post.name))
        }
    }
}

/// An identifier beside that of the job that is closed, whose container may be there still.
fn job() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match std::env::var(VARIABLE) {
        Ok(job) if !job.is_empty() => format!("{job}-resume"),
        _ => format!("{:x}-resume", since.as_nanos()),
    }
}
