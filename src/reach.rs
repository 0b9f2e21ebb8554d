//! From a mount's source on the engine's host to a folder that this process can read and write.
//!
//! On the host they are the same. In a container only what is mounted into it can be reached, and
//! the engine tells where.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::libc;

use crate::model::{Container, Mount, MountKind, State};

/// No version of Home Assistant has as many bytes.
const TOO_LONG: usize = 64;

/// What this process can reach.
#[derive(Debug, Clone)]
pub enum Reach {
    /// It runs on the engine's host: everything.
    Host,
    /// It runs in a container with these mounts.
    Container(Vec<Mount>),
}

impl Reach {
    /// Where a path of the engine's host lies for this process; nothing where it is out of reach.
    pub fn local(&self, source: &Path) -> Option<PathBuf> {
        match self {
            Reach::Host => Some(source.to_owned()),
            Reach::Container(mounts) => mounts
                .iter()
                .filter(|it| !it.source.as_os_str().is_empty())
                .filter_map(|it| Some((it, source.strip_prefix(&it.source).ok()?)))
                .max_by_key(|(it, _)| it.source.as_os_str().len())
                // Joining an empty rest would turn the path of a file into that of a folder.
                .map(|(it, rest)| match rest.as_os_str().is_empty() {
                    true => it.destination.clone(),
                    false => it.destination.join(rest),
                }),
        }
    }
}

impl Reach {
    /// All ways on which this process reaches what it has at a path. In a container there may be
    /// several: a folder that is mounted on its own, and the one around it.
    pub fn everywhere(&self, path: &Path) -> Vec<PathBuf> {
        let Reach::Container(mounts) = self else { return vec![path.to_owned()] };
        let inner = mounts.iter().filter(|it| path.starts_with(&it.destination));
        let inner = inner.max_by_key(|it| it.destination.as_os_str().len());
        let source =
            inner.and_then(|it| Some(it.source.join(path.strip_prefix(&it.destination).ok()?)));
        let Some(source) = source else { return vec![path.to_owned()] };
        let ways = mounts
            .iter()
            .filter(|it| !it.source.as_os_str().is_empty())
            .filter_map(|it| Some(it.destination.join(source.strip_prefix(&it.source).ok()?)));
        ways.collect()
    }

    /// User and group of a path of the engine's host; nothing where it is out of reach.
    pub fn owner(&self, source: &Path) -> Option<(u32, u32)> {
        let status = fs::metadata(self.local(source)?).ok()?;
        Some((status.uid(), status.gid()))
    }
}

/// Whether this process runs in a container, of whichever engine.
pub fn in_container() -> anyhow::Result<bool> {
    Ok(container_in(&mountinfo()?).is_some())
}

/// The container in which this process runs, where it runs in one of these.
///
/// # Errors
/// Where it runs in one, but which cannot be told.
pub fn own_container(containers: &[Container]) -> anyhow::Result<Option<&Container>> {
    let text = mountinfo()?;
    let points = mount_points(&text);
    // The kernel tells where a mount really lies, such as `/run/docker.sock` for one below
    // `/var/run`.
    let is_mounted = |it: &Path| points.contains(&fs::canonicalize(it).unwrap_or(it.to_owned()));
    match container_in(&text) {
        Some(id) => own_among(containers, &id, is_mounted),
        None => Ok(None),
    }
}

/// The container of this identifier, or one that has joined its network: Docker gives those the
/// files of the network's owner. What is mounted here tells them from each other.
fn own_among<'a>(
    containers: &'a [Container],
    id: &str,
    is_mounted: impl Fn(&Path) -> bool,
) -> anyhow::Result<Option<&'a Container>> {
    let Some(owner) = containers.iter().find(|it| it.id == id) else {
        // A container of another engine, such as one around this engine.
        return Ok(None);
    };
    let joined = containers.iter().filter(|it| it.has_joined(owner) && it.state != State::Stopped);
    let fits = |it: &&Container| it.mounts.iter().all(|mount| is_mounted(&mount.destination));
    let fitting: Vec<&Container> = std::iter::once(owner).chain(joined).filter(fits).collect();
    // Another one without mounts of its own fits everywhere.
    let most = fitting.iter().map(|it| it.mounts.len()).max();
    let best: Vec<&Container> =
        fitting.into_iter().filter(|it| Some(it.mounts.len()) == most).collect();
    match best.as_slice() {
        [one] => Ok(Some(one)),
        _ => anyhow::bail!(
            "this program runs in a container with the network of {}, and cannot tell in which one: give its container a network of its own",
            owner.name
        ),
    }
}

