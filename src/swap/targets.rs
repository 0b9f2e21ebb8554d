//! The targets of a restore, looked at before anything is begun.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::keep::kept;
use super::obstacles::obstacles;
use super::room::{Room, block_bytes};
use super::staging::Staging;
use crate::archive::{Archive, Extent, Gauge, Share};
use crate::plan::{PENDING_RESTORE, Route};
use crate::reach::{self, Reach};

/// The targets as they are, and what is in the way.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The routes, each also with what the host has mounted inside, which stays.
    pub routes: Vec<Route>,
    /// What is in the way, as sentences that end in the cure.
    pub problems: Vec<String>,
    targets: Vec<Target>,
}

/// A target that can be reached.
#[derive(Debug, Clone)]
struct Target {
    /// The places of its routes in the list.
    routes: Vec<usize>,
    path: PathBuf,
    /// Where its staging folder will be.
    around: PathBuf,
    /// What the host has mounted inside, relative to it.
    mounted: Vec<PathBuf>,
}

/// What goes from a part to the mount of a route.
pub(super) fn share(route: &Route) -> Share {
    // What stays is named from the mount, not from the path below it that is replaced.
    let without = route.keep.iter().chain(&route.never);
    let without = without.filter_map(|it| it.strip_prefix(&route.below).ok());
    Share {
        prefix: route.tree.prefix.clone(),
        only: route.only.clone(),
        without: without.map(Path::to_owned).collect(),
    }
}

/// Whether two routes to one mount bring what belongs together there.
pub(super) fn are_one(one: &Route, other: &Route) -> bool {
    one.item == other.item && one.tree.source == other.tree.source && one.below != other.below
}

impl Targets {
    /// Looks at every target without leaving a trace. `stays` are paths that stay wherever they
    /// lie.
    ///
    /// # Errors
    /// Where it was cancelled; what is wrong with a target is a problem.
    pub fn look(
        mut routes: Vec<Route>,
        reach: &Reach,
        stays: &[PathBuf],
        cancel: &CancellationToken,
    ) -> anyhow::Result<Targets> {
        let mut problems = Vec::new();
        let mut groups: Vec<(PathBuf, Vec<usize>)> = Vec::new();
        for (n, route) in routes.iter().enumerate() {
            match find(route, reach) {
                Err(problem) => problems.push(problem),
                Ok(path) => match groups.iter_mut().find(|(it, _)| *it == path) {
                    None => groups.push((path, vec![n])),
                    Some((_, there)) if there.iter().all(|it| are_one(&routes[*it], route)) => {
                        there.push(n);
                    }
                    Some(_) => problems.push(twice(&path)),
                },
            }
        }
        let mut targets = Vec::new();
        for (path, group) in groups {
            match look_at(group, path, &mut routes, stays, cancel)? {
                Ok((target, found)) => {
                    problems.extend(found);
                    targets.push(target);
                }
                Err(problem) => problems.push(problem),
            }
        }
        Ok(Targets { routes, problems, targets })
    }

    /// What to measure when the file is read: what each target gets, and what the backup holds for
    /// places that are mounted by the host.
    pub fn gauges(&self, archive: &Archive) -> Vec<Gauge> {
        let mut gauges = Vec::new();
        for (target, route) in self.each() {
            let member = archive.member_of(&route.from).map(|it| it.name.clone());
            let block_bytes = block_bytes(&target.around);
            let gauge =
                |share| Gauge { member: member.clone().unwrap_or_default(), share, block_bytes };
            gauges.push(gauge(share(route)));
            gauges.extend(target.mounted_in(route).map(|(_, below)| {
                let below = Path::new(&route.tree.prefix).join(below);
                gauge(Share::all(&below.to_string_lossy()))
            }));
        }
        gauges
    }

