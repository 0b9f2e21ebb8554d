//! The plan of a boot test: which containers get a copy, and what each of them sees.
//!
//! Nothing that belongs to the home is mounted into a copy. A mount whose content the backup holds
//! becomes a folder of a throw-away volume, any other place of files an empty volume, and what is
//! the host's (devices, sockets, its time zone) is left out.

use std::path::{Path, PathBuf};

use super::{Facts, Home, Refused, labels, mounts, order};
use crate::model::{Container, Contents, Health, Item, Mount, MountKind, Part, State, Tree};
use crate::plan::parts::plan_parts;

/// What a boot test will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPlan {
    /// What is extracted, each into a folder of its own.
    pub trees: Vec<BootTree>,
    /// The copies, in the order in which they start; one is that of Home Assistant.
    pub copies: Vec<Copied>,
    /// The name of Home Assistant's container.
    pub homeassistant: String,
    /// The port on which it answers, where a label tells it.
    pub port: Option<u16>,
    /// What is not tried, and why.
    pub notes: Vec<String>,
}

/// A tree of the backup on its way into the throw-away volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootTree {
    /// The item that holds it.
    pub item: Item,
    /// Where its content lies in the item's inner tar.
    pub prefix: String,
    /// The name of its folder in the volume.
    pub folder: String,
}

/// A container that gets a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The identifier of the container.
    pub of: String,
    /// Its name.
    pub name: String,
    /// The name of another one whose network it shares.
    pub joins: Option<String>,
    /// What the others call it.
    pub aliases: Vec<String>,
    /// What its copy sees.
    pub mounts: Vec<BootMount>,
    /// Whether the health check of its copy has to pass, where it has one.
    pub needs_health: bool,
    /// The names of those whose copies have to be healthy before it starts.
    pub waits_for: Vec<String>,
}

/// What a copy sees at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootMount {
    /// Where it comes from.
    pub from: BootSource,
    /// Where it appears in the copy.
    pub destination: PathBuf,
    /// Whether the copy may write it.
    pub writable: bool,
}

/// Where the mount of a copy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootSource {
    /// Content of the backup.
    Tree {
        /// The folder of its tree in the volume.
        folder: String,
        /// The path below the root of the tree.
        below: PathBuf,
    },
    /// Nothing.
    Empty,
}

/// Makes the plan of a boot test of `contents` beside `home`.
pub fn boot(facts: &Facts, home: &Home, contents: &Contents) -> Result<BootPlan, Refused> {
    refuse_behind_a_wall(facts)?;
    let parts = plan_parts(facts, home)?;
    if !contents.items.contains(&Item::HomeAssistant) {
        return Err(Refused::Nothing(
            "the backup holds no Home Assistant, so there is nothing that could start".to_owned(),
        ));
    }
    let in_backup = |it: &&Part| contents.items.contains(&it.item);
    let sown: Vec<Sown> = parts
        .iter()
        .filter(in_backup)
        .flat_map(|part| part.trees.iter().map(move |tree| (&part.item, tree)))
        .enumerate()
        .map(|(n, (item, tree))| Sown { item, tree, folder: n.to_string() })
        .collect();
    let mut notes: Vec<String> = contents
        .items
        .iter()
        .filter(|it| !parts.iter().any(|part| part.item == **it))
        .map(|it| format!("{it} is not tried: no container of this home has a place for it"))
        .collect();
    let all: Vec<&Container> = home.containers().collect();
    let mut copied: Vec<&Container> = Vec::new();
    for container in order::start_order(&all) {
        let is_homeassistant = container.id == home.homeassistant.id;
        match why_not(container, facts, &sown)?.filter(|_| !is_homeassistant) {
            None => copied.push(container),
            Some(why) => notes.push(format!("{} is not started: {why}", container.name)),
        }
    }
    Ok(BootPlan {
        copies: copied.iter().map(|it| copy(it, &copied, facts, &sown)).collect(),
        trees: sown.iter().map(Sown::tree).collect(),
        homeassistant: home.homeassistant.name.clone(),
        port: home.port,
        notes,
    })
}

/// From another container's network nobody reaches one from which nothing leads out.
fn refuse_behind_a_wall(facts: &Facts) -> Result<(), Refused> {
    let is_own = |it: &&Container| facts.own_container.as_ref() == Some(&it.id);
    match facts.containers.iter().find(is_own) {
        Some(own) if !own.host_network => Err(Refused::Nothing(format!(
            "{} has a network of its own, from which copies cannot be reached: run the boot test on the host, or in a container with the host's network",
            own.name
        ))),
        _ => Ok(()),
    }
}

