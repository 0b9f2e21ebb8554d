//! What a job needs to reach, and the container in which it is asked for cannot: the mounts of a
//! job container.

use std::path::{Component, Path, PathBuf};

use super::mounts::unwanted;
use super::{BackupRequest, Facts, Home, Pick, Refused, backup, find};
use crate::model::{Container, Mount, MountKind};

/// Where the mounts of a home lie in a job container, each below it by its path on the engine's
/// host. So a path in the journal means the same in every one of them.
const PLACE: &str = "/mounts";

/// What a job does with a home, as far as that says what it has to reach.
#[derive(Debug, Clone)]
pub enum Reaches {
    /// It reads what is in a backup. Where no store is set, it writes into Home Assistant's
    /// configuration.
    Backup {
        /// What is backed up.
        request: BackupRequest,
        /// Whether a store is set.
        has_store: bool,
    },
    /// It writes any mount of the home.
    Restore,
    /// It writes a throw-away volume that does not exist yet.
    Boot,
}

/// The container in which this program runs, where it runs in one.
pub fn own(facts: &Facts) -> Option<&Container> {
    let id = facts.own_container.as_ref()?;
    facts.containers.iter().find(|it| it.id == *id)
}

/// What a job needs to reach and this container does not: mounts with their places in a job
/// container. None lies inside another one.
///
/// # Errors
/// Where the home cannot be told, or the backup be planned.
pub fn beyond(
    facts: &Facts,
    own: &Container,
    pick: &Pick,
    reaches: &Reaches,
) -> Result<Vec<Mount>, Refused> {
    let home = match find(facts, pick) {
        Ok(home) => Some(home),
        // It may be known only by a file in a mount that is out of reach.
        Err(Refused::NoHome { .. } | Refused::UnknownHome { .. }) => None,
        Err(refused) => return Err(refused),
    };
    let wanted = match (&home, reaches) {
        (None, _) => all(facts.containers.iter(), facts, matches!(reaches, Reaches::Restore)),
        (Some(home), Reaches::Backup { request, has_store }) => {
            of_backup(facts, home, request, *has_store)?
        }
        (Some(home), Reaches::Restore) => {
            all(home.containers(), facts, true).into_iter().map(around_a_file).collect()
        }
        (Some(home), Reaches::Boot) => {
            let config = configuration(home, false);
            config.into_iter().chain([volumes(facts)]).collect()
        }
    };
    let missing = wanted.into_iter().filter(|it| !is_reached(own, &it.source));
    Ok(outermost(missing.collect()).into_iter().map(placed).collect())
}

/// The mounts that lead to paths of other job containers, to be written.
pub fn for_paths(facts: &Facts, own: &Container, paths: &[PathBuf]) -> Vec<Mount> {
    let at_host = |it: &PathBuf| Some(Path::new("/").join(it.strip_prefix(PLACE).ok()?));
    let sources: Vec<PathBuf> = paths.iter().filter_map(at_host).collect();
    let mut mounts = all(facts.containers.iter(), facts, true);
    mounts.retain(|it| sources.iter().any(|path| path.starts_with(&it.source)));
    mounts.retain(|it| !is_reached(own, &it.source));
    let mounts = mounts.into_iter().map(around_a_file).collect();
    outermost(mounts).into_iter().map(placed).collect()
}

/// Everything of these containers that belongs to a home.
fn all<'a>(
    containers: impl Iterator<Item = &'a Container>,
    facts: &Facts,
    writable: bool,
) -> Vec<Mount> {
    containers
        .filter(|it| it.label("hearthkeep.enable") != Some("false"))
        .flat_map(|it| &it.mounts)
        .filter(|it| unwanted(it, facts).is_none())
        .map(|it| Mount { writable, ..it.clone() })
        .collect()
}

fn of_backup(
    facts: &Facts,
    home: &Home,
    request: &BackupRequest,
    has_store: bool,
) -> Result<Vec<Mount>, Refused> {
    let plan = backup(facts, home.clone(), request)?;
    let trees: Vec<&Path> =
        plan.parts.iter().flat_map(|it| &it.trees).map(|it| it.source.as_path()).collect();
    let mut mounts = all(home.containers(), facts, false);
    mounts.retain(|it| trees.contains(&it.source.as_path()));
    mounts.extend(configuration(home, !has_store));
    Ok(mounts)
}

/// Where Home Assistant's version is written, and its own backups lie.
fn configuration(home: &Home, writable: bool) -> Option<Mount> {
    let config = home.homeassistant.mounted_at("/config")?;
    Some(Mount { writable, ..config.clone() })
}

/// The folder in which the engine makes volumes.
fn volumes(facts: &Facts) -> Mount {
    let source = facts.engine_root.join("volumes");
    Mount { kind: MountKind::Bind, destination: source.clone(), source, writable: true }
}

/// A file that is mounted on its own cannot be given to another one, so the folder around it is
/// mounted. From here only its name tells a file.
fn around_a_file(mount: Mount) -> Mount {
    let looks_like_one = |it: &Path| it.extension().is_some();
    let parent = mount.source.parent().filter(|it| it.parent().is_some()).map(Path::to_owned);
    match parent {
        Some(source) if mount.kind == MountKind::Bind && looks_like_one(&mount.destination) => {
            Mount { source, ..mount }
        }
        _ => mount,
    }
}

/// Whether a path of the host lies in something that a container has mounted.
fn is_reached(own: &Container, source: &Path) -> bool {
    let mounts = own.mounts.iter().filter(|it| !it.source.as_os_str().is_empty());
    mounts.into_iter().any(|it| source.starts_with(&it.source))
}

/// Without those that lie inside others, and each once. What one of them may write, all may.
pub fn outermost(mut mounts: Vec<Mount>) -> Vec<Mount> {
    // A folder comes before what is in it.
    mounts.sort_by(|a, b| a.source.cmp(&b.source));
    let mut outer: Vec<Mount> = Vec::new();
    for mount in mounts {
        match outer.iter_mut().find(|it| mount.source.starts_with(&it.source)) {
            Some(around) => around.writable |= mount.writable,
            None => outer.push(mount),
        }
    }
    outer
}

fn placed(mount: Mount) -> Mount {
    Mount { destination: place(&mount.source), ..mount }
}

/// Whether a path is one of a job container alone.
pub fn is_placed(path: &Path) -> bool {
    path.starts_with(PLACE)
}

/// Where a path of the engine's host lies in a job container.
fn place(source: &Path) -> PathBuf {
    let below = source.components().filter(|it| matches!(it, Component::Normal(_)));
    Path::new(PLACE).join(below.collect::<PathBuf>())
}

/// The path on the engine's host of what this container has at a path, where it lies in a mount.
pub fn at_host(own: &Container, path: &Path) -> Option<PathBuf> {
    let inner = own.mounts.iter().filter(|it| path.starts_with(&it.destination));
    let inner = inner.max_by_key(|it| it.destination.as_os_str().len())?;
    let rest = path.strip_prefix(&inner.destination).ok()?;
    let is_kept = matches!(inner.kind, MountKind::Bind | MountKind::Volume { .. });
    // Joining an empty rest would turn the path of a file into that of a folder.
    is_kept.then(|| inner.source.join(rest).components().collect())
}
