//! The story of a restore, top to bottom.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, Checks};
use crate::gate::{self, Gate, Runner};
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{Event, Journal, Story};
use crate::model::{Item, State};
use crate::plan::{self, Hold, Pick, RestorePlan, RestoreRequest};
use crate::quiesce::{self, Stillness};
use crate::reach::Reach;
use crate::recover::{self, Desk};
use crate::swap::{self, Moves, Swapped};
use crate::{signals, survey};

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
/// the old content is in place and what ran before runs, except where the error says that it
/// could not be moved back or started; then it says what lies where.
pub async fn run(
    hands: &Hands,
    pick: &Pick,
    archive: Archive,
    request: &RestoreRequest,
    patience: Duration,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let mut desk = recover::begin(hands, Story::Restore).await?;
    let outcome = carry_out(hands, &mut desk, pick, archive, request, patience, cancel).await;
    desk.end().await;
    outcome
}

async fn carry_out(
    hands: &Hands,
    desk: &mut Desk,
    pick: &Pick,
    archive: Archive,
    request: &RestoreRequest,
    patience: Duration,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let (archive, content_bytes, doubts) = check(hands, archive, cancel).await?;
    let (plan, reach) = prepare(hands, pick, &archive, request).await?;
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
        Ok(()) => come_up(hands, &plan, &reach, patience, cancel).await,
        failed => failed,
    };
    match came_up {
        Ok(()) => (),
        // Nothing would be won by going back to a home that did not answer either, or that
        // cannot be asked from here.
        Err(err) if err.is::<gate::Silent>() && !answered => {
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
        duration_seconds: begin.elapsed().as_secs_f64(),
        longest_hold_seconds: quiesce::longest(&replaced.containers),
        containers: replaced.containers,
        notes: plan.notes,
        warnings,
    })
}

/// Reads the backup to its end before anything is touched.
async fn check(
    hands: &Hands,
    archive: Archive,
    cancel: &CancellationToken,
) -> anyhow::Result<(Archive, BTreeMap<String, u64>, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("checking the backup", archive.size_bytes);
    island("checking", move || {
        let verdict = archive::verify(&archive, Checks::default(), &cancel, &*monitor)?;
        let (content_bytes, warnings) = verdict.restorable(&archive)?;
        Ok((archive, content_bytes, warnings))
    })
    .await
}

/// Extracts everything beside its target, while the home goes on.
async fn extract(
    hands: &Hands,
    archive: Archive,
    content_bytes: BTreeMap<String, u64>,
    plan: &RestorePlan,
    reach: &Reach,
    cancel: &CancellationToken,
) -> anyhow::Result<(Moves, Vec<String>)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    let (routes, reach) = (plan.routes.clone(), reach.clone());
    monitor.step("extracting", archive.size_of(&plan.items()));
    island("extracting", move || {
        let (moves, warnings) =
            Moves::extract(&archive, &content_bytes, routes, &reach, &cancel, &*monitor)?;
        match signals::check(&cancel) {
            Ok(()) => Ok((moves, warnings)),
            Err(err) => Err(moves.discard_after(err.into())),
        }
    })
    .await
}

/// A home whose content was exchanged.
struct Replaced {
    /// They hold the old content.
    moves: Moves,
    swapped: Swapped,
    containers: Vec<Stillness>,
    /// What a person should look at of how they went on.
    warnings: Vec<String>,
    /// Whether everything that was stopped could be started.
    released: anyhow::Result<()>,
}

/// Stops the containers, puts everything in place, starts them again.
///
/// # Errors
/// Whatever was in the way. The old content is in place then, and the containers run.
async fn replace(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    moves: Moves,
    stays: Vec<PathBuf>,
    cancel: &CancellationToken,
) -> anyhow::Result<Replaced> {
    hands.monitor.step("stopping the containers", 0);
    let held = match quiesce::hold(&hands.engine, journal, &plan.stops, cancel).await {
        Ok(held) => held,
        Err(err) => return Err(give_up(moves, err).await),
    };
    // From here on nothing returns before everything that was stopped is started again.
    let noting = journal.clone();
    let exchanged = island("exchanging", move || {
        let swapped = exchange(&noting, &moves, &stays);
        Ok((moves, swapped))
    })
    .await;
    hands.monitor.step("starting the containers", 0);
    let released = quiesce::release(&hands.engine, journal, held).await;
    let outcome = released.outcome();
    let err = match exchanged {
        Ok((moves, Ok(swapped))) => {
            return Ok(Replaced {
                moves,
                swapped,
                containers: released.containers,
                warnings: released.warnings,
                released: outcome,
            });
        }
        Ok((moves, Err(err))) => give_up(moves, err).await,
        Err(err) => err,
    };
    Err(match outcome {
        Ok(()) => err,
        Err(held) => err.context(format!("{held:#}; before that")),
    })
}

