//! All that is known before anything is touched: the plan, the targets, the room.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::Order;
use super::find_out::find_out;
use super::onto::{self, Site};
use crate::archive::{self, Archive, Checks};
use crate::companions::handover::Clues;
use crate::hands::Hands;
use crate::island::island;
use crate::model::{Asks, Item};
use crate::plan::{self, RestorePlan};
use crate::reach::Reach;
use crate::swap::{Room, Targets};

/// What a restore would do, and what speaks against it.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The plan, with all problems that were found until now.
    pub plan: RestorePlan,
    /// What is needed and free on each file system; empty as long as nothing was measured.
    pub rooms: Vec<Room>,
    /// What is wrong with the file and hinders nobody, as sentences.
    pub doubts: Vec<String>,
    pub(super) reach: Reach,
    /// What stays wherever it lies: backups are no part of a backup, least of all the one that is
    /// read.
    pub(super) stays: Vec<PathBuf>,
    targets: Targets,
    /// What the translations are made of.
    pub(super) clues: Clues,
}

/// Something speaks against a restore; nothing was touched.
#[derive(Debug, thiserror::Error)]
#[error("{first}{}", more(*.n_more))]
pub struct Hindered {
    /// The first problem.
    pub first: String,
    /// How many there are beside it.
    pub n_more: usize,
}

fn more(n: usize) -> String {
    if n == 0 { String::new() } else { format!(" (and {n} more: --dry-run shows all)") }
}

impl Outlook {
    /// Refuses where anything speaks against it.
    pub fn check(&self) -> Result<(), Hindered> {
        match self.plan.problems.split_first() {
            None => Ok(()),
            Some((first, rest)) => Err(Hindered { first: first.clone(), n_more: rest.len() }),
        }
    }

    /// Adds what the targets say.
    fn gather(&mut self) {
        for problem in std::mem::take(&mut self.targets.problems) {
            if !self.plan.problems.contains(&problem) {
                self.plan.problems.push(problem);
            }
        }
    }
}

/// Plans, and looks at the targets. Of the file only what the plan of a backup of another writer asks
/// for is read; of a site that is made for this restore the folders of its mounts are made.
pub async fn look(
    hands: &Hands,
    archive: &Archive,
    site: &mut Site,
    order: &Order,
    cancel: &CancellationToken,
) -> anyhow::Result<Outlook> {
    let survey = onto::look(hands, archive, site).await?;
    let (facts, reach) = (survey.facts, survey.reach);
    let home = plan::find(&facts, &site.pick)?;
    let mut contents = archive.metadata.contents();
    let asks = plan::asks(&facts, &home, &contents, &order.request)?;
    if asks != Asks::default() {
        contents.found = find_out(hands, archive, asks, &reach, cancel).await?;
    }
    let mut plan = plan::restore(&facts, home, &contents, &order.request)?;
    site.make_sources(archive, &plan, &reach).await?;
    let clues = clues(hands, archive, plan.telling(&contents, &order.request), cancel).await?;
    plan.hand_over(&contents, &order.request, &clues);
    let mut stays = vec![archive.path.clone()];
    stays.extend(hands.store_of(&plan.home, &reach));
    let stays: Vec<PathBuf> = stays.iter().flat_map(|it| reach.everywhere(it)).collect();
    let routes = std::mem::take(&mut plan.routes);
    let (at, staying, cancel) = (reach.clone(), stays.clone(), cancel.clone());
    let targets = island("looking", move || Targets::look(routes, &at, &staying, &cancel)).await?;
    plan.routes.clone_from(&targets.routes);
    let mut outlook =
        Outlook { plan, rooms: Vec::new(), doubts: Vec::new(), reach, stays, targets, clues };
    outlook.gather();
    Ok(outlook)
}

/// Reads the small files of a backup that tell what needs a hand.
async fn clues(
    hands: &Hands,
    archive: &Archive,
    telling: Vec<(Item, Vec<&'static str>)>,
    cancel: &CancellationToken,
) -> anyhow::Result<Clues> {
    if telling.is_empty() {
        return Ok(Clues::default());
    }
    let (archive, monitor, cancel) = (archive.clone(), hands.monitor.clone(), cancel.clone());
    let items: Vec<Item> = telling.iter().map(|(item, _)| item.clone()).collect();
    monitor.step("looking into the backup", archive.size_of(&items));
    island("looking into the backup", move || {
        let mut clues = Clues::default();
        for (item, paths) in telling {
            for (path, text) in archive::texts(&archive, &item, &paths, &cancel, &*monitor)? {
                clues.add(item.clone(), path, text);
            }
        }
        Ok(clues)
    })
    .await
}

/// Reads the backup to its end, and measures on the way what each target gets.
///
/// # Errors
/// Where the file is damaged, or was cancelled. That something does not fit is a problem.
pub async fn measure(
    hands: &Hands,
    archive: Archive,
    outlook: Outlook,
    cancel: &CancellationToken,
) -> anyhow::Result<(Archive, Outlook)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("checking the backup", archive.size_bytes);
    island("checking", move || {
        let mut outlook = outlook;
        let gauges = outlook.targets.gauges(&archive);
        let checks = Checks { gauges: &gauges, ..Checks::default() };
        let verdict = archive::verify(&archive, checks, &cancel, &*monitor)?;
        let (extents, doubts) = verdict.restorable(&archive)?;
        outlook.rooms = outlook.targets.rooms(&extents)?;
        outlook.doubts = doubts;
        outlook.gather();
        Ok((archive, outlook))
    })
    .await
}
