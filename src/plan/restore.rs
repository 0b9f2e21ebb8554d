//! The plan of a restore: what goes where, who is stopped for it, and what cannot be placed.

use std::path::{Path, PathBuf};

use super::backup::is_meant;
use super::hold::{self, containers_that};
use super::parts::plan_parts;
use super::{Facts, Hold, Home, How, Refused, labels};
use crate::model::{Container, Contents, Item, Part, State, Tree};

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct RestoreRequest {
    /// Only these items; empty means all that the backup holds.
    pub only: Vec<String>,
}

/// What a restore will do.
#[derive(Debug, Clone)]
pub struct RestorePlan {
    /// The home that is restored into.
    pub home: Home,
    /// Each item that is restored, with its places.
    pub routes: Vec<Route>,
    /// The containers that are stopped and started again, those first that depend on others.
    pub stops: Vec<Hold>,
    /// Home Assistant, where it was stopped already: asked for, it is started when it is restored.
    pub start_too: Option<Hold>,
    /// What the person should know before it begins: items without a place, versions.
    pub notes: Vec<String>,
}

/// Where one tree of an item goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The item.
    pub item: Item,
    /// The mount, with the prefix that its content has in the backup.
    pub tree: Tree,
    /// Paths below the mount that stay as they are.
    pub keep: Vec<PathBuf>,
    /// Globs of what stays too, since the backup left it out on request.
    pub keep_globs: Vec<String>,
}

impl RestorePlan {
    /// The items that are restored, each once.
    pub fn items(&self) -> Vec<Item> {
        let mut items: Vec<Item> = self.routes.iter().map(|it| it.item.clone()).collect();
        items.dedup();
        items
    }
}

/// Makes the plan of a restore of `contents` into `home`.
pub fn restore(
    facts: &Facts,
    home: Home,
    contents: &Contents,
    request: &RestoreRequest,
) -> Result<RestorePlan, Refused> {
    let parts = plan_parts(facts, &home)?;
    let wanted = wanted(contents, &parts, request)?;
    let mut routes = Vec::new();
    let mut notes = Vec::new();
    if wanted.contains(&Item::HomeAssistant) {
        notes.extend(version_note(&home, contents));
    }
    for item in &wanted {
        match parts.iter().find(|it| it.item == *item) {
            Some(part) => {
                routes.extend(routes_of(part, &parts, contents));
                notes.extend(stopped_note(&home, part));
            }
            None if request.only.is_empty() => notes.push(format!(
                "{item} is in the backup, but no container of this home has a place for it: it is passed over"
            )),
            None => {
                return Err(Refused::Nothing(format!(
                    "{item} is in the backup, but no container of this home has a place for it"
                )));
            }
        }
    }
    if routes.is_empty() {
        return Err(Refused::Nothing("the backup holds nothing that this home has".to_owned()));
    }
    let stops = stops(&home, &routes)?;
    let restores_home = wanted.contains(&Item::HomeAssistant);
    let was_down = home.homeassistant.state == State::Stopped && restores_home;
    let start_too =
        was_down.then(|| hold::hold(&home, &home.homeassistant, How::Stop, None)).transpose()?;
    Ok(RestorePlan { home, routes, stops, start_too, notes })
}

/// The items of the backup that were asked for.
fn wanted(
    contents: &Contents,
    parts: &[Part],
    request: &RestoreRequest,
) -> Result<Vec<Item>, Refused> {
    let is_asked = |item: &Item, asked: &str| {
        // By the names that the home's containers have, or by the slug alone.
        parts.iter().any(|part| part.item == *item && is_meant(part, asked))
            || *item == Item::parse(asked)
    };
    for asked in &request.only {
        if !contents.items.iter().any(|item| is_asked(item, asked)) {
            let known: Vec<String> = contents.items.iter().map(Item::to_string).collect();
            return Err(Refused::UnknownItem { item: asked.clone(), known: known.join(", ") });
        }
    }
    let all = request.only.is_empty();
    let is_wanted = |item: &&Item| all || request.only.iter().any(|it| is_asked(item, it));
    Ok(contents.items.iter().filter(is_wanted).cloned().collect())
}

fn routes_of<'a>(
    part: &'a Part,
    parts: &'a [Part],
    contents: &'a Contents,
) -> impl Iterator<Item = Route> + 'a {
    let records = contents.manifest.iter().flat_map(|it| &it.parts);
    let record = records.into_iter().find(|it| it.item == part.item.to_string());
    // A file of another writer says nothing of it; what this home leaves out is the best guess.
    let keep_globs = record.map_or(&part.exclude_kept, |it| &it.exclude).clone();
    part.trees.iter().map(move |tree| Route {
        item: part.item.clone(),
        tree: tree.clone(),
        keep: kept(tree, parts, contents),
        keep_globs: keep_globs.clone(),
    })
}

/// What lies below a mount but does not belong to the item, relative to the mount.
fn kept(tree: &Tree, parts: &[Part], contents: &Contents) -> Vec<PathBuf> {
    let others = parts.iter().flat_map(|it| &it.trees).filter(|it| it.source != tree.source);
    let mut kept: Vec<PathBuf> = others
        .flat_map(|other| {
            // Another mount may lie below this one on the host, or only in the container.
            let on_host = other.source.strip_prefix(&tree.source);
            let in_container = other
                .destination
                .strip_prefix(&tree.destination)
                .ok()
                .filter(|_| other.container == tree.container);
            on_host.ok().into_iter().chain(in_container)
        })
        .filter(|it| !it.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect();
    if tree.destination == Path::new("/config") && tree.prefix == "data" {
        // As Home Assistant's own restore does: backups are not part of a backup.
        kept.push("backups".into());
        if contents.exclude_database {
            let files = ["", "-wal", "-shm"].map(|it| format!("home-assistant_v2.db{it}"));
            kept.extend(files.map(PathBuf::from));
        }
    }
    kept
}

/// Every running container of the home that sees a place of the restore, even if it may only read
/// it.
fn stops(home: &Home, routes: &[Route]) -> Result<Vec<Hold>, Refused> {
    let sees = |container: &Container| {
        let sources = container.mounts.iter().map(|it| &it.source);
        sources.filter(|it| !it.as_os_str().is_empty()).any(|it| {
            let overlaps = |route: &Route| {
                it.starts_with(&route.tree.source) || route.tree.source.starts_with(it)
            };
            routes.iter().any(overlaps)
        })
    };
    let holds = containers_that(home, |it| it.state != State::Stopped && sees(it))
        .map(|it| hold::hold(home, it, How::Stop, labels::read(it)?.stop_timeout))
        .collect::<Result<Vec<_>, _>>()?;
    hold::with_joined(home, &holds)
}

/// A companion that does not run is left so, and whoever set up a new home should know.
fn stopped_note(home: &Home, part: &Part) -> Option<String> {
    let is_its = |it: &&Container| part.trees.iter().any(|tree| tree.container == it.name);
    let companion = home.companions.iter().find(is_its)?;
    (companion.state == State::Stopped)
        .then(|| format!("{} does not run, and is not started", companion.name))
}

fn version_note(home: &Home, contents: &Contents) -> Option<String> {
    match (&contents.homeassistant_version, &home.version) {
        (Some(backup), Some(home)) if backup != home => {
            Some(format!("the backup was made by Home Assistant {backup}, this home has {home}"))
        }
        _ => None,
    }
}
