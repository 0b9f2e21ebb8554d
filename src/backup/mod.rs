//! The story of a backup, top to bottom.

mod again;
mod prepare;
mod recipes;
mod still;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::prepare::{Prepared, prepare};
use self::recipes::Recipes;
pub use self::still::HeldTooLong;
use self::still::Still;
use crate::archive::{Metadata, Wrapper, Wrapping};
use crate::capture::{Capture, NoRoom, Staging};
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{Event, Story};
use crate::model::Job;
use crate::plan::{BackupPlan, BackupRequest, HoldLimit, Pick};
use crate::prune;
use crate::quiesce::databases::Consistency;
use crate::quiesce::hooks::{self, Before, Ran};
use crate::quiesce::{self, Stillness};
use crate::recover::{self, Desk};
use crate::retention::Keep;
use crate::signals;
use crate::store::Store;

/// What a backup did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The backup's slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it is encrypted.
    pub protected: bool,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The bytes that were read for it.
    pub content_bytes: u64,
    /// The bytes that were copied while everything stood still: all of them where there was no room
    /// for copies.
    pub held_bytes: u64,
    /// How long the run took.
    pub duration_seconds: f64,
    /// The longest that any container stood still.
    pub longest_hold_seconds: f64,
    /// Each container that was held.
    pub containers: Vec<Stillness>,
    /// What each database was given beyond the hold.
    pub databases: Vec<Consistency>,
    /// Each command that ran in a container.
    pub hooks: Vec<Ran>,
    /// What is not in it because its container asked for that, with the container's name.
    pub skipped: Vec<String>,
    /// The older backups of its job that were removed, as the settings say.
    pub pruned: Vec<PathBuf>,
    /// What is good to know.
    pub notes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// A backup that is under way: what all its steps need.
#[derive(Clone)]
struct Run<'a> {
    hands: &'a Hands,
    desk: &'a Desk,
    plan: &'a BackupPlan,
    recipes: &'a Recipes,
    store: Store,
    limit: HoldLimit,
    wrapper: Arc<Wrapper>,
    cancel: &'a CancellationToken,
}

/// Makes a backup.
///
/// # Errors
/// Whatever stopped it. Every container goes on as before, and no unfinished file is left.
pub async fn run(
    hands: &Hands,
    pick: &Pick,
    request: &BackupRequest,
    wrapping: &Wrapping,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let mut desk = recover::begin(hands, Story::Backup).await?;
    let outcome = carry_out(hands, &mut desk, pick, request, wrapping, cancel).await;
    desk.end().await;
    outcome
}

async fn carry_out(
    hands: &Hands,
    desk: &mut Desk,
    pick: &Pick,
    request: &BackupRequest,
    wrapping: &Wrapping,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    // First, since the memory that it takes is free again then.
    let wrapper = prepared_wrapper(wrapping).await?;
    hands.monitor.step("looking at the home", 0);
    let prepared = prepare(hands, pick, request).await?;
    write::check_room(&prepared).await?;
    let has_commands = !prepared.plan.hooks.is_empty() || !prepared.plan.databases.is_empty();
    quiesce::rights::check(&hands.engine, &prepared.plan.holds, has_commands).await?;
    let mut warnings = std::mem::take(&mut desk.warnings);
    warnings.extend(prepared.plan.warnings.iter().cloned());
    let recipes = recipes::ask(hands, &prepared, request, &mut warnings).await;
    let (plan, store) = (prepared.plan.clone(), prepared.store.clone());
    let capture = warm(hands, prepared, &mut warnings, cancel).await?;

    desk.guard().await?;
    let run = Run {
        hands,
        desk,
        plan: &plan,
        recipes: &recipes,
        store: store.clone(),
        limit: request.limit,
        wrapper,
        cancel,
    };
    let before = hooks_before(&run).await?;
    let still = still::still(&run, capture, &before).await;
    hands.monitor.silence(hooks::longest(before.owed.iter().map(|it| &it.hook)));
    // Whatever became of the hold, and as soon as it is over.
    let after = hooks::after(&hands.engine, &before.owed).await;
    note_done(&run).await;
    let still = still?;

    let mut report = report(&plan, &still);
    let (draft, written) = write::archive(&run, still, &mut report).await?;
    report.path = write::verify(hands, draft, &written, wrapping, cancel).await?;
    report.protected = written.metadata.protected;
    report.slug = written.metadata.slug;
    report.name = written.metadata.name;
    report.size_bytes = written.size_bytes;
    report.duration_seconds = begin.elapsed().as_secs_f64();
    let skipped = before.skipped.iter().map(|(item, container)| format!("{item} ({container})"));
    report.skipped = skipped.collect();
    report.hooks = before.log.into_iter().chain(after.log).collect();
    for more in [before.warnings, after.warnings, written.warnings] {
        warnings.extend(more);
    }
    warnings.append(&mut report.warnings);
    report.warnings = warnings;
    if let (Some(job), Some(keep)) = (plan.job, request.keep) {
        prune(store, job, keep, &mut report).await;
    }
    Ok(report)
}

