//! A container as the engine shows it: the facts that plans are made of.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Compose, Who};

/// One container on the engine, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's identifier, 64 hexadecimal digits; it changes when the container is recreated.
    pub id: String,
    /// The name without the leading slash; unique on an engine and kept by Compose on recreation.
    pub name: String,
    /// The image as the container was created with, tag included.
    pub image: String,
    /// All labels, those of the image included.
    pub labels: BTreeMap<String, String>,
    /// What it is doing now.
    pub state: State,
    /// When it last started, in the engine's own words; empty where it never did, or where the engine
    /// does not say. It changes with every start.
    pub started: String,
    /// What its own health check says.
    pub health: Health,
    /// Everything mounted into it, sorted by destination.
    pub mounts: Vec<Mount>,
    /// Whether it shares the host's network, and so answers on the loopback of the host.
    pub host_network: bool,
    /// Its addresses on its networks; empty while it does not run.
    pub addresses: Vec<IpAddr>,
    /// The container whose network it joined (`network_mode: container:…`), name or identifier.
    pub joined_network: Option<String>,
    /// How long the engine waits for it after the stop signal, where the container says so.
    pub stop_timeout: Option<Duration>,
    /// Whether the engine removes it as soon as it stops (`--rm`).
    pub auto_remove: bool,
    /// Whether it has devices of the host, rights that containers usually lack, or shares more of
    /// the host than its network.
    pub reaches_host: bool,
    /// The names of its environment variables, sorted. Their values may be secret.
    pub variables: Vec<String>,
    /// Whether the engine did not answer about it, so that all this is only what its list tells.
    pub is_silent: bool,
}

impl Container {
    /// The value of a label, where it is set.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// The Compose project that it belongs to.
    pub fn project(&self) -> Option<&str> {
        self.label("com.docker.compose.project")
    }

    /// Its service in that project.
    pub fn service(&self) -> Option<&str> {
        self.label("com.docker.compose.service")
    }

    /// Its place in its Compose project. A container for one command (`compose run`) has none.
    pub fn compose(&self) -> Option<Compose> {
        if self.label("com.docker.compose.oneoff") == Some("True") {
            return None;
        }
        let number = self.label("com.docker.compose.container-number");
        Some(Compose {
            project: self.project()?.to_owned(),
            service: self.service()?.to_owned(),
            number: number.and_then(|it| it.parse().ok()).unwrap_or(1),
        })
    }

    /// All that it can be found again by.
    pub fn who(&self) -> Who {
        Who { id: self.id.clone(), name: self.name.clone(), compose: self.compose() }
    }

    /// What is mounted exactly there.
    pub fn mounted_at(&self, destination: &str) -> Option<&Mount> {
        self.mounts.iter().find(|it| it.destination == Path::new(destination))
    }

    /// Whether it has joined the network of another one.
    pub fn has_joined(&self, other: &Container) -> bool {
        self.joined_network.as_deref().is_some_and(|it| it == other.id || it == other.name)
    }
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its processes run.
    Running,
    /// Its processes are frozen.
    Paused,
    /// The engine is between two starts of it.
    Restarting,
    /// Created, exited or dead: no process.
    Stopped,
}

/// What the health check of a container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// The container has no health check.
    None,
    /// Not known yet.
    Starting,
    /// The last checks passed.
    Healthy,
    /// The last checks failed.
    Unhealthy,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it comes from.
    pub kind: MountKind,
    /// The folder or file on the engine's host; empty for a tmpfs.
    pub source: PathBuf,
    /// Where it appears in the container.
    pub destination: PathBuf,
    /// Whether the container may write it.
    pub writable: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A volume of the engine, by name; `local` says whether its files lie on this host.
    Volume {
        /// The volume's name; anonymous volumes have 64 hexadecimal digits.
        name: String,
        /// Whether the engine's own `local` driver keeps it.
        local: bool,
    },
    /// A folder or file of the host.
    Bind,
    /// Memory.
    Tmpfs,
    /// Anything newer than this program.
    Other,
}