    /// What is needed and free on each file system, by what [`Targets::gauges`] have measured. What
    /// speaks against it then is added to the problems.
    ///
    /// # Errors
    /// Where a file system cannot be asked.
    pub fn rooms(&mut self, extents: &[Extent]) -> anyhow::Result<Vec<Room>> {
        let mut rooms: Vec<(Option<u64>, Room)> = Vec::new();
        let mut extents = extents.iter();
        let mut problems = Vec::new();
        for (target, route) in self.each() {
            let Some(extent) = extents.next() else { break };
            if !route.only.is_empty() && extent.entries < 2 {
                // The folder around them is counted.
                problems.push(format!(
                    "the backup holds nothing that could be restored of {}: its database may be elsewhere",
                    route.item
                ));
            }
            for ((mounted, _), extent) in target.mounted_in(route).zip(extents.by_ref()) {
                let is_more_than_a_folder = extent.entries > 1;
                if is_more_than_a_folder && route.only.is_empty() {
                    problems.push(in_the_way(&target.path.join(mounted), route));
                }
            }
            let device = fs::metadata(&target.around).ok().map(|it| it.dev());
            let room = match rooms.iter_mut().find(|(it, _)| *it == device) {
                Some((_, room)) => room,
                None => {
                    rooms.push((device, Room::of(&target.around)?));
                    &mut rooms.last_mut().expect("it was pushed just now").1
                }
            };
            room.add(extent, &target.around);
        }
        let rooms: Vec<Room> = rooms.into_iter().map(|(_, room)| room).collect();
        self.problems.extend(problems);
        self.problems.extend(rooms.iter().filter_map(Room::problem));
        Ok(rooms)
    }

    /// Each route with its target.
    fn each(&self) -> impl Iterator<Item = (&Target, &Route)> {
        let routes = |it: &Target| it.routes.iter().map(|n| &self.routes[*n]).collect::<Vec<_>>();
        self.targets.iter().flat_map(move |it| routes(it).into_iter().map(move |route| (it, route)))
    }
}

impl Target {
    /// What the host has mounted in what a route replaces, and the path to it from there.
    fn mounted_in(&self, route: &Route) -> impl Iterator<Item = (&PathBuf, PathBuf)> {
        let below = route.below.clone();
        self.mounted
            .iter()
            .filter_map(move |it| Some((it, it.strip_prefix(&below).ok()?.to_owned())))
    }
}

/// The target of a route, as this process reaches it.
pub(super) fn find(route: &Route, reach: &Reach) -> Result<PathBuf, String> {
    let tree = &route.tree;
    let what = format!(
        "{}, which {} has at {},",
        tree.source.display(),
        tree.container,
        tree.destination.display()
    );
    let local = reach.local(&tree.source).ok_or_else(|| {
        format!(
            "{what} is out of reach: run hearthkeep on the host, or mount it into its container too"
        )
    })?;
    fs::canonicalize(local).map_err(|err| match err.kind() {
        ErrorKind::NotFound => {
            format!("{what} is missing: make it, or start the container once")
        }
        _ => format!("{what} cannot be opened ({err}): run hearthkeep as root"),
    })
}

pub(super) fn twice(target: &Path) -> String {
    format!("{} would be replaced twice: two mounts of this home lead to it", target.display())
}

fn in_the_way(mounted: &Path, route: &Route) -> String {
    format!(
        "{} is mounted by the host, and what the backup holds for it cannot be put there: unmount it, or mount it into {} on its own",
        mounted.display(),
        route.tree.container
    )
}

/// Looks at one target of some routes; gives what is in the way beside it. Where it cannot even be
/// looked at, why.
fn look_at(
    group: Vec<usize>,
    path: PathBuf,
    routes: &mut [Route],
    stays: &[PathBuf],
    cancel: &CancellationToken,
) -> anyhow::Result<Result<(Target, Vec<String>), String>> {
    let here: Vec<Route> = group.iter().map(|n| routes[*n].clone()).collect();
    let looked = || {
        let staging = Staging::of(&path)?;
        let mut mounted = reach::mounted_below(&path)?;
        mounted.retain(|it| !it.as_os_str().is_empty());
        let stays_anyway = |it: &Path| {
            let mut kept = here.iter().flat_map(|route| &route.keep);
            kept.any(|keep| it.starts_with(keep))
        };
        mounted.retain(|it| !stays_anyway(it));
        let keep = kept(&here, &path, stays)?;
        anyhow::Ok((staging, mounted, keep))
    };
    let (staging, mounted, keep) = match looked() {
        Ok(looked) => looked,
        Err(err) => return Ok(Err(format!("{err:#}"))),
    };
    let mut problems = obstacles(&path, staging.folder(), &keep, stays, cancel)?;
    problems.extend(staging.check_left().err().map(|err| format!("{err:#}")));
    let pending = path.join(PENDING_RESTORE);
    if here.iter().any(|it| !it.only.is_empty()) && pending.symlink_metadata().is_ok() {
        problems.push(format!(
            "{} makes Home Assistant restore another backup when it starts: let it start once before, or remove that file",
            pending.display()
        ));
    }
    for n in &group {
        routes[*n].keep.extend(mounted.iter().cloned());
    }
    let around = staging.folder().parent().unwrap_or(&path).to_owned();
    Ok(Ok((Target { routes: group, path, around, mounted }, problems)))
}
