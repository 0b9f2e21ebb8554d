//! The plan of a restore as plain data: what a dry run prints, and a page can show.

use std::path::PathBuf;

use serde::Serialize;

use super::Outlook;
use crate::archive::Archive;
use crate::plan::Route;
use crate::swap::Room;

/// What a restore would do, and what speaks against it.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The slug of the backup.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// When it was made, ISO 8601.
    pub date: String,
    /// Home Assistant's versions.
    pub versions: Versions,
    /// What goes where.
    pub moves: Vec<Move>,
    /// The containers that are stopped, in their order.
    pub stops: Vec<String>,
    /// The containers that are started when everything is in place, in their order.
    pub starts: Vec<String>,
    /// What is needed and free on each file system.
    pub room: Vec<Room>,
    /// What is good to know.
    pub notes: Vec<String>,
    /// What speaks against it, as sentences that end in what to do.
    pub problems: Vec<String>,
    /// What a person has to do by hand.
    pub to_do: Vec<String>,
}

/// Home Assistant's versions, where they are known.
#[derive(Debug, Clone, Serialize)]
pub struct Versions {
    /// The one that made the backup.
    pub backup: Option<String>,
    /// The one that gets it.
    pub home: Option<String>,
}

/// One tree of an item, and its place.
#[derive(Debug, Clone, Serialize)]
pub struct Move {
    /// The item.
    pub item: String,
    /// The item in whose part it lies; nearly always the same.
    pub from: String,
    /// The container that gets it.
    pub container: String,
    /// Where that container sees it.
    pub path: PathBuf,
    /// The folder or file on the host that is replaced.
    pub target: PathBuf,
    /// The path below it that is replaced; empty for all of it.
    pub below: PathBuf,
    /// The member of the file that it comes from.
    pub part: Option<String>,
    /// Where it lies in that part; empty for its root.
    pub prefix: String,
    /// Where it is not empty, only these below the target are replaced.
    pub only: Vec<PathBuf>,
    /// User and group that everything gets, `1883:1883`; none where it keeps those of the backup.
    pub owner: Option<String>,
    /// What stays below the target.
    pub keep: Vec<PathBuf>,
    /// Globs of what stays too.
    pub keep_globs: Vec<String>,
}

impl Preview {
    /// What a restore of this file would do.
    pub fn new(archive: &Archive, outlook: &Outlook) -> Preview {
        let (metadata, plan) = (&archive.metadata, &outlook.plan);
        Preview {
            slug: metadata.slug.clone(),
            name: metadata.name.clone(),
            date: metadata.date.clone(),
            versions: Versions {
                backup: metadata.contents().homeassistant_version,
                home: plan.home.version.clone(),
            },
            moves: plan.routes.iter().map(|it| Move::new(archive, it)).collect(),
            stops: plan.stops.iter().map(|it| it.name.clone()).collect(),
            starts: plan.starts().map(|it| it.name.clone()).collect(),
            room: outlook.rooms.clone(),
            notes: plan.notes.iter().chain(&outlook.doubts).cloned().collect(),
            problems: plan.problems.clone(),
            to_do: plan.to_do.clone(),
        }
    }
}

impl Move {
    fn new(archive: &Archive, route: &Route) -> Move {
        let tree = &route.tree;
        Move {
            item: route.item.to_string(),
            from: route.from.to_string(),
            container: tree.container.clone(),
            path: tree.destination.clone(),
            target: tree.source.clone(),
            below: route.below.clone(),
            part: archive.member_of(&route.from).map(|it| it.name.clone()),
            prefix: tree.prefix.clone(),
            only: route.only.clone(),
            owner: route.owner.map(|(uid, gid)| format!("{uid}:{gid}")),
            keep: route.keep.clone(),
            keep_globs: route.keep_globs.clone(),
        }
    }
}
