//! The story of a restore, top to bottom.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, Target};
use crate::capture::Exclude;
use crate::gate::{self, Gate};
use crate::hands::Hands;
use crate::island::island;
use crate::model::{Item, State};
use crate::plan::{self, Hold, Pick, RestorePlan, RestoreRequest, Route};
use crate::quiesce::{self, Held, Stillness};
use crate::reach::Reach;
use crate::swap::{Staging, Swap};
use crate::{lock, signals, survey};

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
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// The restored home did not come up; the old one is back.
#[derive(Debug, thiserror::Error)]
#[error("rolled back to what was there before: {reason}{}", log_suffix(.log))]
pub struct RolledBack {
    /// What did not come up, and how that was seen.
    pub reason: String,
    /// The last lines of its log; empty where there are none.
    pub log: String,
}

fn log_suffix(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; its log ends: {log}") }
}

/// Lines of the log in the report of a rollback.
const LOG_LINES: usize = 20;

/// A tree of the backup on its way to its mount.
struct Move {
    route: Route,
    /// The mount, as this process reaches it.
    target: PathBuf,
    staging: Staging,
}

/// Opens nothing and changes nothing: what a dry run shows.
pub async fn prepare(
    hands: &Hands,
    pick: &Pick,
    archive: &Archive,
    request: &RestoreRequest,
) -> anyhow::Result<(RestorePlan, Reach)> {
    let survey = survey::look(&hands.engine).await?;
    let home = plan::find(&survey.facts, pick)?;
    let contents = archive.metadata.contents();
    Ok((plan::restore(&survey.facts, home, &contents, request)?, survey.reach))
}

/// Restores a backup.
///
/// # Errors
/// [`RolledBack`] where the restored home did not come up within `patience`. After every error
/// the old content is in place and what ran before runs.
pub async fn run(
    hands: &Hands,
    pick: &Pick,
    archive: Archive,
    request: &RestoreRequest,
    patience: Duration,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let state = hands.state.clone();
    let _lock = island("locking", move || lock::take(&state)).await?;
    let archive = check(hands, archive, cancel).await?;
    let (plan, reach) = prepare(hands, pick, &archive, request).await?;
    let slug = archive.metadata.slug.clone();
    let name = archive.metadata.name.clone();
    let (moves, mut warnings) = extract(hands, archive, &plan, &reach, cancel).await?;

    hands.monitor.step("stopping the containers", 0);
    let held = match quiesce::hold(&hands.engine, &plan.stops).await {
        Ok(held) => held,
        Err(err) => return Err(give_up(moves, err).await),
    };
    let store = hands.store_of(&plan.home, &reach).ok();
    let (moves, swapped) = exchange(moves, store).await?;
    let containers = match swapped {
        Ok(swaps) => start(hands, &plan, held, moves, swaps, patience).await?,
        Err(err) => {
            let (_, released) = quiesce::release(&hands.engine, held).await;
            released?;
            return Err(give_up(moves, err).await);
        }
    };
    let mut items: Vec<String> = plan.routes.iter().map(|it| it.item.to_string()).collect();
    items.dedup();
    warnings.splice(0..0, plan.notes);
    Ok(Report {
        slug,
        name,
        items,
        duration_seconds: begin.elapsed().as_secs_f64(),
        longest_hold_seconds: containers.iter().map(|it| it.hold_seconds).fold(0.0, f64::max),
        containers,
        warnings,
    })
}

/// Reads the backup to its end before anything is touched.
async fn check(
    hands: &Hands,
    archive: Archive,
    cancel: &CancellationToken,
) -> anyhow::Result<Archive> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("checking the backup", archive.size_bytes);
    island("checking", move || {
        let problems = archive::verify(&archive, &cancel, &*monitor)?;
        match problems.first() {
            None => Ok(archive),
            Some(first) => Err(archive.damaged(format!("{}: {}", first.member, first.what)).into()),
        }
    })
    .await
}