/// A tree of the home whose content the backup holds.
struct Sown<'a> {
    item: &'a Item,
    tree: &'a Tree,
    folder: String,
}

impl Sown<'_> {
    fn tree(&self) -> BootTree {
        BootTree {
            item: self.item.clone(),
            prefix: self.tree.prefix.clone(),
            folder: self.folder.clone(),
        }
    }

    /// A path of the host in it.
    fn at(&self, source: &Path) -> Option<BootSource> {
        let below = source.strip_prefix(&self.tree.source).ok()?.to_owned();
        Some(BootSource::Tree { folder: self.folder.clone(), below })
    }
}

/// Why a companion gets no copy, if it gets none.
fn why_not(
    container: &Container,
    facts: &Facts,
    sown: &[Sown<'_>],
) -> Result<Option<&'static str>, Refused> {
    let reaches_host = |it: &Mount| mounts::reaches_host(it, facts);
    let mut with_files = container.mounts.iter().filter(|it| holds_files(it, facts)).peekable();
    let has_files = with_files.peek().is_some();
    Ok(if labels::read(container)?.boot == Some(false) {
        Some("its label says so")
    } else if !matches!(container.state, State::Running | State::Paused) {
        Some("it does not run in this home either")
    } else if container.reaches_host || container.mounts.iter().any(reaches_host) {
        Some("it has devices, rights or sockets of the host, which a copy does not get")
    } else if has_files && !with_files.any(|it| content_of(it, sown).is_some()) {
        Some("the backup holds nothing of it")
    } else {
        None
    })
}

/// Whether there are files at a mount that a container may miss.
fn holds_files(mount: &Mount, facts: &Facts) -> bool {
    mounts::unwanted(mount, facts).is_none() || mounts::holds_data(mount)
}

/// What the backup holds of a mount.
fn content_of(mount: &Mount, sown: &[Sown<'_>]) -> Option<BootSource> {
    if mount.source.as_os_str().is_empty() {
        return None;
    }
    let around = sown.iter().filter(|it| mount.source.starts_with(&it.tree.source));
    around.max_by_key(|it| it.tree.source.as_os_str().len())?.at(&mount.source)
}

fn copy(container: &Container, copied: &[&Container], facts: &Facts, sown: &[Sown<'_>]) -> Copied {
    let other = |is_meant: &dyn Fn(&Container) -> bool| {
        copied.iter().find(|it| it.id != container.id && is_meant(it)).map(|it| it.name.clone())
    };
    let service = container.service().filter(|it| *it != container.name);
    let aliases = service.into_iter().chain([container.name.as_str()]);
    let stands_before = copied.iter().take_while(|it| it.id != container.id);
    Copied {
        of: container.id.clone(),
        name: container.name.clone(),
        joins: other(&|it| container.has_joined(it)),
        aliases: aliases.map(str::to_owned).collect(),
        mounts: mounts_of(container, facts, sown),
        needs_health: matches!(container.health, Health::None | Health::Healthy),
        waits_for: stands_before
            .filter(|it| order::wants_healthy(container, it))
            .map(|it| it.name.clone())
            .collect(),
    }
}

fn mounts_of(container: &Container, facts: &Facts, sown: &[Sown<'_>]) -> Vec<BootMount> {
    let mut mounts: Vec<BootMount> = Vec::new();
    for mount in container.mounts.iter().filter(|it| holds_files(it, facts)) {
        let from = match content_of(mount, sown) {
            Some(from) => from,
            // What it is like is not known, and the image has nothing there.
            None if mount.kind == MountKind::Other => continue,
            None => BootSource::Empty,
        };
        mounts.push(BootMount {
            from,
            destination: mount.destination.clone(),
            writable: mount.writable,
        });
        // What another part has below this mount on the host is seen through it.
        let below = sown.iter().filter_map(|it| {
            let rest = it.tree.source.strip_prefix(&mount.source).ok()?;
            let destination = mount.destination.join(rest);
            let is_below = !mount.source.as_os_str().is_empty() && !rest.as_os_str().is_empty();
            let is_taken = container.mounts.iter().any(|it| it.destination == destination);
            let from = it.at(&it.tree.source)?;
            let seen = BootMount { from, destination, writable: mount.writable };
            (is_below && !is_taken).then_some(seen)
        });
        mounts.extend(below);
    }
    mounts
}