/// Removes older backups of the same job. That it cannot be done takes nothing from this one.
async fn prune(store: Store, job: Job, keep: Keep, report: &mut Report) {
    let pruned = island("pruning", move || prune::run(&store, &job, &keep, Timestamp::now())).await;
    match pruned {
        Ok(gone) => report.pruned = gone.into_iter().map(|it| it.path).collect(),
        Err(err) => report.warnings.push(format!("older backups were not pruned: {err:#}")),
    }
}

async fn prepared_wrapper(wrapping: &Wrapping) -> anyhow::Result<Arc<Wrapper>> {
    let wrapping = wrapping.clone();
    island("making the keys", move || wrapping.prepare().map(Arc::new)).await
}

/// Copies what changes while everything runs.
async fn warm(
    hands: &Hands,
    prepared: Prepared,
    warnings: &mut Vec<String>,
    cancel: &CancellationToken,
) -> anyhow::Result<Capture> {
    let Prepared { capture, staging, needs, .. } = prepared;
    let Some(staging) = staging else { return Ok(capture) };
    hands.monitor.step("copying what changes", needs);
    warmed(capture, Some(staging), warnings, cancel).await
}

/// Copies what changes, where `begin` says for the first time. Where there is no room for it, the
/// containers are held for longer instead.
async fn warmed(
    mut capture: Capture,
    begin: Option<Staging>,
    warnings: &mut Vec<String>,
    cancel: &CancellationToken,
) -> anyhow::Result<Capture> {
    let cancel = cancel.clone();
    let (capture, warmed) = island("copying what changes", move || {
        let go_on = || Ok(signals::check(&cancel)?);
        let begun = begin.map_or(Ok(()), |it| capture.begin(&it));
        let warmed = begun.and_then(|()| capture.warm(&go_on));
        Ok((capture, warmed))
    })
    .await?;
    match warmed {
        // More changes than the files told at first.
        Err(err) if err.is::<NoRoom>() => {
            warnings.push(format!("the containers are held until the archive is written: {err:#}"));
        }
        warmed => warmed?,
    }
    Ok(capture)
}

/// Runs what containers want before they are held. What they want afterwards is written down first.
async fn hooks_before(run: &Run<'_>) -> anyhow::Result<Before> {
    for owed in hooks::intended(&run.plan.hooks) {
        let who = run.plan.who(&owed.id, &owed.name);
        run.desk.note(Event::after_owed(who, &owed.hook)).await?;
    }
    if !run.plan.hooks.is_empty() {
        run.hands.monitor.step("running the hooks of containers", 0);
        let hooks = run.plan.hooks.iter().filter_map(|it| it.before.as_ref());
        run.hands.monitor.silence(hooks::longest(hooks));
    }
    Ok(hooks::before(&run.hands.engine, &run.plan.hooks, run.cancel).await)
}

async fn note_done(run: &Run<'_>) {
    for owed in hooks::intended(&run.plan.hooks) {
        // They have run; at worst recovery runs one again.
        let _ = run.desk.note(Event::AfterDone { name: owed.name }).await;
    }
}

/// The report as far as it is known when everything runs again.
fn report(plan: &BackupPlan, still: &Still) -> Report {
    Report {
        slug: String::new(),
        name: plan.name.clone(),
        path: PathBuf::new(),
        protected: false,
        size_bytes: 0,
        content_bytes: still.content_bytes,
        held_bytes: still.held_bytes,
        duration_seconds: 0.0,
        longest_hold_seconds: quiesce::longest(&still.containers),
        containers: still.containers.clone(),
        databases: still.databases.clone(),
        hooks: Vec::new(),
        skipped: Vec::new(),
        pruned: Vec::new(),
        notes: still.notes.clone(),
        warnings: still.warnings.clone(),
    }
}

/// The metadata of what is in the backup in the end.
fn metadata(run: &Run<'_>, capture: &Capture) -> Metadata {
    let parts: Vec<_> = capture.parts().cloned().collect();
    let plan = run.plan;
    let mut metadata = Metadata::new(&plan.name, Timestamp::now(), &parts, plan.compressed);
    run.recipes.note(&mut metadata);
    if let Some(manifest) = &mut metadata.hearthkeep {
        manifest.job = plan.job.clone();
    }
    metadata
}
