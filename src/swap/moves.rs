//! All mounts of a restore together: extracted, exchanged, taken back or made final as one.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

use super::staging::{self, Staging};
use crate::archive::{self, Archive, Target};
use crate::capture::Exclude;
use crate::fsx;
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

/// A tree of the backup on its way to its mount.
#[derive(Debug, Clone)]
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
        content_bytes: &BTreeMap<String, u64>,
        routes: Vec<Route>,
        reach: &Reach,
        journal: &Journal,
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<(Moves, Vec<String>)> {
        let mut moves = Moves { moves: Vec::new(), journal: journal.clone() };
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
        let mut items: Vec<Item> = routes.iter().map(|it| it.item.clone()).collect();
        items.dedup();
        for route in routes {
            self.stage(route, reach)?;
        }
        let folders = self.moves.iter().map(|it| it.staging.folder().into()).collect();
        self.journal.note(&[Event::StagingIntended { folders }])?;
        self.moves.iter().try_for_each(|it| it.staging.make())?;
        self.check_room(&items, content_bytes)?;
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
        let source = &route.tree.source;
        let opening = || format!("opening {}", source.display());
        let target = reach.local(source).context("it is out of reach").with_context(opening)?;
        let target = fs::canonicalize(target).with_context(opening)?;
        anyhow::ensure!(
            !self.moves.iter().any(|it| it.target == target),
            "{} would be replaced twice: two mounts of this home lead to it",
            target.display()
        );
        let staging = Staging::beside(&target)?;
        self.moves.push(Move { route, target, staging });
        Ok(())
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
            let Some(first) = self.moves.iter().find(|it| it.route.item == *item) else { continue };
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
        empty.iter().try_for_each(|it: &Move| staging::discard(it.staging.folder()).map(drop))?;
        self.moves.iter().try_for_each(|it| staging::sync(it.staging.folder()))
    }

    /// The exchange that is ready, with everything as it is now. What lies in `stays`, the routes'
    /// own exceptions and what the backup left out on request stay.
    pub fn mounts(&self, stays: &[PathBuf]) -> anyhow::Result<Vec<SwapMount>> {
        self.moves.iter().map(|it| it.staging.mount(&it.kept(stays)?)).collect()
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

/// Home Assistant's `configuration.yaml` in its mount, where it can be read.
pub fn configuration(target: &Path) -> Option<String> {
    fs::read_to_string(target.join("configuration.yaml")).ok()
}

impl Move {
    fn target(&self) -> Target {
        Target { prefix: self.route.tree.prefix.clone(), staging: self.staging.folder().to_owned() }
    }

    /// Everything below the mount that the restore leaves as it is.
    fn kept(&self, stays: &[PathBuf]) -> anyhow::Result<HashSet<PathBuf>> {
        let mut keep: HashSet<PathBuf> = self.route.keep.iter().cloned().collect();
        // They may have been named through a link.
        let real = |it: &PathBuf| fs::canonicalize(it).unwrap_or_else(|_| it.clone());
        let below = |it: PathBuf| it.strip_prefix(&self.target).ok().map(Path::to_owned);
        keep.extend(stays.iter().map(real).filter_map(below));
        keep.retain(|it| !it.as_os_str().is_empty());
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
