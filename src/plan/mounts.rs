//! Which mounts belong to which part, and which are left out.

use std::path::{Path, PathBuf};

use super::Facts;
use crate::companions::Known;
use crate::model::{Container, FOLDERS, Mount, MountKind, Tree};

const TIME_ZONE: &str = "time zone of the host";
const IDENTITY: &str = "identity of the host";

/// Paths of the host that belong to the system and not to the home, each with everything below.
const SYSTEM: [(&str, &str); 11] = [
    ("/proc", "kernel"),
    ("/sys", "kernel"),
    ("/dev", "device"),
    ("/run", "runtime state of the host"),
    ("/var/run", "runtime state of the host"),
    ("/etc/localtime", TIME_ZONE),
    ("/etc/timezone", TIME_ZONE),
    ("/etc/machine-id", IDENTITY),
    ("/lib/modules", "kernel"),
    // Where the two links above lead on most systems.
    ("/usr/share/zoneinfo", TIME_ZONE),
    ("/usr/lib/modules", "kernel"),
];

/// Where a private or unmapped mount lies in its part, before the path in the container.
const UNMAPPED: &str = "mounts";

/// Why a mount is never backed up, if it is not.
pub(super) fn unwanted(mount: &Mount, facts: &Facts) -> Option<&'static str> {
    match &mount.kind {
        MountKind::Tmpfs => return Some("memory, gone with the container anyway"),
        MountKind::Other => return Some("a kind of mount that hearthkeep does not know"),
        MountKind::Volume { local: false, .. } => {
            return Some("a volume of a driver whose files are not on this host");
        }
        MountKind::Volume { local: true, .. } => return None,
        MountKind::Bind => (),
    }
    let is_below = |path: &Path, top: &str| path.starts_with(top);
    for path in [&mount.source, &mount.destination] {
        if path.file_name().is_some_and(|it| it == "docker.sock") {
            return Some("the Docker socket");
        }
        if let Some((_, why)) = SYSTEM.iter().find(|(top, _)| is_below(path, top)) {
            return Some(why);
        }
    }
    // A monitoring container may see the whole host, or all volumes of all containers.
    if mount.source.parent().is_none() || facts.engine_root.starts_with(&mount.source) {
        return Some("the whole host");
    }
    let volumes = facts.engine_root.join("volumes");
    if volumes.starts_with(&mount.source) || is_within(&mount.source, &facts.engine_root, &volumes)
    {
        return Some("the engine's own files");
    }
    None
}

/// Whether a mount that is never backed up leads to what makes the host more than a place of files.
/// The host's time zone and identity do not: whoever lacks them has others.
pub(super) fn reaches_host(mount: &Mount, facts: &Facts) -> bool {
    let is_of_host = |why: &str| why != TIME_ZONE && why != IDENTITY;
    mount.kind == MountKind::Bind && unwanted(mount, facts).is_some_and(is_of_host)
}

/// Whether a mount that is never backed up holds what a person may miss.
pub(super) fn holds_data(mount: &Mount) -> bool {
    matches!(mount.kind, MountKind::Other | MountKind::Volume { local: false, .. })
}

/// Below the engine's root but not inside a volume, which a bind may name by its path.
fn is_within(source: &Path, root: &Path, volumes: &Path) -> bool {
    !root.as_os_str().is_empty() && source.starts_with(root) && !source.starts_with(volumes)
}

/// Where Home Assistant's mounts go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into its own part.
    Config,
    /// Into the part of a folder.
    Folder(&'static str),
    /// Nowhere that Home Assistant's software knows.
    Elsewhere,
}

/// The part and the prefix of one of Home Assistant's mounts.
pub(super) fn place(destination: &Path) -> (Place, String) {
    if let Ok(rest) = destination.strip_prefix("/config") {
        return (Place::Config, join("data", rest));
    }
    // The longest path first: `/addons/local` is a folder of its own inside `/addons`.
    for (folder, paths) in FOLDERS {
        for path in paths.iter().rev() {
            if let Ok(rest) = destination.strip_prefix(path) {
                return (Place::Folder(folder), join("", rest));
            }
        }
    }
    (Place::Elsewhere, join(UNMAPPED, relative(destination)))
}

/// The prefix of a companion's mount: the add-on's own place where the table knows one.
pub(super) fn companion_prefix(known: Option<&Known>, destination: &Path) -> String {
    let mapped = known.and_then(|known| {
        known.mounts.iter().find_map(|(path, _)| {
            let rest = destination.strip_prefix(path).ok()?;
            Some(join(known.written(path)?, rest))
        })
    });
    mapped.unwrap_or_else(|| join(UNMAPPED, relative(destination)))
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

pub(super) fn join(prefix: &str, rest: &Path) -> String {
    let rest = rest.to_string_lossy();
    match (prefix.is_empty(), rest.is_empty()) {
        (_, true) => prefix.to_owned(),
        (true, false) => rest.into_owned(),
        (false, false) => format!("{prefix}/{rest}"),
    }
}

/// The sources that some part has already, so that a mount of two containers is taken once.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<(PathBuf, String)>);

impl Claims {
    /// Claims a source for an item; refused with the reason where another has it.
    pub(super) fn claim(&mut self, source: &Path, item: &str) -> Result<(), String> {
        if let Some((theirs, owner)) = self.0.iter().find(|(it, _)| source.starts_with(it)) {
            let how = if theirs == source { "shared with" } else { "lies inside" };
            return Err(format!("{how} {owner}, where it is backed up"));
        }
        self.0.push((source.to_owned(), item.to_owned()));
        Ok(())
    }
}

/// The prefix of another tree of a part: where the wanted one stands already, its own path.
pub(super) fn free_prefix(wanted: String, trees: &[Tree], destination: &Path) -> String {
    match trees.iter().any(|it| it.prefix == wanted) {
        true => join(UNMAPPED, relative(destination)),
        false => wanted,
    }
}

/// A tree of a mount.
pub(super) fn tree(container: &Container, mount: &Mount, prefix: String) -> Tree {
    Tree {
        prefix,
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        container: container.name.clone(),
        volume: match &mount.kind {
            MountKind::Volume { name, .. } => Some(name.clone()),
            _ => None,
        },
    }
}