/// Extracts everything beside its target, while the home goes on.
async fn extract(
    hands: &Hands,
    archive: Archive,
    plan: &RestorePlan,
    reach: &Reach,
    cancel: &CancellationToken,
) -> anyhow::Result<(Vec<Move>, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let (routes, reach) = (plan.routes.clone(), reach.clone());
    monitor.step("extracting", 0);
    island("extracting", move || {
        let mut moves = Vec::new();
        let mut warnings = Vec::new();
        let outcome = (|| {
            for route in routes {
                let target = reach
                    .local(&route.tree.source)
                    .with_context(|| format!("{} is out of reach", route.tree.source.display()))?;
                let staging = Staging::create(&target)?;
                moves.push(Move { route, target, staging });
            }
            let items: Vec<Item> = moves.iter().map(|it| it.route.item.clone()).collect();
            let mut done = HashSet::new();
            let mut filled = HashSet::new();
            for item in items {
                if !done.insert(item.to_string()) {
                    continue;
                }
                monitor.part(&item.to_string());
                let member = archive
                    .member_of(&item)
                    .ok_or_else(|| archive.damaged(format!("{item} is missing")))?;
                let (numbers, targets): (Vec<usize>, Vec<Target>) = moves
                    .iter()
                    .enumerate()
                    .filter(|(_, it)| it.route.item == item)
                    .map(|(n, it)| (n, target(it)))
                    .unzip();
                let extracted = archive::extract(&archive, member, &targets, &cancel, &*monitor)?;
                warnings.extend(extracted.warnings);
                let full = numbers.iter().zip(extracted.filled).filter(|(_, it)| *it);
                filled.extend(full.map(|(n, _)| *n));
            }
            let staged = std::mem::take(&mut moves);
            for (n, it) in staged.into_iter().enumerate() {
                // A mount that the backup knows nothing of stays as it is.
                if filled.contains(&n) {
                    it.staging.sync()?;
                    moves.push(it);
                } else {
                    it.staging.remove()?;
                }
            }
            signals::check(&cancel)?;
            anyhow::Ok(())
        })();
        match outcome {
            Ok(()) => Ok((moves, warnings)),
            Err(err) => Err(discard(moves, err)),
        }
    })
    .await
}

fn target(it: &Move) -> Target {
    Target { prefix: it.route.tree.prefix.clone(), staging: it.staging.folder().to_owned() }
}

/// Puts everything in place; gives the moves back with the swaps, or with what was in the way,
/// in which case nothing has changed.
async fn exchange(
    moves: Vec<Move>,
    store: Option<PathBuf>,
) -> anyhow::Result<(Vec<Move>, anyhow::Result<Vec<Swap>>)> {
    island("exchanging", move || {
        let mut swaps = Vec::new();
        for it in &moves {
            let swapped = kept(it, store.as_deref()).and_then(|keep| it.staging.exchange(&keep));
            match swapped {
                Ok(swap) => swaps.push(swap),
                Err(err) => {
                    undo(swaps).context("moving back what was moved")?;
                    return Ok((moves, Err(err)));
                }
            }
        }
        Ok((moves, Ok(swaps)))
    })
    .await
}

/// Everything below a mount that the restore leaves as it is.
fn kept(it: &Move, store: Option<&Path>) -> anyhow::Result<HashSet<PathBuf>> {
    let mut keep: HashSet<PathBuf> = it.route.keep.iter().cloned().collect();
    if let Some(below) = store.and_then(|store| store.strip_prefix(&it.target).ok()) {
        keep.insert(below.to_owned());
    }
    if !it.route.keep_globs.is_empty() {
        let globs = Exclude::new(&it.route.keep_globs)?;
        matching(&it.target, Path::new(""), &it.route.tree.destination, &globs, &mut keep)?;
    }
    Ok(keep)
}

