//! The story of a backup, top to bottom.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use bytesize::ByteSize;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, Metadata, Written};
use crate::capture::{self, Exclude, Extent, Source};
use crate::fsx::{self, Draft};
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{Event, Story};
use crate::plan::{self, BackupPlan, BackupRequest, Pick, Refused};
use crate::quiesce::{self, Stillness};
use crate::reach::Reach;
use crate::recover::{self, Desk};
use crate::store::Store;
use crate::{signals, survey};

/// What a backup did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The backup's slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The bytes that were read for it.
    pub content_bytes: u64,
    /// How long the run took.
    pub duration_seconds: f64,
    /// The longest that any container stood still.
    pub longest_hold_seconds: f64,
    /// Each container that was held.
    pub containers: Vec<Stillness>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// A plan with what only looking at the files can tell.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The plan.
    pub plan: BackupPlan,
    /// The parts, reachable, in the plan's order.
    pub sources: Vec<Source>,
    /// How much each part holds.
    pub extents: Vec<Extent>,
    /// Where the backup will lie.
    pub store: Store,
}

impl Prepared {
    /// Bytes of all files of all parts.
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|it| it.bytes).sum()
    }
}

/// Everything up to the first deed: what a dry run shows.
pub async fn prepare(
    hands: &Hands,
    pick: &Pick,
    request: &BackupRequest,
) -> anyhow::Result<Prepared> {
    let survey = survey::look(&hands.engine).await?;
    let home = plan::find(&survey.facts, pick)?;
    let store = hands.store_of(&home, &survey.reach)?;
    let plan = plan::backup(&survey.facts, home, request)?;
    check_globs(&plan, request)?;
    island("measuring", move || {
        let store = Store::open(&store)?;
        let sources = sources(&plan, &survey.reach, &store)?;
        let extents = sources.iter().map(capture::measure).collect::<Result<_, _>>()?;
        Ok(Prepared { plan, sources, extents, store })
    })
    .await
}

/// Makes a backup.
///
/// # Errors
/// Whatever stopped it. Every container goes on as before, and no unfinished file is left.
pub async fn run(
    hands: &Hands,
    pick: &Pick,
    request: &BackupRequest,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let mut desk = recover::begin(hands, Story::Backup).await?;
    let outcome = carry_out(hands, &mut desk, pick, request, cancel).await;
    desk.end().await;
    outcome
}

async fn carry_out(
    hands: &Hands,
    desk: &mut Desk,
    pick: &Pick,
    request: &BackupRequest,
    cancel: &CancellationToken,
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    hands.monitor.step("looking at the home", 0);
    let prepared = prepare(hands, pick, request).await?;
    let metadata = Metadata::new(
        &prepared.plan.name,
        Timestamp::now(),
        &prepared.plan.parts,
        prepared.plan.compressed,
    );
    let path = prepared.store.draft_path(&metadata.file_name());
    desk.note(Event::DraftIntended { path }).await?;
    let draft = reserve(&prepared, &metadata).await?;
    let content_bytes = prepared.bytes();
    let mut warnings = std::mem::take(&mut desk.warnings);
    warnings.extend(prepared.plan.warnings.iter().cloned());

    signals::check(cancel)?;
    desk.guard().await?;
    hands.monitor.step("holding the containers", 0);
    let journal = &desk.journal;
    let held = quiesce::hold(&hands.engine, journal, &prepared.plan.holds, cancel).await?;
    let archived = archive(hands, prepared, metadata, draft, cancel).await;
    let stayed = quiesce::check(&hands.engine, &held).await;
    let released = quiesce::release(&hands.engine, journal, held).await;
    let containers = released.containers;
    // A container that is still held is worse than no backup, and none the better for one less.
    warnings.extend(released.failures.into_iter().map(|it| it.text).chain(released.warnings));
    let (draft, written) = archived?;
    stayed?;

    let path = verify(hands, draft, &written, cancel).await?;
    warnings.extend(written.warnings);
    Ok(Report {
        slug: written.metadata.slug,
        name: written.metadata.name,
        path,
        size_bytes: written.size_bytes,
        content_bytes,
        duration_seconds: begin.elapsed().as_secs_f64(),
        longest_hold_seconds: quiesce::longest(&containers),
        containers,
        warnings,
    })
}

/// Refuses a glob that cannot be read, and says where it came from.
fn check_globs(plan: &BackupPlan, request: &BackupRequest) -> Result<(), Refused> {
    let problem =
        |glob: &String| Exclude::new([glob]).err().map(|err| err.root_cause().to_string());
    for glob in &request.exclude {
        if let Some(problem) = problem(glob) {
            return Err(Refused::BadGlob { glob: glob.clone(), problem });
        }
    }
    // Only labels are left.
    for part in &plan.parts {
        for glob in &part.exclude_kept {
            if let Some(problem) = problem(glob) {
                return Err(Refused::BadLabel {
                    container: part
                        .trees
                        .first()
                        .map(|it| it.container.clone())
                        .unwrap_or_default(),
                    label: "hearthkeep.exclude".to_owned(),
                    value: glob.clone(),
                    wanted: problem,
                });
            }
        }
    }
    Ok(())
}

fn sources(plan: &BackupPlan, reach: &Reach, store: &Store) -> anyhow::Result<Vec<Source>> {
    let local = |source: &PathBuf, container: &str| {
        reach.local(source).with_context(|| {
            format!(
                "{} of container {container} is out of reach: mount it into hearthkeep's container too",
                source.display()
            )
        })
    };
    plan.parts
        .iter()
        .map(|part| {
            let roots = part
                .trees
                .iter()
                .map(|it| local(&it.source, &it.container))
                .collect::<Result<_, _>>()?;
            Ok(Source {
                part: part.clone(),
                roots,
                stops: plan.stops.iter().filter_map(|it| reach.local(it)).collect(),
                store: store.folder().to_owned(),
            })
        })
        .collect()
}

/// Begins the file, where there is room for it.
async fn reserve(prepared: &Prepared, metadata: &Metadata) -> anyhow::Result<Draft> {
    let bytes = prepared.bytes();
    // Compression rarely does better than this; what is needed in the end, the disk tells.
    let least = if prepared.plan.compressed { bytes / 8 } else { bytes };
    let (store, name) = (prepared.store.clone(), metadata.file_name());
    island("reserving", move || {
        store.make()?;
        let room = fsx::room(store.folder())?;
        anyhow::ensure!(
            room >= least,
            "no room in {}: {} free, at least {} needed",
            store.folder().display(),
            ByteSize(room),
            ByteSize(least)
        );
        store.draft(&name)
    })
    .await
}

async fn archive(
    hands: &Hands,
    prepared: Prepared,
    metadata: Metadata,
    draft: Draft,
    cancel: &CancellationToken,
) -> anyhow::Result<(Draft, Written)> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("archiving", prepared.bytes());
    island("archiving", move || {
        let written = archive::write(&prepared.sources, metadata, &draft, &cancel, &*monitor)?;
        Ok((draft, written))
    })
    .await
}

/// Reads what was written back to its end, and only then gives it its name.
async fn verify(
    hands: &Hands,
    draft: Draft,
    written: &Written,
    cancel: &CancellationToken,
) -> anyhow::Result<PathBuf> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("verifying", written.size_bytes);
    island("verifying", move || {
        let archive = Archive::open(draft.draft_path())?;
        archive::verify(&archive, &cancel, &*monitor)?.into_result(&archive)?;
        draft.name()
    })
    .await
}
