//! The story of a restore, top to bottom.

mod onto;
mod proof;
mod replace;
mod roll_back;
mod stage;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::onto::{Foreseen, Site, foresee};
use self::proof::{answers, come_up};
use self::replace::{give_up, replace};
pub use self::roll_back::RolledBack;
use self::roll_back::roll_back;
use self::stage::{check, extract};
use crate::archive::Archive;
use crate::gate;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::Story;
use crate::model::Item;
use crate::plan::{self, Pick, RestorePlan, RestoreRequest};
use crate::quiesce::{self, Stillness};
use crate::reach::Reach;
use crate::recover::{self, Desk};

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which home.
    pub pick: Pick,
    /// The Compose file of a home that may not be there yet.
    pub onto: Option<PathBuf>,
    /// What goes into it.
    pub request: RestoreRequest,
    /// When it counts as restored.
    pub trial: Trial,
}

/// What the restored home has to show.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// How long it may take to come up.
    pub patience: Duration,
}

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The slug of the backup.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// The items that were restored.
    pub items: Vec<String>,
    /// How long the run took.
    pub duration_seconds: f64,
    /// The longest that any container was down.
    pub longest_hold_seconds: f64,
    /// Each container that was stopped.
    pub containers: Vec<Stillness>,
    /// What is good to know.
    pub notes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Opens nothing and changes nothing: what a dry run shows.
pub async fn prepare(
    hands: &Hands,
    archive: &Archive,
    site: &Site,
    order: &Order,
) -> anyhow::Result<(RestorePlan, Reach)> {
    let survey = onto::look(hands, archive, site).await?;
    let home = plan::find(&survey.facts, &site.pick)?;
    let contents = archive.metadata.contents();
    Ok((plan::restore(&survey.facts, home, &contents, &order.request)?, survey.reach))
}

/// Restores a backup.
///
/// # Errors
/// [`RolledBack`] where the restored home did not come up within its [`Trial::patience`]. After every error
/// the old content is in place and what ran before runs, except where the error says that it
/// could not be moved back or started; then it says what lies where.
pub async fn run(
    hands: &Hands,
    archive: Archive,
    order: &Order,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let mut desk = recover::begin(hands, Story::Restore).await?;
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
    let (archive, content_bytes, doubts) = check(hands, archive, cancel).await?;
    let (archive, mut site) = onto::set_up(hands, archive, order, cancel).await?;
    let checked = Checked { archive, content_bytes, doubts };
    match restore(hands, desk, checked, &mut site, order, cancel).await {
        Ok(report) => Ok(Report { duration_seconds: begin.elapsed().as_secs_f64(), ..report }),
        Err(err) => Err(site.abandon(hands, err).await),
    }
}

/// A backup that was read to its end.
struct Checked {
    archive: Archive,
    content_bytes: BTreeMap<String, u64>,
    doubts: Vec<String>,
}

/// Restores into containers that are there.
async fn restore(
    hands: &Hands,
    desk: &mut Desk,
    checked: Checked,
    site: &mut Site,
    order: &Order,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let Checked { archive, content_bytes, doubts } = checked;
    let (plan, reach) = prepare(hands, &archive, site, order).await?;
    site.make_sources(&archive, &plan, &reach).await?;
    let (slug, name) = (archive.metadata.slug.clone(), archive.metadata.name.clone());
    // Backups are no part of a backup, least of all the one that is read.
    let mut stays = vec![archive.path.clone()];
    stays.extend(hands.store_of(&plan.home, &reach));
    let (moves, notes) = extract(hands, archive, content_bytes, &plan, &reach, cancel).await?;
    let mut warnings = std::mem::take(&mut desk.warnings);
    warnings.extend(doubts);
    warnings.extend(notes);

    let answered = answers(&plan, &reach).await.unwrap_or(false);
    if let Err(err) = desk.guard().await {
        return Err(give_up(moves, err).await);
    }
    let journal = &desk.journal;
    let mut replaced = replace(hands, journal, &plan, moves, stays, cancel).await?;
    warnings.append(&mut replaced.warnings);
    let came_up = match replaced.released {
        Ok(()) => come_up(hands, &plan, &reach, order.trial, cancel).await,
        failed => failed,
    };
    match came_up {
        Ok(()) => (),
        // Nothing would be won by going back to a home that did not answer either, or that
        // cannot be asked from here.
        Err(err) if err.is::<gate::Silent>() && !answered && !site.is_new() => {
            warnings.push(format!("{err:#}; it did not before the restore either"));
        }
        Err(err) => {
            return Err(
                roll_back(hands, journal, &plan, replaced.moves, replaced.swapped, err).await
            );
        }
    }
    // The home is up: what is left of the old one is a nuisance, not a failure.
    let moves = replaced.moves;
    let removed = island("cleaning up", move || moves.remove()).await;
    warnings.extend(removed.err().map(|err| format!("{err:#}")));
    Ok(Report {
        slug,
        name,
        items: plan.items().iter().map(Item::to_string).collect(),
        duration_seconds: 0.0,
        longest_hold_seconds: quiesce::longest(&replaced.containers),
        containers: replaced.containers,
        notes: std::mem::take(&mut site.notes).into_iter().chain(plan.notes).collect(),
        warnings,
    })
}