fn matching(
    target: &Path,
    below: &Path,
    destination: &Path,
    globs: &Exclude,
    keep: &mut HashSet<PathBuf>,
) -> anyhow::Result<()> {
    let folder = target.join(below);
    if !folder.is_dir() {
        return Ok(());
    }
    let reading = || format!("reading {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = below.join(entry.file_name());
        if globs.matches(destination, &path) {
            keep.insert(path);
        } else if entry.file_type().with_context(reading)?.is_dir() {
            matching(target, &path, destination, globs, keep)?;
        }
    }
    Ok(())
}

/// Starts everything and waits at the gate. Behind it the old content goes; before it everything
/// goes back.
async fn start(
    hands: &Hands,
    plan: &RestorePlan,
    held: Held,
    moves: Vec<Move>,
    swaps: Vec<Swap>,
    patience: Duration,
) -> anyhow::Result<Vec<Stillness>> {
    hands.monitor.step("starting the containers", 0);
    let gate = gate(plan, &moves, patience);
    let (stillness, released) = quiesce::release(&hands.engine, held).await;
    hands.monitor.step("waiting for Home Assistant", 0);
    let passed = match released {
        Ok(()) => come_up(hands, plan, &gate).await,
        failed => failed,
    };
    let Err(err) = passed else {
        island("cleaning up", move || remove(moves)).await?;
        return Ok(stillness);
    };
    hands.monitor.step("rolling back", 0);
    let name = &plan.home.homeassistant.name;
    let log = hands.engine.log_tail(name, LOG_LINES).await.unwrap_or_default();
    let holds: Vec<Hold> = plan.stops.iter().chain(&plan.start_too).cloned().collect();
    let held = quiesce::hold(&hands.engine, &holds).await?;
    let undone = island("moving back", move || {
        undo(swaps)?;
        remove(moves)
    })
    .await;
    let (_, released) = quiesce::release(&hands.engine, held).await;
    undone.context("moving back what was moved")?;
    released?;
    Err(RolledBack { reason: format!("{err:#}"), log: log.trim().replace('\n', " | ") }.into())
}

async fn come_up(hands: &Hands, plan: &RestorePlan, gate: &Gate) -> anyhow::Result<()> {
    if let Some(hold) = &plan.start_too {
        hands.engine.start(&hold.id).await?;
    }
    gate::pass(&hands.engine, gate).await
}

fn gate(plan: &RestorePlan, moves: &[Move], patience: Duration) -> Gate {
    let home = &plan.home.homeassistant;
    let holds = plan.stops.iter().chain(&plan.start_too);
    let running: Vec<String> =
        holds.filter(|it| it.was != State::Paused).map(|it| it.id.clone()).collect();
    let configuration = moves
        .iter()
        .find(|it| it.route.tree.destination == Path::new("/config"))
        .and_then(|it| fs::read_to_string(it.target.join("configuration.yaml")).ok());
    let port = gate::port(configuration.as_deref().unwrap_or_default());
    let answering = running.contains(&home.id).then(|| (home.id.clone(), port));
    Gate { running, answering, patience }
}

fn undo(swaps: Vec<Swap>) -> anyhow::Result<()> {
    let mut first = Ok(());
    for swap in swaps.into_iter().rev() {
        first = first.and(swap.undo());
    }
    first
}

fn remove(moves: Vec<Move>) -> anyhow::Result<()> {
    moves.into_iter().try_for_each(|it| it.staging.remove())
}

/// Removes what was extracted; the error that made it useless is the one to tell.
fn discard(moves: Vec<Move>, err: anyhow::Error) -> anyhow::Error {
    match remove(moves) {
        Ok(()) => err,
        Err(left) => err.context(format!("and {left:#}")),
    }
}

async fn give_up(moves: Vec<Move>, err: anyhow::Error) -> anyhow::Error {
    match island("cleaning up", move || Ok(discard(moves, err))).await {
        Ok(err) | Err(err) => err,
    }
}
