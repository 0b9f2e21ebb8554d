//! The plan of a restore: what goes where, who is stopped for it, and what cannot be placed.

mod routes;
mod starts;
mod stops;

use std::path::PathBuf;

use self::routes::{routes_of, wanted};
use self::starts::start_too;
use self::stops::{stopped_note, stops, version_note};
use super::parts::plan_parts;
use super::{Facts, Hold, Home, Refused};
use crate::model::{Contents, Item, Tree};

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
    /// What was stopped already and is started when Home Assistant is restored: that itself, and the
    /// rest of a home of which nothing ran; those first that others depend on.
    pub start_too: Vec<Hold>,
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
    let mut starts = Vec::new();
    if wanted.contains(&Item::HomeAssistant) {
        notes.extend(version_note(&home, contents));
        starts = start_too(&home, contents)?;
    }
    for item in &wanted {
        match parts.iter().find(|it| it.item == *item) {
            Some(part) => {
                routes.extend(routes_of(part, &parts, contents));
                notes.extend(stopped_note(&home, part, &starts));
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
    Ok(RestorePlan { home, routes, stops, start_too: starts, notes })
}
