//! Everything up to the first deed: what a dry run shows.

use std::path::PathBuf;

use anyhow::Context;

use crate::capture::{Capture, Exclude, Extent, Source, Staging};
use crate::companions::Database;
use crate::fsx;
use crate::hands::Hands;
use crate::island::island;
use crate::plan::{self, BackupPlan, BackupRequest, Pick, Refused};
use crate::reach::Reach;
use crate::store::Store;
use crate::survey;

/// A plan with what only looking at the files can tell.
#[derive(Debug)]
pub struct Prepared {
    /// The plan.
    pub plan: BackupPlan,
    /// The files of all parts, in the plan's order.
    pub capture: Capture,
    /// How much each part holds.
    pub extents: Vec<Extent>,
    /// Where the backup will lie.
    pub store: Store,
    /// Where what changes is copied to; nothing where it would not fit, so that the containers are
    /// held until the archive is written.
    pub staging: Option<Staging>,
    /// Bytes that probably have to be copied there.
    pub needs: u64,
    /// The mounts that are files, by container and path in it.
    pub files: Vec<(String, PathBuf)>,
}

impl Prepared {
    /// Bytes of all files of all parts.
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|it| it.bytes).sum()
    }

    /// Bytes that the archive takes at least. Compression rarely does better; what is needed in the
    /// end, the disk tells.
    pub fn least(&self) -> u64 {
        if self.plan.compressed { self.bytes() / 8 } else { self.bytes() }
    }
}

/// Looks at the home and at its files.
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
    let folders = hands.staging_folders(&store);
    island("looking at the files", move || {
        let store = Store::open(&store)?;
        let sources = sources(&plan, &survey.reach, &store)?;
        let files = files(&sources);
        let capture = Capture::look(sources)?;
        let (extents, needs) = (capture.extents(), capture.needs());
        let mut prepared = Prepared { plan, capture, extents, store, staging: None, needs, files };
        let archive = (prepared.store.folder(), prepared.least());
        prepared.staging = prepared.capture.staging(&folders, needs, archive);
        if prepared.staging.is_none() {
            prepared.plan.warnings.push(no_room(&folders, needs));
        }
        Ok(prepared)
    })
    .await
}

fn no_room(folders: &[PathBuf], needs: u64) -> String {
    let folders: Vec<String> = folders.iter().map(|it| it.display().to_string()).collect();
    format!(
        "the containers are held until the archive is written: there is no room to copy what changes ({} in {}); name a folder with --staging",
        bytesize::ByteSize(needs),
        folders.join(" or ")
    )
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
                at_one_instant: part.trees.iter().any(|it| is_database(plan, &it.container)),
            })
        })
        .collect()
}

fn files(sources: &[Source]) -> Vec<(String, PathBuf)> {
    let mounts = sources.iter().flat_map(|it| it.part.trees.iter().zip(&it.roots));
    let files = mounts.filter(|(_, root)| fsx::is_file(root));
    files.map(|(tree, _)| (tree.container.clone(), tree.destination.clone())).collect()
}

fn is_database(plan: &BackupPlan, container: &str) -> bool {
    let mut containers = plan.home.containers();
    containers.any(|it| it.name == container && Database::by_image(&it.image).is_some())
}
