//! What a job needs to reach, and the container in which it is asked for cannot: the mounts of a
//! job container.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::home::possible;
use super::mounts::unwanted;
use super::{BackupRequest, Facts, Home, Pick, Refused, backup, find};
use crate::model::{Container, Meets, Mount, MountKind};

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
        Ok(home) => Ok(home),
        // It may be known only by a file in a mount that is out of reach.
        Err(refused @ (Refused::NoHome { .. } | Refused::UnknownHome { .. })) => {
            let possible = possible(facts, pick);
            if possible.is_empty() {
                return Err(refused);
            }
            Err(possible)
        }
        Err(refused) => return Err(refused),
    };
    let wanted = match (&home, reaches) {
        (Err(possible), Reaches::Restore) => to_write(possible.iter().copied(), facts),
        (Err(possible), _) => all(possible.iter().copied(), facts),
        (Ok(home), Reaches::Backup { request, has_store }) => {
            of_backup(facts, home, request, *has_store)?
        }
        (Ok(home), Reaches::Restore) => to_write(home.containers(), facts),
        (Ok(home), Reaches::Boot) => {
            let config = configuration(home, false);
            config.into_iter().chain([volumes(facts)]).collect()
        }
    };
    let missing = wanted.into_iter().filter(|it| !is_reached(own, &it.source));
    Ok(outermost(missing.collect()).into_iter().map(placed).collect())
}

/// Whom a job has to talk to: it waits until Home Assistant, or its copy, answers.
pub fn meets(facts: &Facts, pick: &Pick, reaches: &Reaches) -> Meets {
    match (reaches, find(facts, pick)) {
        (Reaches::Backup { .. }, _) => Meets::Same,
        // From the network of the copies nothing leads out, but the host is on it.
        (Reaches::Boot, _) => Meets::Host,
        (Reaches::Restore, Ok(home)) if home.homeassistant.host_network => Meets::Host,
        (Reaches::Restore, Ok(home)) => Meets::Networks(home.homeassistant.networks),
        (Reaches::Restore, Err(_)) => Meets::Same,
    }
}

/// The mounts that lead to paths of other job containers, to be written.
pub fn for_paths(facts: &Facts, own: &Container, paths: &[PathBuf]) -> Vec<Mount> {
    let at_host = |it: &PathBuf| Some(Path::new("/").join(it.strip_prefix(PLACE).ok()?));
    let sources: Vec<PathBuf> = paths.iter().filter_map(at_host).collect();
    let all: Vec<(&Mount, Mount)> = wanted(facts.containers.iter(), facts)
        .map(|(container, mount)| (mount, around_a_file(container, mount)))
        .collect();
    let mut mounts = Vec::new();
    for path in &sources {
        let mut leading: Vec<&Mount> = all
            .iter()
            .filter(|(mount, _)| path.starts_with(&mount.source))
            .map(|(_, around)| around)
            .collect();
        if leading.is_empty() {
            // What is to replace a file lies beside it.
            let beside = all.iter().map(|(_, it)| it).filter(|it| path.starts_with(&it.source));
            leading.extend(beside);
        }
        mounts.extend(leading.into_iter().cloned());
    }
    let mut mounts: Vec<Mount> = outermost(mounts).into_iter().map(placed).collect();
    // The path has to mean the same, so that it is reached by another is not enough.
    mounts.retain(|it| !own.mounts.iter().any(|own| own.destination == it.destination));
    mounts
}

/// Every mount of these containers that belongs to a home.
fn wanted<'a>(
    containers: impl Iterator<Item = &'a Container>,
    facts: &Facts,
) -> impl Iterator<Item = (&'a Container, &'a Mount)> {
    containers
        .filter(|it| it.label("hearthkeep.enable") != Some("false"))
        .flat_map(|it| it.mounts.iter().map(move |mount| (it, mount)))
        .filter(|(_, mount)| unwanted(mount, facts).is_none())
}

/// The same, to be read.
fn all<'a>(containers: impl Iterator<Item = &'a Container>, facts: &Facts) -> Vec<Mount> {
    let read = |(_, it): (_, &Mount)| Mount { writable: false, ..it.clone() };
    wanted(containers, facts).map(read).collect()
}

