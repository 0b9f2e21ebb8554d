//! The story of a boot test, top to bottom: would the home come up from this backup?
//!
//! Copies of the containers run on content of the backup, in a volume and on a network of their own
//! that are gone afterwards. The home that runs is asked what it is like, and else left alone.

mod copies;
mod fill;
mod trial;
mod verdict;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::fill::{check, fill};
pub use self::trial::NotBooted;
use self::trial::Trial;
use self::verdict::Verdict;
use crate::archive::Archive;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{self, Event, Story};
use crate::plan::{self, BootPlan, Pick};
use crate::reach::Reach;
use crate::recover::{self, Desk};
use crate::survey;
use crate::throwaway::Throwaway;

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which home.
    pub pick: Pick,
    /// How long everything may take to come up.
    pub patience: Duration,
    /// Whether every file is compared with its checksum, too.
    pub deep: bool,
}

/// What a boot test that was passed has shown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The slug of the backup.
    pub slug: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it boots, which it does.
    pub boots: bool,
    /// How long the test took.
    pub duration_seconds: f64,
    /// The containers whose copies came up.
    pub containers: Vec<String>,
    /// What was not tried, and why.
    pub notes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Tries whether a backup boots, and notes the result beside it.
///
/// # Errors
/// [`OpenError::Damaged`](crate::archive::OpenError::Damaged) where its content is, [`NotBooted`] where a copy did not come up. Whatever
/// the error, nothing of the test is left, except where the error says so.
pub async fn run(
    hands: &Hands,
    archive: Archive,
    order: &Order,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let mut desk = recover::begin(hands, Story::Boot).await?;
    let outcome = carry_out(hands, &mut desk, archive, order, cancel).await;
    desk.end().await;
    outcome
}

async fn carry_out(
    hands: &Hands,
    desk: &mut Desk,
    archive: Archive,
    order: &Order,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let survey = survey::look(&hands.engine).await?;
    let home = plan::find(&survey.facts, &order.pick)?;
    let plan = plan::boot(&survey.facts, &home, &archive.metadata.contents())?;
    let (slug, path) = (archive.metadata.slug.clone(), archive.path.clone());

    desk.guard().await?;
    let mark = format!("{:x}-{:x}", journal::now(), std::process::id());
    desk.note(Event::BootIntended { mark: mark.clone() }).await?;
    let tried = attempt(hands, archive, order, &plan, &survey.reach, &mark, cancel).await;
    hands.monitor.step("removing the copies", 0);
    let cleared = recover::clear(&hands.engine, &mark).await;
    if cleared.is_ok() {
        // Without that line it is looked for once more.
        let _ = desk.note(Event::BootGone { mark }).await;
    }

    let seconds = begin.elapsed().as_secs_f64();
    let mut warnings = std::mem::take(&mut desk.warnings);
    if let Some(verdict) = Verdict::of(&tried) {
        let noted = verdict.note(desk, &slug, &path, seconds).await;
        warnings.extend(noted.err().map(|err| format!("the result is not noted: {err:#}")));
    }
    let doubts = match (tried, cleared) {
        (Ok(doubts), Ok(())) => doubts,
        (Ok(_), Err(left)) => return Err(left),
        (Err(err), Ok(())) => return Err(err),
        (Err(err), Err(left)) => return Err(err.context(format!("{left:#}; before that"))),
    };
    warnings.extend(doubts);
    let containers = plan.copies.into_iter().map(|it| it.name).collect();
    let (boots, notes) = (true, plan.notes);
    Ok(Report { slug, path, boots, duration_seconds: seconds, containers, notes, warnings })
}

/// The part that makes something; gives what a person should look at.
async fn attempt(
    hands: &Hands,
    archive: Archive,
    order: &Order,
    plan: &BootPlan,
    reach: &Reach,
    mark: &str,
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<String>> {
    let volume = hands.engine.create_volume(&name(mark, "volume"), mark).await?;
    let reach = reach.clone();
    let throwaway = island("opening the volume", move || Throwaway::new(volume, &reach)).await?;
    let mut checked = check(hands, archive, &throwaway, order.deep, cancel).await?;
    let mut warnings = std::mem::take(&mut checked.notes);
    warnings.extend(fill(hands, checked, &throwaway, plan, cancel).await?);
    copies::make(&hands.engine, mark, &throwaway, plan, cancel).await?;
    let patience = order.patience;
    Trial { hands, mark, plan, throwaway: &throwaway, patience, cancel }.pass().await?;
    Ok(warnings)
}

/// The name of something that is made.
fn name(mark: &str, what: &str) -> String {
    format!("hearthkeep-boot-{mark}-{what}")
}
