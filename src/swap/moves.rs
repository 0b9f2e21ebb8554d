//! All mounts of a restore together: extracted, exchanged, taken back or made final as one.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::attributes::{attributes, stamp};
use super::exchange::is_folder;
use super::keep::kept;
use super::staging::{self, Staging};
use super::targets;
use crate::archive::{self, Archive, Target};
use crate::journal::{Event, Journal, SwapMount};
use crate::model::Item;
use crate::monitor::Monitor;
use crate::plan::Route;
use crate::reach::Reach;

/// What was extracted, beside its targets.
#[derive(Debug, Clone)]
pub struct Moves {
    moves: Vec<Move>,
    /// Knows of the staging folders for as long as they are there.
    journal: Journal,
}

/// What is on its way to one mount.
#[derive(Debug, Clone)]
struct Move {
    /// Several where an add-on kept in several places what a container has in one mount.
    routes: Vec<Route>,
    /// The mount, as this process reaches it.
    target: PathBuf,
    staging: Staging,
}

impl Moves {
    /// Extracts the routes of a backup beside their targets; gives also what could not be placed,
    /// as sentences. A mount of which the backup holds nothing is left out, and stays as it is.
    ///
    /// # Errors
    /// Whatever stopped it; nothing of what was extracted is left.
    pub fn extract(
        archive: &Archive,
        routes: Vec<Route>,
        reach: &Reach,
        journal: &Journal,
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<(Moves, Vec<String>)> {
        let mut moves = Moves { moves: Vec::new(), journal: journal.clone() };
        let outcome = moves.fill(archive, routes, reach, cancel, monitor);
        match outcome {
            Ok(warnings) => Ok((moves, warnings)),
            Err(err) => Err(moves.discard_after(err)),
        }
    }

    fn fill(
        &mut self,
        archive: &Archive,
        routes: Vec<Route>,
        reach: &Reach,
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<Vec<String>> {
        // A part is read once, for all that is taken out of it.
        let mut items: Vec<Item> = Vec::new();
        for route in &routes {
            if !items.contains(&route.from) {
                items.push(route.from.clone());
            }
        }
        for route in routes {
            self.stage(route, reach)?;
        }
        let folders = self.moves.iter().map(|it| it.staging.folder().into()).collect();
        self.journal.note(&[Event::StagingIntended { folders }])?;
        self.moves.iter().try_for_each(|it| it.staging.make())?;
        let mut warnings = Vec::new();
        for item in items {
            monitor.part(&item.to_string());
            let member = archive
                .member_of(&item)
                .ok_or_else(|| archive.damaged(format!("{item} is missing")))?;
            let targets: Vec<Target> = self.moves.iter().flat_map(|it| it.targets(&item)).collect();
            let extracted = archive::extract(archive, member, &targets, cancel, monitor)?;
            warnings.extend(extracted.warnings);
            // What is not asked for is not missed.
            if self.moves.iter().flat_map(|it| &it.routes).any(|it| it.item == item) {
                warnings.extend(extracted.unplaced);
            }
            let mut of_item = self.moves.iter().filter(|it| it.reads(&item));
            // Old snapshots lay their files out otherwise; saying that they are restored would be
            // a lie.
            anyhow::ensure!(
                of_item.any(|it| it.staging.is_filled()),
                "{} holds nothing that has a place in this home",
                member.name
            );
        }
        self.settle()?;
        Ok(warnings)
    }

    fn stage(&mut self, route: Route, reach: &Reach) -> anyhow::Result<()> {
        let target = targets::find(&route, reach).map_err(anyhow::Error::msg)?;
        let Some(there) = self.moves.iter_mut().find(|it| it.target == target) else {
            let staging = Staging::beside(&target)?;
            self.moves.push(Move { routes: vec![route], target, staging });
            return Ok(());
        };
        let is_one = there.routes.iter().all(|it| targets::are_one(it, &route));
        anyhow::ensure!(is_one, targets::twice(&target));
        there.routes.push(route);
        Ok(())
    }

    /// Brings to the disk what was extracted, and lets go of the mounts that got nothing.
    fn settle(&mut self) -> anyhow::Result<()> {
        let (filled, empty) =
            std::mem::take(&mut self.moves).into_iter().partition(|it| it.staging.is_filled());
        self.moves = filled;
        // All that is left is known to the caller by now, also when something here fails.
        empty.iter().try_for_each(|it: &Move| staging::discard(it.staging.folder()).map(drop))?;
        self.moves.iter().try_for_each(|it| it.check().and_then(|()| it.dress()))?;
        self.moves.iter().try_for_each(|it| staging::sync(it.staging.folder()))
    }

    /// The exchange that is ready, with everything as it is now. What lies in `stays`, the routes'
    /// own exceptions and what the backup left out on request stay.
    pub fn mounts(&self, stays: &[PathBuf]) -> anyhow::Result<Vec<SwapMount>> {
        let mount = |it: &Move| {
            it.stay_as_it_is()?;
            it.staging.mount(&kept(&it.routes, &it.target, stays)?)
        };
        self.moves.iter().map(mount).collect()
    }

    /// Removes what was extracted, and nothing that exists nowhere else.
    pub fn discard(self) -> anyhow::Result<()> {
        let removed = self.moves.iter().map(|it| staging::discard(it.staging.folder()).map(drop));
        removed.fold(Ok(()), Result::and)?;
        // At worst recovery looks for it once more.
        let _ = self.journal.note(&[Event::StagingDone]);
        Ok(())
    }

    /// Removes what was extracted, after an error. That error is the one to tell.
    pub fn discard_after(self, err: anyhow::Error) -> anyhow::Error {
        match self.discard() {
            Ok(()) => err,
            Err(left) => err.context(format!("{left:#}; before that")),
        }
    }
}

/// A file of text in a mount, where it can be read.
pub fn text(target: &Path, name: &str) -> Option<String> {
    fs::read_to_string(target.join(name)).ok()
}

impl Move {
    /// Whether anything of an item's part goes there.
    fn reads(&self, item: &Item) -> bool {
        self.routes.iter().any(|it| it.from == *item)
    }

    fn targets(&self, item: &Item) -> impl Iterator<Item = Target> {
        self.routes.iter().filter(|it| it.from == *item).map(|route| Target {
            share: targets::share(route),
            staging: self.staging.folder().to_owned(),
            below: route.below.clone(),
            owner: route.owner,
            passed_over: route.passed_over.clone(),
        })
    }

    /// Gives the folders around what is replaced deeper in the mount the attributes that they have
    /// there; they were made only to hold it.
    fn dress(&self) -> anyhow::Result<()> {
        let replaced = |it: &Path| self.routes.iter().any(|route| it.starts_with(&route.below));
        for route in &self.routes {
            for around in route.below.ancestors().skip(1).filter(|it| !replaced(it)) {
                let made = self.staging.root().join(around);
                let there = self.target.join(around);
                let like = if is_folder(&there) { &there } else { &self.target };
                if is_folder(&made) {
                    stamp(&made, attributes(like)?)?;
                }
            }
        }
        Ok(())
    }

    /// Where only some of a folder is replaced, the folder itself stays as it is.
    fn stay_as_it_is(&self) -> anyhow::Result<()> {
        if self.routes.iter().all(|it| it.only.is_empty()) {
            return Ok(());
        }
        stamp(&self.staging.root(), attributes(&self.target)?)
    }

    /// Whether the new content can take the place of what is there.
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            is_folder(&self.staging.root()) == is_folder(&self.target),
            "{} is a folder on one side and a file on the other",
            self.target.display()
        );
        Ok(())
    }
}
