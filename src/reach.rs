//! From a mount's source on the engine's host to a folder that this process can read and write.
//!
//! On the host they are the same. In a container only what is mounted into it can be reached, and
//! the engine tells where.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::model::Mount;

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

/// The identifier of the container in which this process runs, where it runs in one.
pub fn own_container() -> anyhow::Result<Option<String>> {
    let path = "/proc/self/mountinfo";
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(container_in(&text))
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
    let text = fs::read_to_string(folder.join(".HA_VERSION")).ok()?;
    let version = text.trim();
    (!version.is_empty() && version.len() < 64).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MountKind;

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
    fn reaches_through_the_innermost_mount() {
        let mount = |source: &str, destination: &str| Mount {
            kind: MountKind::Bind,
            source: source.into(),
            destination: destination.into(),
            writable: true,
        };
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
