//! All mounts of a restore together: extracted, exchanged, taken back or made final as one.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::exchange::{is_folder, metadata, stamp};
use super::keep::kept;
use super::{Exchange, Staging, targets};
use crate::archive::{self, Archive, ROOT, Target};
use crate::model::Item;
use crate::monitor::Monitor;
use crate::plan::Route;
use crate::reach::Reach;

/// What was extracted, beside its targets.
#[derive(Debug, Default)]
pub struct Moves {
    moves: Vec<Move>,
}

/// The exchange of all mounts, which can be undone.
#[derive(Debug)]
pub struct Swapped(Vec<Exchange>);

/// A tree of the backup on its way to its mount.
#[derive(Debug)]
struct Move {
    route: Route,
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
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<(Moves, Vec<String>)> {
        let mut moves = Moves::default();
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
        let mut items: Vec<Item> = routes.iter().map(|it| it.item.clone()).collect();
        items.dedup();
        for route in routes {
            self.stage(route, reach)?;
        }
        let mut warnings = Vec::new();
        for item in items {
            monitor.part(&item.to_string());
            let member = archive
                .member_of(&item)
                .ok_or_else(|| archive.damaged(format!("{item} is missing")))?;
            let targets: Vec<Target> =
                self.moves.iter().filter(|it| it.route.item == item).map(Move::target).collect();
            let extracted = archive::extract(archive, member, &targets, cancel, monitor)?;
            warnings.extend(extracted.warnings);
            let mut of_item = self.moves.iter().filter(|it| it.route.item == item);
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
        let is_twice = self.moves.iter().any(|it| it.target == target);
        anyhow::ensure!(!is_twice, targets::twice(&target));
        let staging = Staging::create(&target)?;
        self.moves.push(Move { route, target, staging });
        Ok(())
    }

    /// Brings to the disk what was extracted, and lets go of the mounts that got nothing.
    fn settle(&mut self) -> anyhow::Result<()> {
        let (filled, empty) =
            std::mem::take(&mut self.moves).into_iter().partition(|it| it.staging.is_filled());
        self.moves = filled;
        // All that is left is known to the caller by now, also when something here fails.
        empty.into_iter().try_for_each(|it: Move| it.staging.discard())?;
        self.moves.iter().try_for_each(Move::check)?;
        self.moves.iter().try_for_each(|it| it.staging.sync())
    }

    /// Puts everything in its place. What lies in `stays`, the routes' own exceptions and what the
    /// backup left out on request stay.
    ///
    /// # Errors
    /// What was in the way; everything is back where it was.
    pub fn exchange(&self, stays: &[PathBuf]) -> anyhow::Result<Swapped> {
        let mut swapped = Swapped(Vec::new());
        for it in &self.moves {
            let mut forward = || {
                it.stay_as_it_is()?;
                let mut exchange = it.staging.exchange(&kept(&it.route, &it.target, stays)?);
                exchange.forward()?;
                swapped.0.push(exchange);
                anyhow::Ok(())
            };
            if let Err(err) = forward() {
                return Err(match swapped.back() {
                    Ok(()) => err,
                    Err(stuck) => anyhow::anyhow!("{err:#}; moving the others back: {stuck:#}"),
                });
            }
        }
        Ok(swapped)
    }

    /// Whether old content lies aside, or nobody can tell.
    pub fn hold_old_content(&self) -> bool {
        self.moves.iter().any(|it| it.staging.holds_old_content().unwrap_or(true))
    }

    /// Removes the staging folders with the old content: the new one has proved itself.
    pub fn remove(self) -> anyhow::Result<()> {
        self.moves.into_iter().map(|it| it.staging.remove()).fold(Ok(()), Result::and)
    }

    /// Removes what was extracted, and nothing that exists nowhere else.
    pub fn discard(self) -> anyhow::Result<()> {
        self.moves.into_iter().map(|it| it.staging.discard()).fold(Ok(()), Result::and)
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

impl Swapped {
    /// Takes everything back, the last mount first. Goes on after an error.
    ///
    /// # Errors
    /// The first thing that could not be moved back.
    pub fn back(self) -> anyhow::Result<()> {
        self.0.into_iter().rev().map(Exchange::back).fold(Ok(()), Result::and)
    }
}

impl Move {
    fn target(&self) -> Target {
        let share = targets::share(&self.route);
        Target { share, staging: self.staging.folder().to_owned() }
    }

    /// Where only some of a folder is replaced, the folder itself stays as it is.
    fn stay_as_it_is(&self) -> anyhow::Result<()> {
        if self.route.only.is_empty() {
            return Ok(());
        }
        stamp(&self.staging.folder().join(ROOT), &metadata(&self.target)?)
    }

    /// Whether the new content can take the place of what is there.
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            is_folder(&self.staging.folder().join(ROOT)) == is_folder(&self.target),
            "{} is a folder on one side and a file on the other",
            self.target.display()
        );
        Ok(())
    }
}
