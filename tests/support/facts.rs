//! Containers as data.

use std::path::PathBuf;

use hearthkeep::model::{Container, Health, Mount, MountKind, State};
use hearthkeep::plan::Facts;

/// A running container with nothing special about it.
pub(crate) fn container(name: &str, image: &str) -> Container {
    Container {
        id: format!("{:0>64}", name.bytes().map(|it| format!("{it:02x}")).collect::<String>()),
        name: name.to_owned(),
        image: image.to_owned(),
        labels: [].into(),
        state: State::Running,
        started: String::new(),
        health: Health::None,
        mounts: Vec::new(),
        host_network: false,
        addresses: Vec::new(),
        joined_network: None,
        stop_timeout: None,
        auto_remove: false,
        reaches_host: false,
        variables: Vec::new(),
        is_silent: false,
    }
}

/// Home Assistant with its configuration in a volume.
pub(crate) fn home_assistant(name: &str) -> Container {
    with_volume(container(name, "ghcr.io/home-assistant/home-assistant:2026.2.3"), "/config")
}

pub(crate) fn in_project(mut container: Container, project: &str, service: &str) -> Container {
    let labels = [("project", project), ("service", service)];
    let labels = labels.map(|(key, value)| (format!("com.docker.compose.{key}"), value.to_owned()));
    container.labels.extend(labels);
    container
}

pub(crate) fn with_label(mut container: Container, key: &str, value: &str) -> Container {
    container.labels.insert(key.to_owned(), value.to_owned());
    container
}

/// Adds a volume that is named after the container and the path.
pub(crate) fn with_volume(mut container: Container, destination: &str) -> Container {
    let name = format!("{}{}", container.name, destination.replace('/', "_"));
    let source = format!("/var/lib/docker/volumes/{name}/_data");
    container.mounts.push(Mount {
        kind: MountKind::Volume { name, local: true },
        source: source.into(),
        destination: destination.into(),
        writable: true,
    });
    container
}

pub(crate) fn with_bind(mut container: Container, source: &str, destination: &str) -> Container {
    container.mounts.push(Mount {
        kind: MountKind::Bind,
        source: source.into(),
        destination: destination.into(),
        writable: true,
    });
    container
}

pub(crate) fn facts(containers: Vec<Container>) -> Facts {
    Facts {
        containers,
        versions: [].into(),
        own_container: None,
        engine_root: PathBuf::from("/var/lib/docker"),
        is_podman: false,
    }
}
