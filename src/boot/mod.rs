//! The story of a boot test, top to bottom: would the home come up from this backup?
//!
//! Copies of the containers run on content of the backup, in a volume and on a network of their own
//! that are gone afterwards. The home that runs is asked what it is like, and else left alone.

mod copies;
mod fill;
mod trial;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::fill::{check, fill};
pub use self::trial::NotBooted;
use self::trial::Trial;
use crate::archive::{Archive, OpenError};
use crate::catalog::Booted;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{self, Event, Story};
use crate::plan::{self, BootPlan, Pick, Refused};
use crate::reach::Reach;
use crate::recover::{self, Desk};
use crate::throwaway::Throwaway;
use crate::{signals, survey};

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
/// [`OpenError::Damaged`] where its content is, [`NotBooted`] where a copy did not come up. Whatever
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
    refuse_in_a_network_of_its_own(&survey.facts)?;
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
    if let Some(reason) = verdict(&tried) {
        let booted = Booted {
            slug: slug.clone(),
            when: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            passed: reason.is_none(),
            reason,
            seconds,
            hearthkeep: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let noted = note(desk, &path, booted).await;
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
    signals::check(cancel)?;
    copies::make(&hands.engine, mark, &throwaway, plan).await?;
    let patience = order.patience;
    Trial { hands, mark, plan, throwaway: &throwaway, patience, cancel }.pass().await?;
    Ok(warnings)
}

/// The name of something that is made.
fn name(mark: &str, what: &str) -> String {
    format!("hearthkeep-boot-{mark}-{what}")
}

/// From another network nobody reaches one from which nothing leads out.
fn refuse_in_a_network_of_its_own(facts: &plan::Facts) -> Result<(), Refused> {
    let is_own = |it: &&crate::model::Container| facts.own_container.as_ref() == Some(&it.id);
    match facts.containers.iter().find(is_own) {
        Some(own) if !own.host_network => Err(Refused::Nothing(format!(
            "{} has a network of its own, from which the copies cannot be reached: run the boot test on the host, or in a container with the host's network",
            own.name
        ))),
        _ => Ok(()),
    }
}

/// What the test says of the backup: why it does not boot, if it does not. Nothing where what went
/// wrong says nothing of it.
fn verdict(tried: &anyhow::Result<Vec<String>>) -> Option<Option<String>> {
    match tried {
        Ok(_) => Some(None),
        Err(err) => match (err.downcast_ref::<NotBooted>(), err.downcast_ref::<OpenError>()) {
            // Not what the log says, which may be anything.
            (Some(not), _) => Some(Some(not.in_short())),
            (None, Some(OpenError::Damaged { reason, .. })) => Some(Some(reason.clone())),
            (None, _) => None,
        },
    }
}

async fn note(desk: &Desk, backup: &Path, booted: Booted) -> anyhow::Result<()> {
    desk.note(Event::DraftIntended { path: Booted::draft_path(backup) }).await?;
    let backup = backup.to_owned();
    island("noting the result", move || booted.write(&backup)).await
}
