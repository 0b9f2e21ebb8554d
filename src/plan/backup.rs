//! The plan of a backup: what is in it, who is held, and what is left out and why.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::parts::{Planned, all_parts};
use super::{Facts, Hold, Home, Hooks, Refused, Served, databases, hold, hooks, warnings};
use crate::model::{Container, Item, Job, Part, PartKind, Who};
use crate::retention::Keep;

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct BackupRequest {
    /// The backup's name; without one it is named after its extent and Home Assistant's version.
    pub name: Option<String>,
    /// Only these items; empty means all.
    pub only: Vec<String>,
    /// Globs of files to leave out of every part.
    pub exclude: Vec<String>,
    /// Leave out Home Assistant's database.
    pub no_database: bool,
    /// Write the parts without compression.
    pub uncompressed: bool,
    /// How long the containers may be held.
    pub limit: HoldLimit,
    /// The job that it belongs to, empty for the one without a name; nothing where a person chose
    /// what is in it.
    pub profile: Option<String>,
    /// Which backups of that job are kept once this one is made; without it all of them.
    pub keep: Option<Keep>,
}

/// How long containers may stand still, once all of them do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimit {
    /// The limit.
    pub longest: Duration,
    /// What happens when it is reached.
    pub then: OnMaxHold,
}

impl Default for HoldLimit {
    fn default() -> HoldLimit {
        HoldLimit { longest: Duration::from_secs(30), then: OnMaxHold::Fail }
    }
}

/// What happens when containers were held for as long as they may be. They go on in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMaxHold {
    /// The backup fails.
    Fail,
    /// The rest is read while they run, and the report says so.
    Continue,
}

/// What a backup will do.
#[derive(Debug, Clone)]
pub struct BackupPlan {
    /// The home.
    pub home: Home,
    /// The backup's name.
    pub name: String,
    /// The parts, in the order of the file.
    pub parts: Vec<Part>,
    /// The sources of all mounts that some part has, whether it is in this backup or not: where a
    /// walk comes upon one, it belongs to that part.
    pub stops: Vec<PathBuf>,
    /// The containers that are held, those first that depend on others.
    pub holds: Vec<Hold>,
    /// What runs inside containers before and after the hold.
    pub hooks: Vec<Hooks>,
    /// The databases that are prepared for the hold.
    pub databases: Vec<Served>,
    /// What is not in the file.
    pub left_out: Vec<LeftOut>,
    /// What a person should look at: who may write meanwhile, and data that is not in the file.
    pub warnings: Vec<String>,
    /// Whether the parts are compressed.
    pub compressed: bool,
    /// The job that it belongs to, where it does.
    pub job: Option<Job>,
}

impl BackupPlan {
    /// The same plan without some items. Who writes nothing of what is left is not held.
    pub fn without(&self, left_out: impl Fn(&Item) -> bool) -> Result<BackupPlan, Refused> {
        let mut plan = self.clone();
        plan.parts.retain(|it| !left_out(&it.item));
        plan.holds = hold::for_backup(&plan.home, &plan.parts)?;
        plan.databases = databases::for_backup(&plan.home, &plan.holds);
        Ok(plan)
    }

    /// How a container of the home is found again, whatever becomes of it.
    pub fn who(&self, id: &str, name: &str) -> Who {
        let compose = self.home.containers().find(|it| it.id == id).and_then(Container::compose);
        Who { id: id.to_owned(), name: name.to_owned(), compose }
    }
}

/// Something that is not in the file, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The container that has it.
    pub container: String,
    /// The path in the container, or `all of it`.
    pub what: String,
    /// The reason, to be read after "left out: ".
    pub why: String,
}

