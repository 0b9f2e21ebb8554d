//! The plan of a restore: what goes where, who is stopped for it, and what cannot be placed.

mod routes;
mod stops;
mod twins;

use std::collections::BTreeSet;
use std::path::PathBuf;

use self::routes::{routes_of, wanted};
use self::stops::{stopped_note, stops, version_note};
use self::twins::{Twin, twins};
use super::hold;
use super::parts::plan_parts;
use super::{Facts, Hold, Home, How, Map, Refused};
use crate::model::{Asks, Contents, Item, Part, State, Tree};

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct RestoreRequest {
    /// Only these items; empty means all that the backup holds.
    pub only: Vec<String>,
    /// What a person says of which add-on a container is; it counts for parts of other writers.
    pub map: Map,
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
    /// The item in whose part it lies: nearly always the same, but an add-on may have kept its
    /// data in Home Assistant's folder.
    pub from: Item,
    /// The mount, with the prefix that its content has in the backup.
    pub tree: Tree,
    /// The path below the mount that is replaced; empty for all of it.
    pub below: PathBuf,
    /// Paths below the mount that stay as they are.
    pub keep: Vec<PathBuf>,
    /// Globs of what stays too, since the backup left it out on request.
    pub keep_globs: Vec<String>,
    /// User and group that everything gets; none where it keeps those of the backup.
    pub owner: Option<(u32, u32)>,
    /// Paths in the part that nobody here can use.
    pub passed_over: Vec<String>,
}

impl RestorePlan {
    /// The items that are restored, each once.
    pub fn items(&self) -> Vec<Item> {
        let mut items: Vec<Item> = self.routes.iter().map(|it| it.item.clone()).collect();
        items.dedup();
        items
    }

    /// The items whose parts are read, each once.
    pub fn sources(&self) -> Vec<Item> {
        let sources: BTreeSet<&Item> = self.routes.iter().map(|it| &it.from).collect();
        sources.into_iter().cloned().collect()
    }
}

/// What has to be found out before a plan can be made of `contents`; nothing for a backup of ours.
pub fn asks(
    facts: &Facts,
    home: &Home,
    contents: &Contents,
    request: &RestoreRequest,
) -> Result<Asks, Refused> {
    let parts = plan_parts(facts, home)?;
    let twins = twins(home, &parts, contents, request)?;
    let wanted = wanted(contents, &parts, &twins, request)?;
    let mut asks = Asks::default();
    // What lies in Home Assistant's part but belongs elsewhere is told in any case.
    let is_asked =
        |it: &&Twin<'_>| wanted.contains(&it.item) || wanted.contains(&Item::HomeAssistant);
    twins.iter().filter(is_asked).for_each(|it| it.ask(contents, &mut asks));
    Ok(asks)
}

/// Makes the plan of a restore of `contents` into `home`.
pub fn restore(
    facts: &Facts,
    home: Home,
    contents: &Contents,
    request: &RestoreRequest,
) -> Result<RestorePlan, Refused> {
    let parts = plan_parts(facts, &home)?;
    let mut twins = twins(&home, &parts, contents, request)?;
    twins.retain(|it| contents.items.contains(&it.item) || it.is_there(contents));
    let wanted = wanted(contents, &parts, &twins, request)?;
    let mut routes = Vec::new();
    let mut notes = Vec::new();
    if wanted.contains(&Item::HomeAssistant) {
        notes.extend(version_note(&home, contents));
    }
    for twin in twins.iter().filter(|it| !wanted.contains(&it.item)) {
        notes.extend(left_where_it_was(twin, &wanted, contents));
    }
    for item in &wanted {
        if let Some((found, said)) = by_twins(item, &twins, &home, &parts, contents) {
            routes.extend(found);
            notes.extend(said);
            continue;
        }
        let is_free = |it: &&Part| !twins.iter().any(|twin| twin.part == *it);
        match parts.iter().filter(is_free).find(|it| it.item == *item) {
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
        // Of an add-on whose data was not found, that says more.
        let why = notes.pop().filter(|_| !twins.is_empty());
        let why = why.unwrap_or_else(|| "the backup holds nothing that this home has".to_owned());
        return Err(Refused::Nothing(why));
    }
    let stops = stops(&home, &routes)?;
    let restores_home = wanted.contains(&Item::HomeAssistant);
    let was_down = home.homeassistant.state == State::Stopped && restores_home;
    let start_too =
        was_down.then(|| hold::hold(&home, &home.homeassistant, How::Stop, None)).transpose()?;
    Ok(RestorePlan { home, routes, stops, start_too, notes })
}

/// The routes of an item of another writer, and what is to be said of them; none where it has no
/// container here.
fn by_twins(
    item: &Item,
    twins: &[Twin<'_>],
    home: &Home,
    parts: &[Part],
    contents: &Contents,
) -> Option<(Vec<Route>, Vec<String>)> {
    let of_it: Vec<&Twin<'_>> = twins.iter().filter(|it| it.item == *item).collect();
    let (mut routes, mut notes) = (Vec::new(), Vec::new());
    for twin in &of_it {
        let (found, said) = twin.routes(parts, contents);
        if !found.is_empty() {
            notes.extend(stopped_note(home, twin.part));
        }
        notes.extend(said);
        routes.extend(found);
    }
    (!of_it.is_empty()).then_some((routes, notes))
}

/// A companion that is not asked for, but whose content lies in a part that is.
fn left_where_it_was(twin: &Twin<'_>, wanted: &[Item], contents: &Contents) -> Option<String> {
    let place = wanted.iter().find_map(|it| twin.elsewhere(it, contents))?;
    Some(format!(
        "{place} belongs to {}; it stays where it is in the backup unless {} is asked for too",
        twin.container(),
        twin.item
    ))
}
