//! All mounts of a restore together: extracted, exchanged, taken back or made final as one.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{Staging, Swap};
use crate::archive::{self, Archive, Target};
use crate::capture::Exclude;
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
pub struct Swapped(Vec<Swap>);

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
            Err(err) => Err(moves.discard(err)),
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
            let source = &route.tree.source;
            let target = reach
                .local(source)
                .with_context(|| format!("{} is out of reach", source.display()))?;
            let staging = Staging::create(&target)?;
            self.moves.push(Move { route, target, staging });
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

    /// Brings to the disk what was extracted, and lets go of the mounts that got nothing.
    fn settle(&mut self) -> anyhow::Result<()> {
        let (filled, empty) =
            std::mem::take(&mut self.moves).into_iter().partition(|it| it.staging.is_filled());
        self.moves = filled;
        // All that is left is known to the caller by now, also when something here fails.
        Moves { moves: empty }.remove()?;
        self.moves.iter().try_for_each(|it| it.staging.sync())
    }

    /// Puts everything in its place. What lies in `store`, the routes' own exceptions and what the
    /// backup left out on request stay.
    ///
    /// # Errors
    /// What was in the way; everything is back where it was.
    pub fn exchange(&self, store: Option<&Path>) -> anyhow::Result<Swapped> {
        let mut swapped = Swapped(Vec::new());
        for it in &self.moves {
            match it.kept(store).and_then(|keep| it.staging.exchange(&keep)) {
                Ok(swap) => swapped.0.push(swap),
                Err(err) => {
                    swapped.undo().context("moving back what was moved")?;
                    return Err(err);
                }
            }
        }
        Ok(swapped)
    }

    /// Removes the staging folders: with the old content after an exchange, with the new one after
    /// an undone exchange or without any.
    pub fn remove(self) -> anyhow::Result<()> {
        self.moves.into_iter().try_for_each(|it| it.staging.remove())
    }

    /// Removes what was extracted, after an error. That error is the one to tell.
    pub fn discard(self, err: anyhow::Error) -> anyhow::Error {
        match self.remove() {
            Ok(()) => err,
            Err(left) => err.context(format!("and {left:#}")),
        }
    }
}

/// Home Assistant's `configuration.yaml` in its mount, where it can be read.
pub fn configuration(target: &Path) -> Option<String> {
    fs::read_to_string(target.join("configuration.yaml")).ok()
}

impl Swapped {
    /// Takes everything back, the last mount first. Goes on after an error.
    ///
    /// # Errors
    /// The first thing that could not be moved back.
    pub fn undo(self) -> anyhow::Result<()> {
        let mut first = Ok(());
        for swap in self.0.into_iter().rev() {
            first = first.and(swap.undo());
        }
        first
    }
}

impl Move {
    fn target(&self) -> Target {
        Target { prefix: self.route.tree.prefix.clone(), staging: self.staging.folder().to_owned() }
    }

    /// Everything below the mount that the restore leaves as it is.
    fn kept(&self, store: Option<&Path>) -> anyhow::Result<HashSet<PathBuf>> {
        let mut keep: HashSet<PathBuf> = self.route.keep.iter().cloned().collect();
        // Either may have been named through a link.
        let real = |it: &Path| fs::canonicalize(it).unwrap_or_else(|_| it.to_owned());
        let (store, target) = (store.map(real), real(&self.target));
        let below = store.as_deref().and_then(|it| it.strip_prefix(&target).ok());
        keep.extend(below.filter(|it| !it.as_os_str().is_empty()).map(Path::to_owned));
        if !self.route.keep_globs.is_empty() {
            let globs = Exclude::new(&self.route.keep_globs)?;
            self.matching(Path::new(""), &globs, &mut keep)?;
        }
        Ok(keep)
    }

    /// Adds what the globs match below the mount; what lies inside a match goes with it.
    fn matching(
        &self,
        below: &Path,
        globs: &Exclude,
        keep: &mut HashSet<PathBuf>,
    ) -> anyhow::Result<()> {
        let folder = self.target.join(below);
        if !folder.is_dir() {
            return Ok(());
        }
        let reading = || format!("reading {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let path = below.join(entry.file_name());
            if globs.matches(&self.route.tree.destination, &path) {
                keep.insert(path);
            } else if entry.file_type().with_context(reading)?.is_dir() {
                self.matching(&path, globs, keep)?;
            }
        }
        Ok(())
    }
}