/// Exchanges old and new content. The journal shows for how long they may be mixed.
fn exchange(journal: &Journal, moves: &Moves, stays: &[PathBuf]) -> anyhow::Result<Swapped> {
    journal.note(&[Event::SwapIntended])?;
    let swapped = moves.exchange(stays);
    // After a failure too, everything is where it was, unless old content lies aside still.
    if swapped.is_ok() || !moves.hold_old_content() {
        // Without that line a crash leaves the containers to a person, who finds all in order.
        let _ = journal.note(&[Event::SwapDone]);
    }
    swapped
}

/// Waits until everything runs and Home Assistant answers.
async fn come_up(
    hands: &Hands,
    plan: &RestorePlan,
    reach: &Reach,
    patience: Duration,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(hold) = &plan.start_too {
        hands.engine.start(&hold.id).await?;
    }
    hands.monitor.step("waiting for Home Assistant", 0);
    let home = &plan.home.homeassistant;
    let ran = plan.stops.iter().filter(|it| it.was == State::Running);
    let runner = |it: &Hold| Runner { name: it.name.clone(), needs_health: it.healthy };
    let running: Vec<Runner> = ran.chain(&plan.start_too).map(runner).collect();
    let port = port(plan, reach).await?;
    let answers = running.iter().any(|it| it.name == home.name);
    let answering = answers.then(|| (home.name.clone(), port));
    gate::pass(&hands.engine, &Gate { running, answering, patience }, cancel).await
}

/// Whether Home Assistant answers now.
async fn answers(plan: &RestorePlan, reach: &Reach) -> anyhow::Result<bool> {
    Ok(gate::answers(&plan.home.homeassistant, port(plan, reach).await?).await)
}

/// The port in Home Assistant's configuration, as it lies in its mount now.
async fn port(plan: &RestorePlan, reach: &Reach) -> anyhow::Result<u16> {
    let config = plan.home.homeassistant.mounted_at("/config");
    let folder = config.and_then(|it| reach.local(&it.source));
    island("reading the port", move || {
        let configuration = folder.and_then(|it| swap::configuration(&it));
        Ok(gate::port(configuration.as_deref().unwrap_or_default()))
    })
    .await
}

/// Puts the old content back, because `reason`; gives the error to tell.
async fn roll_back(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    moves: Moves,
    swapped: Swapped,
    reason: anyhow::Error,
) -> anyhow::Error {
    hands.monitor.step("rolling back", 0);
    let name = &plan.home.homeassistant.name;
    let log = hands.engine.log_tail(name, LOG_LINES).await.unwrap_or_default();
    let holds: Vec<Hold> = plan.stops.iter().chain(&plan.start_too).cloned().collect();
    let held = match quiesce::stop_what_is_there(&hands.engine, journal, &holds).await {
        Ok(held) => held,
        Err(err) => {
            return err.context(format!(
                "the restored home did not come up ({reason:#}) and cannot be stopped to roll back"
            ));
        }
    };
    let noting = journal.clone();
    let undone = island("moving back", move || {
        // A way back that cannot be written down has to be gone all the same.
        let _ = noting.note(&[Event::SwapIntended]);
        swapped.back()?;
        let _ = noting.note(&[Event::SwapDone]);
        moves.discard()
    })
    .await;
    let released = quiesce::release(&hands.engine, journal, held).await.outcome();
    match undone.context("moving back what was moved").and(released) {
        Ok(()) => {
            let log = log.trim().replace('\n', " | ");
            RolledBack { reason: format!("{reason:#}"), log }.into()
        }
        Err(err) => err.context(format!("the restored home did not come up ({reason:#})")),
    }
}

async fn give_up(moves: Moves, err: anyhow::Error) -> anyhow::Error {
    match island("cleaning up", move || Ok(moves.discard_after(err))).await {
        Ok(err) | Err(err) => err,
    }
}
