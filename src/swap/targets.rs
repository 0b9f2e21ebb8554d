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
    /// The place of its route in the list.
    route: usize,
    path: PathBuf,
    /// Where its staging folder will be.
    around: PathBuf,
    /// What the host has mounted inside, relative to it.
    mounted: Vec<PathBuf>,
}

/// What goes from a part to the mount of a route.
pub(super) fn share(route: &Route) -> Share {
    Share {
        prefix: route.tree.prefix.clone(),
        only: route.only.clone(),
        without: route.keep.iter().chain(&route.never).cloned().collect(),
    }
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
        let (mut targets, mut problems) = (Vec::<Target>::new(), Vec::new());
        for (n, route) in routes.iter_mut().enumerate() {
            let path = match find(route, reach) {
                Ok(path) => path,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            if targets.iter().any(|it| it.path == path) {
                problems.push(twice(&path));
                continue;
            }
            let looked = look_at(n, path, route, stays, cancel)?;
            match looked {
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
        for target in &self.targets {
            let route = &self.routes[target.route];
            let member = archive.member_of(&route.item).map(|it| it.name.clone());
            let block_bytes = block_bytes(&target.around);
            let gauge =
                |share| Gauge { member: member.clone().unwrap_or_default(), share, block_bytes };
            gauges.push(gauge(share(route)));
            gauges.extend(target.mounted.iter().map(|it| {
                let below = Path::new(&route.tree.prefix).join(it);
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
        for target in &self.targets {
            let route = &self.routes[target.route];
            let Some(extent) = extents.next() else { break };
            if !route.only.is_empty() && extent.entries < 2 {
                // The folder around them is counted.
                self.problems.push(format!(
                    "the backup holds nothing that could be restored of {}: its database may be elsewhere",
                    route.item
                ));
            }
            for (mounted, extent) in target.mounted.iter().zip(extents.by_ref()) {
                let is_more_than_a_folder = extent.entries > 1;
                if is_more_than_a_folder && route.only.is_empty() {
                    self.problems.push(in_the_way(&target.path.join(mounted), route));
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
        self.problems.extend(rooms.iter().filter_map(Room::problem));
        Ok(rooms)
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

/// Looks at one target; gives what is in the way beside it. Where it cannot even be looked at, why.
fn look_at(
    n: usize,
    path: PathBuf,
    route: &mut Route,
    stays: &[PathBuf],
    cancel: &CancellationToken,
) -> anyhow::Result<Result<(Target, Vec<String>), String>> {
    let looked = || {
        let staging = Staging::of(&path)?;
        let mut mounted = reach::mounted_below(&path)?;
        mounted.retain(|it| !it.as_os_str().is_empty());
        mounted.retain(|it| !route.keep.iter().any(|keep| it.starts_with(keep)));
        let keep = kept(route, &path, stays)?;
        anyhow::Ok((staging, mounted, keep))
    };
    let (staging, mounted, keep) = match looked() {
        Ok(looked) => looked,
        Err(err) => return Ok(Err(format!("{err:#}"))),
    };
    let mut problems = obstacles(&path, staging.folder(), &keep, cancel)?;
    problems.extend(staging.check_left().err().map(|err| format!("{err:#}")));
    let pending = path.join(PENDING_RESTORE);
    if !route.only.is_empty() && pending.symlink_metadata().is_ok() {
        problems.push(format!(
            "{} makes Home Assistant restore another backup when it starts: let it start once before, or remove that file",
            pending.display()
        ));
    }
    route.keep.extend(mounted.iter().cloned());
    let around = staging.folder().parent().unwrap_or(&path).to_owned();
    Ok(Ok((Target { route: n, path, around, mounted }, problems)))
}
