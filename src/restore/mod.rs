//! The story of a restore, top to bottom.

mod find_out;
mod onto;
mod outlook;
mod preview;
mod proof;
mod replace;
mod roll_back;
mod stage;
mod start;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::onto::{Foreseen, Site, foresee};
pub use self::outlook::{Hindered, Outlook, look, measure};
pub use self::preview::{Move, Preview, Versions};
use self::proof::{answers, come_up};
use self::replace::replace;
pub use self::roll_back::{LeftToLookAt, RolledBack};
use self::roll_back::{leave, roll_back};
use self::stage::{extract, translate};
use crate::archive::Archive;
use crate::companions::handover::ToDo;
use crate::gate;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::Story;
use crate::model::Item;
use crate::plan::{Pick, RestoreRequest};
use crate::quiesce::{self, Stillness};
use crate::recover::{self, Desk};
use crate::swap::{finish, prove};

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
    /// How long it has to stay up then.
    pub settle: Duration,
    /// Whether it stays to be looked at where it does not.
    pub leaves_wreck: bool,
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
    /// What was made ready for life without a Supervisor.
    pub translated: Vec<String>,
    /// What a person has to do by hand.
    pub to_do: Vec<ToDo>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Restores a backup.
///
/// # Errors
/// [`Hindered`] where something speaks against it, and nothing was touched; [`RolledBack`] where the
/// restored home did not come up within its [`Trial::patience`], [`LeftToLookAt`] where it stays
/// nevertheless. After every other error the old content is in place and what ran before runs,
/// except where the error says that it could not be moved back or started; then it says what lies
/// where, and recovery tries again.
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
    let (archive, mut site) = onto::set_up(hands, archive, order, cancel).await?;
    match restore(hands, desk, archive, &mut site, order, begin, cancel).await {
        Ok(report) => Ok(report),
        // A wreck is nothing to look at without its containers.
        Err(err) if err.is::<LeftToLookAt>() => Err(err),
        Err(err) => Err(site.abandon(hands, err).await),
    }
}

/// Restores into containers that are there.
async fn restore(
    hands: &Hands,
    desk: &mut Desk,
    archive: Archive,
    site: &mut Site,
    order: &Order,
    begin: Instant,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let outlook = look(hands, &archive, site, order, cancel).await?;
    outlook.check()?;
    quiesce::rights::check(&hands.engine, &outlook.plan.stops, false).await?;
    let (archive, outlook) = measure(hands, archive, outlook, cancel).await?;
    outlook.check()?;
    let Outlook { plan, doubts, reach, stays, clues, .. } = outlook;
    let (slug, name) = (archive.metadata.slug.clone(), archive.metadata.name.clone());
    desk.guard().await?;
    let journal = &desk.journal;
    let (moves, notes) = extract(hands, journal, archive, &plan, &reach, cancel).await?;
    let (moves, translated, left) = translate(&plan, moves, clues).await?;
    let mut warnings = std::mem::take(&mut desk.warnings);
    warnings.extend(doubts);
    warnings.extend(notes);
    warnings.extend(left);

    let answered = answers(&plan, &reach).await.unwrap_or(false);
    let mut replaced = replace(hands, journal, &plan, moves, stays, &slug, cancel).await?;
    warnings.append(&mut replaced.warnings);
    let came_up = match replaced.released {
        Ok(()) => come_up(hands, &plan, &reach, order.trial, cancel).await,
        failed => failed,
    };
    let swap = replaced.swap;
    match came_up {
        Ok(()) => (),
        // Nothing would be won by going back to a home that did not answer either, or that
        // cannot be asked from here.
        Err(err) if err.is::<gate::Silent>() && !answered && !site.is_new() => {
            warnings.push(format!("{err:#}; it did not before the restore either"));
        }
        Err(err) if order.trial.leaves_wreck => {
            return Err(leave(hands, journal, &plan, swap, err).await);
        }
        Err(err) => return Err(roll_back(hands, journal, &plan, swap, err).await),
    }
    let (noting, proved) = (journal.clone(), swap.clone());
    if let Err(err) = island("keeping the restored home", move || prove(&noting, &proved)).await {
        return Err(roll_back(hands, journal, &plan, swap, err).await);
    }
    // The home is up: what is left of the old one is a nuisance, not a failure.
    let noting = journal.clone();
    let removed = island("cleaning up", move || finish(&noting, &swap)).await;
    warnings.extend(removed.err().map(|err| format!("{err:#}")));
    Ok(Report {
        slug,
        name,
        items: plan.items().iter().map(Item::to_string).collect(),
        duration_seconds: begin.elapsed().as_secs_f64(),
        longest_hold_seconds: quiesce::longest(&replaced.containers),
        containers: replaced.containers,
        notes: std::mem::take(&mut site.notes).into_iter().chain(plan.notes).collect(),
        translated,
        to_do: plan.to_do,
        warnings,
    })
}