/// The same, to be written, or replaced where it is a file.
fn to_write<'a>(containers: impl Iterator<Item = &'a Container>, facts: &Facts) -> Vec<Mount> {
    wanted(containers, facts).map(|(container, it)| around_a_file(container, it)).collect()
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
    let mut mounts = all(home.containers(), facts);
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

/// What is to be written of a mount. A file that is mounted on its own cannot be given to another
/// one, so the folder around it is mounted.
fn around_a_file(container: &Container, mount: &Mount) -> Mount {
    let parent = mount.source.parent().filter(|it| it.parent().is_some());
    let source = match parent {
        Some(parent) if looks_like_a_file(container, mount) => parent,
        _ => &mount.source,
    };
    Mount { source: source.to_owned(), writable: true, ..mount.clone() }
}

/// From here only its name and place tell a file: it ends as files do, and not as a version, or it
/// lies in a folder that the container has mounted, too. Around a folder that is taken for a file
/// more is mounted than is needed; a file that is taken for a folder could not be restored.
fn looks_like_a_file(container: &Container, mount: &Mount) -> bool {
    let is_number = |it: &OsStr| it.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let is_named_so = mount.destination.extension().is_some_and(|it| !is_number(it));
    let is_around = |it: &Mount| {
        it.destination != mount.destination && mount.destination.starts_with(&it.destination)
    };
    mount.kind == MountKind::Bind && (is_named_so || container.mounts.iter().any(is_around))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Health, State};

    fn mount(kind: MountKind, source: &str, destination: &str) -> Mount {
        Mount { kind, source: source.into(), destination: destination.into(), writable: true }
    }

    fn bind(source: &str, destination: &str) -> Mount {
        mount(MountKind::Bind, source, destination)
    }

    fn volume(name: &str, destination: &str) -> Mount {
        let source = format!("/var/lib/docker/volumes/{name}/_data");
        mount(MountKind::Volume { name: name.to_owned(), local: true }, &source, destination)
    }

    fn container(name: &str, mounts: Vec<Mount>) -> Container {
        Container {
            id: format!("{name}-id"),
            name: name.to_owned(),
            image: String::new(),
            labels: [("com.docker.compose.project".to_owned(), "home".to_owned())].into(),
            state: State::Running,
            started: String::new(),
            health: Health::None,
            mounts,
            host_network: false,
            networks: vec!["home_default".to_owned()],
            addresses: Vec::new(),
            joined_network: None,
            stop_timeout: None,
            auto_remove: false,
            reaches_host: false,
            variables: Vec::new(),
            is_silent: false,
        }
    }

    /// A home with a sidecar that has these mounts.
    fn facts(own: Vec<Mount>) -> Facts {
        let mut homeassistant = container(
            "ha",
            vec![bind("/srv/ha", "/config"), bind("/etc/localtime", "/etc/localtime")],
        );
        homeassistant.image = "ghcr.io/home-assistant/home-assistant:2026.2.3".to_owned();
        let broker = container(
            "broker",
            vec![volume("data", "/data"), bind("/srv/mosquitto.conf", "/conf/mosquitto.conf")],
        );
        let editor = container("editor", vec![bind("/srv/ha/www", "/www")]);
        Facts {
            containers: vec![container("us", own), homeassistant, broker, editor],
            own_container: Some("us-id".to_owned()),
            engine_root: "/var/lib/docker".into(),
            ..Facts::default()
        }
    }

    /// Where each mount lies, and `w` where it may be written.
    fn told(mounts: &[Mount]) -> Vec<String> {
        let written = |it: &Mount| if it.writable { " w" } else { "" };
        mounts.iter().map(|it| format!("{}{}", it.destination.display(), written(it))).collect()
    }

    fn beyond_of(facts: &Facts, reaches: &Reaches) -> Vec<String> {
        let own = own(facts).expect("it runs in a container");
        told(&beyond(facts, own, &Pick::default(), reaches).expect("there is one home"))
    }

    const DATA: &str = "/mounts/var/lib/docker/volumes/data/_data";

    #[test]
    fn only_what_is_not_reached_is_mounted_and_only_to_be_read() {
        let backup = |only: &[&str], has_store| {
            let only = only.iter().map(|it| (*it).to_owned()).collect();
            Reaches::Backup { request: BackupRequest { only, ..Default::default() }, has_store }
        };
        let none = facts(vec![bind("/srv/backups", "/backups")]);
        let all = ["/mounts/srv/ha", "/mounts/srv/mosquitto.conf", DATA];
        assert_eq!(beyond_of(&none, &backup(&[], true)), all);
        // Without a store backups go into the configuration.
        let written = ["/mounts/srv/ha w", "/mounts/srv/mosquitto.conf", DATA];
        assert_eq!(beyond_of(&none, &backup(&[], false)), written);
        // The version lies in the configuration.
        let broker = ["/mounts/srv/ha", "/mounts/srv/mosquitto.conf", DATA];
        assert_eq!(beyond_of(&none, &backup(&["broker"], true)), broker);
        assert_eq!(beyond_of(&none, &backup(&["homeassistant"], true)), ["/mounts/srv/ha"]);
        let some = facts(vec![bind("/srv", "/srv")]);
        assert_eq!(beyond_of(&some, &backup(&[], true)), [DATA]);
        let every = facts(vec![bind("/srv", "/srv"), volume("data", "/data")]);
        assert_eq!(beyond_of(&every, &backup(&[], true)), [""; 0]);
    }

    #[test]
    fn a_restore_writes_and_a_file_is_replaced_in_its_folder() {
        let facts = facts(Vec::new());
        let data = format!("{DATA} w");
        assert_eq!(beyond_of(&facts, &Reaches::Restore), ["/mounts/srv w", &data]);
        assert_eq!(
            beyond_of(&facts, &Reaches::Boot),
            ["/mounts/srv/ha", "/mounts/var/lib/docker/volumes w"]
        );
        let meets = |it: &Reaches| meets(&facts, &Pick::default(), it);
        assert_eq!(meets(&Reaches::Restore), Meets::Networks(vec!["home_default".to_owned()]));
        assert_eq!(meets(&Reaches::Boot), Meets::Host);
    }

    #[test]
    fn what_was_left_open_is_reached_again() {
        let facts = facts(vec![bind("/srv/backups", "/backups")]);
        let own = own(&facts).expect("it runs in a container");
        let check = |path: &str, wanted: &[&str]| {
            assert_eq!(told(&for_paths(&facts, own, &[path.into()])), wanted, "{path}");
        };
        check("/mounts/srv/ha/.hearthkeep-restore", &["/mounts/srv/ha w"]);
        check("/mounts/srv/mosquitto.conf", &["/mounts/srv w"]);
        check("/mounts/srv/.hearthkeep-restore", &["/mounts/srv w"]);
        check(&format!("{DATA}/x"), &[&format!("{DATA} w")]);
        check("/backups/x.partial", &[]);
        check("/mounts/gone/x", &[]);
        // That the same is reached at another place does not help whoever reads the journal.
        let elsewhere = self::facts(vec![bind("/srv/ha", "/ha")]);
        let there = self::facts(vec![bind("/srv/ha", "/mounts/srv/ha")]);
        for (facts, wanted) in [(&elsewhere, &["/mounts/srv/ha w"][..]), (&there, &[])] {
            let own = self::own(facts).expect("it runs in a container");
            assert_eq!(told(&for_paths(facts, own, &["/mounts/srv/ha/x".into()])), wanted);
        }
        // The way back leads where the way there came from.
        assert_eq!(at_host(own, "/backups/x.tar".as_ref()), Some("/srv/backups/x.tar".into()));
        assert_eq!(at_host(own, "/backups".as_ref()), Some("/srv/backups".into()));
        assert_eq!(at_host(own, "/var/lib/hearthkeep".as_ref()), None);
    }

    #[test]
    fn a_file_is_told_by_its_name_and_its_place() {
        let mounts = [("/conf", false), ("/conf/passwd", true), ("/opt/app-1.2", false)];
        let more = [("/x/a.yaml", true), ("/confident", false), ("/x/passwd", false)];
        let all = [&mounts[..], &more].concat();
        let binds = all.iter().map(|(it, _)| bind(&format!("/srv{it}"), it)).collect();
        let container = container("app", binds);
        for (mount, (destination, is_file)) in container.mounts.iter().zip(all) {
            assert_eq!(looks_like_a_file(&container, mount), is_file, "{destination}");
        }
        assert!(!looks_like_a_file(&container, &volume("data", "/conf/data.db")));
    }

    #[test]
    fn a_home_that_may_be_one_is_looked_at_and_no_stranger() {
        let mut facts = facts(Vec::new());
        for container in &mut facts.containers {
            container.image = "a/b".to_owned();
        }
        let mut stranger = container("stranger", vec![bind("/srv/other", "/data")]);
        stranger.labels.clear();
        facts.containers.push(stranger);
        let own = own(&facts).expect("it runs in a container");
        let check = |project: Option<&str>, name: Option<&str>, wanted: Option<&[&str]>| {
            let pick =
                Pick { project: project.map(str::to_owned), container: name.map(str::to_owned) };
            let found = beyond(&facts, own, &pick, &Reaches::Restore).ok();
            let wanted = wanted.map(|it| it.iter().map(|it| (*it).to_owned()).collect());
            assert_eq!(found.map(|it| told(&it)), wanted, "{pick:?}");
        };
        let data = format!("{DATA} w");
        let home: Option<&[&str]> = Some(&["/mounts/srv w", &data]);
        check(None, None, home);
        check(Some("home"), None, home);
        check(None, Some("ha"), home);
        check(Some("hmoe"), None, None);
        check(None, Some("haa"), None);
        check(None, Some("stranger"), None);
    }
}