/// Makes the plan of a backup.
pub fn backup(facts: &Facts, home: Home, request: &BackupRequest) -> Result<BackupPlan, Refused> {
    let Planned { mut parts, mut left_out, data_left_out } = all_parts(facts, &home, request)?;
    let stops = parts.iter().flat_map(|it| &it.trees).map(|it| it.source.clone()).collect();
    let n_all = parts.len();
    select(&mut parts, &request.only)?;
    parts.sort_by_key(|it| order(&it.kind));
    let name = name(request, &home, parts.len() < n_all)?;
    let holds = hold::for_backup(&home, &parts)?;
    let is_asked = |item: &Item| request.only.is_empty() || parts.iter().any(|it| it.item == *item);
    let (hooks, not_run) = hooks::for_backup(&home, &parts, &holds)?;
    let databases = databases::for_backup(&home, &holds);
    let mut warnings = warnings::writers(facts, &home, &parts, &holds);
    warnings.extend(not_run);
    warnings.extend(warnings::podman(facts));
    warnings.extend(warnings::silent(facts, &home));
    warnings.extend(warnings::labels(facts, &home));
    left_out.extend(home.of_swarm.iter().map(of_swarm));
    if request.only.is_empty() {
        warnings.extend(home.of_swarm.iter().map(warnings::of_swarm));
    }
    let lacking = data_left_out.into_iter().filter(|(item, _)| is_asked(item));
    warnings.extend(lacking.map(|(_, warning)| warning));
    let compressed = !request.uncompressed;
    let job = request.profile.clone().map(|profile| Job { profile, home: home.title() });
    Ok(BackupPlan {
        home,
        name,
        parts,
        stops,
        holds,
        hooks,
        databases,
        left_out,
        warnings,
        compressed,
        job,
    })
}

fn of_swarm(container: &Container) -> LeftOut {
    LeftOut {
        container: container.name.clone(),
        what: "all of it".to_owned(),
        why: "it belongs to a Swarm service".to_owned(),
    }
}

/// The Supervisor's order, private parts last: its password check opens the first `.tar.gz`.
fn order(kind: &PartKind) -> u8 {
    match kind {
        PartKind::HomeAssistant { .. } => 0,
        PartKind::Addon { .. } => 1,
        PartKind::Folder => 2,
        PartKind::Private => 3,
    }
}

/// Whether a person means this part. A companion may also be named by its container, or by its
/// add-on's name without the repository.
pub(super) fn is_meant(part: &Part, asked: &str) -> bool {
    let is_companion = matches!(part.kind, PartKind::Addon { .. } | PartKind::Private);
    let by_container = || part.trees.iter().any(|it| it.container == asked);
    let by_short_name =
        || part.item.to_string().split_once('_').is_some_and(|(_, short)| short == asked);
    part.item == Item::parse(asked) || (is_companion && (by_container() || by_short_name()))
}

/// Keeps the parts that were asked for.
fn select(parts: &mut Vec<Part>, only: &[String]) -> Result<(), Refused> {
    for asked in only {
        if !parts.iter().any(|part| is_meant(part, asked)) {
            let known: Vec<String> = parts.iter().map(|it| it.item.to_string()).collect();
            return Err(Refused::UnknownItem { item: asked.clone(), known: known.join(", ") });
        }
    }
    if !only.is_empty() {
        parts.retain(|part| only.iter().any(|asked| is_meant(part, asked)));
    }
    Ok(())
}

fn name(request: &BackupRequest, home: &Home, partial: bool) -> Result<String, Refused> {
    let Some(name) = &request.name else {
        let extent = if partial { "Partial" } else { "Full" };
        let version = home.version.as_deref().map(|it| format!(" {it}")).unwrap_or_default();
        return Ok(format!("{extent} backup{version}"));
    };
    let name = name.trim();
    let problem = match name {
        "" => Some("is empty"),
        "." | ".." => Some("is the name of a folder"),
        it if it.contains(['/', '\\']) => Some("has a slash, which Home Assistant refuses"),
        it if it.contains(char::is_control) => Some("has a control character"),
        // The file is named after it, with a date behind; file systems allow 255 bytes.
        it if it.len() > 200 => Some("is longer than 200 bytes"),
        _ => None,
    };
    match problem {
        Some(problem) => Err(Refused::BadName { name: name.to_owned(), problem }),
        None => Ok(name.to_owned()),
    }
}