fn mountinfo() -> anyhow::Result<String> {
    let path = "/proc/self/mountinfo";
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// Where something is mounted below a folder, or at a file, for this process, relative to it. The
/// mount of a folder itself is not among them.
pub fn mounted_below(target: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let points = mount_points(&mountinfo()?);
    let below = points.iter().filter_map(|it| it.strip_prefix(target).ok());
    let is_file = target.is_file();
    Ok(below.filter(|it| is_file || !it.as_os_str().is_empty()).map(Path::to_owned).collect())
}

/// Where something is mounted for this process.
fn mount_points(mountinfo: &str) -> BTreeSet<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(|it| PathBuf::from(unescaped(it))).collect()
}

/// The kernel writes four characters of a path in octal.
fn unescaped(path: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(path.to_owned(), |path, (code, it)| path.replace(code, it))
}

/// The same containers, with folders of the host by their real paths, so that two ways to one
/// folder look the same. A folder that is missing keeps its path.
pub fn with_real_sources(mut containers: Vec<Container>) -> Vec<Container> {
    let mounts = containers.iter_mut().flat_map(|it| &mut it.mounts);
    for mount in mounts.filter(|it| it.kind == MountKind::Bind) {
        if let Ok(real) = fs::canonicalize(&mount.source) {
            mount.source = real;
        }
    }
    containers
}

/// Docker mounts a few files of its own into every container, such as
/// `/var/lib/docker/containers/<identifier>/hostname` at `/etc/hostname`.
fn container_in(mountinfo: &str) -> Option<String> {
    let roots = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        matches!(point, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf").then_some(root)
    });
    let ids = roots.flat_map(|root| root.split('/'));
    ids.into_iter().find(|it| is_identifier(it)).map(str::to_owned)
}

fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// Home Assistant's version in the root of a mount, where it has written it there.
pub fn home_assistant_version(folder: &Path) -> Option<String> {
    // Whoever can write the folder may have put a link there, or a pipe that never ends.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(folder.join(".HA_VERSION"));
    let mut text = String::new();
    file.ok()?.take(TOO_LONG as u64).read_to_string(&mut text).ok()?;
    let version = text.trim();
    let is_whole = text.len() < TOO_LONG;
    (is_whole && !version.is_empty()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Health;

    fn mount(source: &str, destination: &str) -> Mount {
        Mount {
            kind: MountKind::Bind,
            source: source.into(),
            destination: destination.into(),
            writable: true,
        }
    }

    fn container(name: &str, joined: Option<&str>, destinations: &[&str]) -> Container {
        Container {
            id: name.to_owned(),
            name: name.to_owned(),
            image: String::new(),
            labels: [].into(),
            state: State::Running,
            started: String::new(),
            health: Health::None,
            mounts: destinations.iter().map(|it| mount("/x", it)).collect(),
            host_network: false,
            networks: Vec::new(),
            addresses: Vec::new(),
            joined_network: joined.map(str::to_owned),
            stop_timeout: None,
            auto_remove: false,
            reaches_host: false,
            variables: Vec::new(),
            is_silent: false,
        }
    }

    #[test]
    fn tells_itself_from_those_with_whom_it_shares_a_network() {
        let points = ["/backups", "/run/docker.sock"];
        let ours: &[&str] = &["/backups", "/run/docker.sock"];
        let check = |containers: &[(&str, Option<&str>, &[&str])], wanted: Option<Option<&str>>| {
            let containers: Vec<Container> =
                containers.iter().map(|(name, joined, it)| container(name, *joined, it)).collect();
            let is_mounted = |it: &Path| points.iter().any(|point| Path::new(point) == it);
            let found = own_among(&containers, "owner", is_mounted).ok();
            assert_eq!(found.map(|it| it.map(|it| it.name.as_str())), wanted, "{containers:?}");
        };
        check(&[("owner", None, ours)], Some(Some("owner")));
        check(&[("owner", None, &[])], Some(Some("owner")));
        check(&[("other", None, ours)], Some(None));
        // Without the network of its own.
        check(&[("owner", None, &["/config"]), ("us", Some("owner"), ours)], Some(Some("us")));
        check(&[("owner", None, &[]), ("us", Some("owner"), ours)], Some(Some("us")));
        check(&[("owner", None, ours), ("other", Some("owner"), &["/data"])], Some(Some("owner")));
        let twin: (&str, Option<&str>, &[&str]) = ("twin", Some("owner"), ours);
        check(&[("owner", None, &["/config"]), ("us", Some("owner"), ours), twin], None);
        check(&[("owner", None, &["/config"]), ("us", None, ours)], None);
    }

    #[test]
    fn reads_mount_points_as_the_kernel_writes_them() {
        let points = mount_points(
            "1 2 0:1 / / rw - overlay overlay rw\n3 2 254:0 /a /my\\040home\\134x rw - ext4 /dev/vda rw\n",
        );
        assert_eq!(points, ["/", "/my home\\x"].map(PathBuf::from).into());
    }

    #[test]
    fn reads_a_version_from_a_plain_file_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(".HA_VERSION");
        let version = || home_assistant_version(folder.path());
        assert_eq!(version(), None);
        for (text, wanted) in [("2026.2.3\n", Some("2026.2.3")), ("", None)] {
            write(&file, text.as_bytes());
            assert_eq!(version().as_deref(), wanted, "{text}");
        }
        write(&file, &[b'1'; 1000]);
        assert_eq!(version(), None);
        fs::rename(&file, folder.path().join("secret")).expect("it is there");
        std::os::unix::fs::symlink("secret", &file).expect("a link");
        assert_eq!(version(), None);
        fs::remove_file(&file).expect("it is there");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert_eq!(version(), None);
    }

    fn write(path: &Path, content: &[u8]) {
        let mut file = File::create(path).expect("a file");
        std::io::Write::write_all(&mut file, content).expect("it can be written");
    }

    #[test]
    fn takes_two_ways_to_one_folder_for_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let real = folder.path().canonicalize().expect("it is there").join("real");
        let link = folder.path().join("link");
        fs::create_dir(&real).expect("a folder");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let missing = folder.path().join("missing");
        let mut seen = container("a", None, &["/a", "/b", "/c"]);
        for (mount, source) in seen.mounts.iter_mut().zip([&real, &link, &missing]) {
            mount.source.clone_from(source);
        }
        let seen = with_real_sources(vec![seen]);
        let sources: Vec<&PathBuf> = seen[0].mounts.iter().map(|it| &it.source).collect();
        assert_eq!(sources, [&real, &real, &missing]);
    }

    #[test]
    fn finds_its_own_container_by_what_docker_mounts() {
        let id = "0f".repeat(32);
        let inside = format!(
            "1 2 0:1 / / rw - overlay overlay rw\n\
             3 2 254:0 /docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(container_in(&inside), Some(id));
        assert_eq!(container_in("1 2 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }

    #[test]
    fn knows_every_way_to_a_folder() {
        let mut memory = mount("", "/run");
        memory.kind = MountKind::Tmpfs;
        let mounts =
            vec![mount("/srv/ha/backups", "/backups"), mount("/srv/ha", "/mounts/ha"), memory];
        let check = |reach: &Reach, path: &str, wanted: &[&str]| {
            let wanted: Vec<PathBuf> = wanted.iter().map(PathBuf::from).collect();
            assert_eq!(reach.everywhere(Path::new(path)), wanted, "{path}");
        };
        check(&Reach::Host, "/backups", &["/backups"]);
        let reach = Reach::Container(mounts);
        check(&reach, "/backups/a.tar", &["/backups/a.tar", "/mounts/ha/backups/a.tar"]);
        check(&reach, "/mounts/ha/x", &["/mounts/ha/x"]);
        check(&reach, "/etc/x", &["/etc/x"]);
    }

    #[test]
    fn reaches_through_the_innermost_mount() {
        let reach = Reach::Container(vec![mount("/srv", "/a"), mount("/srv/ha", "/b")]);
        let check = |source: &str, wanted: Option<&str>| {
            assert_eq!(reach.local(Path::new(source)), wanted.map(PathBuf::from), "{source}");
        };
        check("/srv/ha/config", Some("/b/config"));
        check("/srv/ha", Some("/b"));
        check("/srv/x", Some("/a/x"));
        check("/home", None);
    }
}
