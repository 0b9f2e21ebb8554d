//! A container that is made like another one, but has nothing of the host and nothing of its files.

use std::path::PathBuf;

/// A container to be made. Whatever stands not here it has from the one that it is like (image,
/// command, environment, user, limits), or not at all (ports, devices, rights, restarts, labels).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The identifier of the container that it is like.
    pub of: String,
    /// Its own name.
    pub name: String,
    /// Whom it can talk to.
    pub join: Join,
    /// All that is mounted into it. What the other one has in memory (tmpfs) it has besides.
    pub mounts: Vec<ReplicaMount>,
}

/// Whom a replica can talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    /// Those on a network, where it goes by these names and by those of the one that it is like.
    Network {
        /// The network's name.
        name: String,
        /// What the others there may call it.
        aliases: Vec<String>,
    },
    /// Those that a container can talk to, whose network it shares; by its name.
    Container(String),
}

/// Something mounted into a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaMount {
    /// Where it comes from.
    pub source: Source,
    /// Where it appears.
    pub destination: PathBuf,
    /// Whether the replica may write it.
    pub writable: bool,
}

/// Where a mount of a replica comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder or file on the engine's host.
    Path(PathBuf),
    /// A volume of its own, which goes with it.
    Empty,
}
