//! The plan of a restore: what goes where, who is stopped for it, and what speaks against it.

mod own;
mod routes;
mod starts;
mod stops;
mod twins;
mod version;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use self::own::{Database, PENDING_RESTORE};
use self::routes::{routes_of, wanted};
use self::starts::start_too;
use self::stops::{rests, stopped_note, stops};
use self::twins::{Twin, twins};
use super::parts::plan_parts;
use super::{Facts, Hold, Home, Map, Refused};
use crate::model::{Asks, Contents, Item, Part, State, Tree};

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct RestoreRequest {
    /// Only these items; empty means all that the backup holds.
    pub only: Vec<String>,
    /// What becomes of Home Assistant's database.
    pub database: Database,
    /// Whether a backup of a newer Home Assistant is restored all the same.
    pub allow_newer: bool,
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
    /// The containers that see a place of the restore, but do not run.
    pub rests: Vec<Hold>,
    /// What was stopped already and is started when Home Assistant is restored: that itself, and the
    /// rest of a home of which nothing ran; those first that others depend on.
    pub start_too: Vec<Hold>,
    /// What the person should know before it begins: items without a place, versions.
    pub notes: Vec<String>,
    /// What speaks against it, as sentences that end in what to do. With any of them nothing is
    /// begun.
    pub problems: Vec<String>,
    /// What a person has to do by hand, before or after.
    pub to_do: Vec<String>,
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
    /// Paths below the mount; where there are any, they alone are replaced, and all else stays.
    pub only: Vec<PathBuf>,
    /// Paths below the mount that never come out of a backup. What the mount has there goes.
    pub never: Vec<PathBuf>,
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

    /// The containers that are started when everything is in place, in their order.
    pub fn starts(&self) -> impl Iterator<Item = &Hold> {
        let ran = |it: &&Hold| it.was != State::Stopped;
        self.stops.iter().rev().filter(ran).chain(&self.start_too)
    }

    /// Everybody who must not run while content is moved, those first that depend on others.
    pub fn all_who_see(&self) -> Vec<Hold> {
        let is_new = |it: &&Hold| !self.rests.iter().any(|rest| rest.id == it.id);
        let started = self.start_too.iter().filter(is_new);
        started.chain(&self.rests).chain(&self.stops).cloned().collect()
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

/// Makes the plan of a restore of `contents` into `home`. What speaks against it stands in
/// [`RestorePlan::problems`].
///
/// # Errors
/// A request that means nothing, and a home of which nothing can be said.
pub fn restore(
    facts: &Facts,
    home: Home,
    contents: &Contents,
    request: &RestoreRequest,
) -> Result<RestorePlan, Refused> {
    let parts = plan_parts(facts, &home)?;
    let mut twins = twins(&home, &parts, contents, request)?;
    twins.retain(|it| contents.items.contains(&it.item) || it.is_there(contents));
    let mut wanted = wanted(contents, &parts, &twins, request)?;
    request.database.check(&wanted)?;
    if request.database == Database::Only && request.only.is_empty() {
        wanted.retain(|it| *it == Item::HomeAssistant);
    }
    let mut plan = RestorePlan {
        home,
        routes: Vec::new(),
        stops: Vec::new(),
        rests: Vec::new(),
        start_too: Vec::new(),
        notes: Vec::new(),
        problems: Vec::new(),
        to_do: Vec::new(),
    };
    let restores_home = wanted.contains(&Item::HomeAssistant);
    if restores_home {
        let starts = start_too(&plan.home, contents);
        plan.start_too = plan.told(starts)?.unwrap_or_default();
    }
    plan.route(&wanted, &parts, &twins, contents, request);
    if restores_home {
        let verdict = version::compare(&plan.home, contents, request.allow_newer);
        plan.notes.extend(verdict.note);
        plan.problems.extend(verdict.problem);
        plan.notes.extend(own::note(contents, request.database));
    }
    let stops = stops(&plan.home, &plan.routes);
    plan.stops = plan.told(stops)?.unwrap_or_default();
    let rests = rests(&plan.home, &plan.routes);
    plan.rests = plan.told(rests)?.unwrap_or_default();
    Ok(plan)
}

impl RestorePlan {
    /// Finds the places of the items.
    fn route(
        &mut self,
        wanted: &[Item],
        parts: &[Part],
        twins: &[Twin<'_>],
        contents: &Contents,
        request: &RestoreRequest,
    ) {
        for twin in twins.iter().filter(|it| !wanted.contains(&it.item)) {
            self.notes.extend(left_where_it_was(twin, wanted, contents));
        }
        for item in wanted {
            if let Some((found, said)) = by_twins(item, twins, self, parts, contents) {
                self.routes.extend(found);
                self.notes.extend(said);
                continue;
            }
            let is_free = |it: &&Part| !twins.iter().any(|twin| twin.part == *it);
            match parts.iter().filter(is_free).find(|it| it.item == *item) {
                Some(part) => {
                    self.routes.extend(routes_of(part, parts, contents));
                    self.notes.extend(stopped_note(&self.home, part, &self.start_too));
                }
                None => self.without_place(item, contents, request),
            }
        }
        self.problems.extend(own::settle(&mut self.routes, contents, request.database));
        if self.routes.is_empty() && self.problems.is_empty() {
            // Of an add-on whose data was not found, that says more.
            let why = self.notes.pop().filter(|_| !twins.is_empty());
            let nothing = "the backup holds nothing that this home has: make the containers that shall get it";
            self.problems.push(why.unwrap_or_else(|| nothing.to_owned()));
        }
    }

    /// An item was asked for or, in a backup of ours, had a container that is missing now. What a
    /// Supervisor has beside is passed over.
    fn without_place(&mut self, item: &Item, contents: &Contents, request: &RestoreRequest) {
        let what =
            format!("{item} is in the backup, but no container of this home has a place for it");
        let records = contents.manifest.iter().flat_map(|it| &it.parts);
        let record = records.into_iter().find(|it| it.item == item.to_string());
        let first = record.and_then(|it| it.trees.first());
        match first {
            Some(tree) => self.problems.push(format!(
                "{what}: make {} with a mount at {}, or name what to restore with --only",
                tree.container,
                tree.destination.display()
            )),
            None if !request.only.is_empty() => {
                self.problems.push(format!("{what}: make it, or name other items with --only"));
            }
            None => self.notes.push(format!("{what}: it is passed over")),
        }
    }

    /// Keeps why something cannot be planned as a problem, where it is about this home.
    fn told<T>(&mut self, outcome: Result<T, Refused>) -> Result<Option<T>, Refused> {
        match outcome {
            Ok(it) => Ok(Some(it)),
            Err(Refused::Nothing(problem)) => {
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

/// The routes of an item of another writer, and what is to be said of them; none where it has no
/// container here.
fn by_twins(
    item: &Item,
    twins: &[Twin<'_>],
    plan: &RestorePlan,
    parts: &[Part],
    contents: &Contents,
) -> Option<(Vec<Route>, Vec<String>)> {
    let of_it: Vec<&Twin<'_>> = twins.iter().filter(|it| it.item == *item).collect();
    let (mut routes, mut notes) = (Vec::new(), Vec::new());
    for twin in &of_it {
        let (found, said) = twin.routes(parts, contents);
        if !found.is_empty() {
            notes.extend(stopped_note(&plan.home, twin.part, &plan.start_too));
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
