//! All mounts of a restore together: extracted, exchanged, taken back or made final as one.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

use super::exchange::{is_folder, metadata, names, stamp};
use super::{Exchange, Staging};
use crate::archive::{self, Archive, Target};
use crate::capture::Exclude;
use crate::fsx;
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

/// What is on its way to one mount.
#[derive(Debug)]
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
        content_bytes: &BTreeMap<String, u64>,
        routes: Vec<Route>,
        reach: &Reach,
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<(Moves, Vec<String>)> {
        let mut moves = Moves::default();
        let outcome = moves.fill(archive, content_bytes, routes, reach, cancel, monitor);
        match outcome {
            Ok(warnings) => Ok((moves, warnings)),
            Err(err) => Err(moves.discard_after(err)),
        }
    }

    fn fill(
        &mut self,
        archive: &Archive,
        content_bytes: &BTreeMap<String, u64>,
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
        self.check_room(&items, content_bytes)?;
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
            if self.routes().any(|it| it.item == item) {
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
        let source = &route.tree.source;
        let opening = || format!("opening {}", source.display());
        let target = reach.local(source).context("it is out of reach").with_context(opening)?;
        let target = fs::canonicalize(target).with_context(opening)?;
        let Some(there) = self.moves.iter_mut().find(|it| it.target == target) else {
            let staging = Staging::create(&target)?;
            self.moves.push(Move { routes: vec![route], target, staging });
            return Ok(());
        };
        let is_same = |it: &Route| it.item == route.item && it.tree.source == route.tree.source;
        anyhow::ensure!(
            there.routes.iter().all(is_same),
            "{} would be replaced twice: two mounts of this home lead to it",
            target.display()
        );
        there.routes.push(route);
        Ok(())
    }

    fn routes(&self) -> impl Iterator<Item = &Route> {
        self.moves.iter().flat_map(|it| &it.routes)
    }

    /// Refuses before a byte is extracted where old and new content do not fit beside each other.
    /// `content_bytes` are the sizes of the members' content, by item.
    fn check_room(
        &self,
        items: &[Item],
        content_bytes: &BTreeMap<String, u64>,
    ) -> anyhow::Result<()> {
        let mut needed: BTreeMap<u64, (u64, &Path)> = BTreeMap::new();
        for item in items {
            let bytes = content_bytes.get(&item.to_string()).copied().unwrap_or(0);
            // The mounts of one item nearly always lie on one file system; the first stands for
            // all.
            let Some(first) = self.moves.iter().find(|it| it.reads(item)) else { continue };
            let folder = first.staging.folder();
            let device = fs::metadata(folder)
                .with_context(|| format!("reading {}", folder.display()))?
                .dev();
            needed.entry(device).or_insert((0, folder)).0 += bytes;
        }
        for (needed, folder) in needed.into_values() {
            let room = fsx::room(folder)?;
            anyhow::ensure!(
                room >= needed,
                "no room to restore beside {}: {} free, {} needed",
                folder.parent().unwrap_or(folder).display(),
                ByteSize(room),
                ByteSize(needed)
            );
        }
        Ok(())
    }

    /// Brings to the disk what was extracted, and lets go of the mounts that got nothing.
    fn settle(&mut self) -> anyhow::Result<()> {
        let (filled, empty) =
            std::mem::take(&mut self.moves).into_iter().partition(|it| it.staging.is_filled());
        self.moves = filled;
        // All that is left is known to the caller by now, also when something here fails.
        empty.into_iter().try_for_each(|it: Move| it.staging.discard())?;
        self.moves.iter().try_for_each(|it| it.dress().and_then(|()| it.staging.sync()))
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
                let mut exchange = it.staging.exchange(&it.kept(stays)?);
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

/// Home Assistant's `configuration.yaml` in its mount, where it can be read.
pub fn configuration(target: &Path) -> Option<String> {
    fs::read_to_string(target.join("configuration.yaml")).ok()
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
    /// Whether anything of an item's part goes there.
    fn reads(&self, item: &Item) -> bool {
        self.routes.iter().any(|it| it.from == *item)
    }

    fn targets(&self, item: &Item) -> impl Iterator<Item = Target> {
        self.routes.iter().filter(|it| it.from == *item).map(|route| Target {
            prefix: route.tree.prefix.clone(),
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
                    stamp(&made, &metadata(like)?)?;
                }
            }
        }
        Ok(())
    }

    /// Everything below the mount that the restore leaves as it is.
    fn kept(&self, stays: &[PathBuf]) -> anyhow::Result<HashSet<PathBuf>> {
        let mut keep: HashSet<PathBuf> =
            self.routes.iter().flat_map(|it| &it.keep).cloned().collect();
        self.beside(Path::new(""), &mut keep)?;
        // They may have been named through a link.
        let real = |it: &PathBuf| fs::canonicalize(it).unwrap_or_else(|_| it.clone());
        let below = |it: PathBuf| it.strip_prefix(&self.target).ok().map(Path::to_owned);
        keep.extend(stays.iter().map(real).filter_map(below));
        keep.retain(|it| !it.as_os_str().is_empty());
        // Those of one mount all have the same.
        let Some(globs) = self.routes.first().map(|it| &it.keep_globs) else { return Ok(keep) };
        if !globs.is_empty() {
            self.matching(Path::new(""), &Exclude::new(globs)?, &mut keep)?;
        }
        Ok(keep)
    }

    /// Adds what lies beside the paths that are replaced, where they are not all of the mount.
    fn beside(&self, below: &Path, keep: &mut HashSet<PathBuf>) -> anyhow::Result<()> {
        let folder = self.target.join(below);
        if self.routes.iter().any(|it| below.starts_with(&it.below)) || !is_folder(&folder) {
            return Ok(());
        }
        for name in names(&folder)? {
            let path = below.join(name);
            if self.routes.iter().any(|it| it.below.starts_with(&path)) {
                self.beside(&path, keep)?;
            } else {
                keep.insert(path);
            }
        }
        Ok(())
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
            let destination = self.routes.first().map(|it| it.tree.destination.as_path());
            if destination.is_some_and(|it| globs.matches(it, &path)) {
                keep.insert(path);
            } else if entry.file_type().with_context(reading)?.is_dir() {
                self.matching(&path, globs, keep)?;
            }
        }
        Ok(())
    }
}
