//! Making things on the simulated engine.

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;

use super::make::{Make, Marked};
use super::simulator::{Simulated, Simulator, World, refused};
use super::{Error, MARK};
use crate::model::{
    Container, Health, Join, Mount, MountKind, Replica, ReplicaMount, Source, State,
};

#[async_trait]
impl Make for Simulator {
    async fn create_volume(&self, name: &str, mark: &str) -> Result<PathBuf, Error> {
        let mut world = self.world();
        world.note(format!("create_volume {name}"))?;
        world.volumes.push((name.to_owned(), mark.to_owned()));
        Ok(mountpoint(name))
    }

    async fn create_network(&self, name: &str, mark: &str) -> Result<(), Error> {
        let mut world = self.world();
        world.note(format!("create_network {name}"))?;
        world.networks.push((name.to_owned(), mark.to_owned()));
        Ok(())
    }

    async fn create_replica(&self, replica: &Replica, mark: &str) -> Result<String, Error> {
        let mut world = self.world();
        let of = world.call("create_replica", &replica.of)?.container.clone();
        let (name, is_there) = (&replica.name, |it: &str| world.find(it).is_some());
        let problem = match &replica.join {
            _ if is_there(name) => Some("the name is in use"),
            Join::Container(other) if !is_there(other) => Some("no such container to join"),
            Join::Network { name, .. } if !world.networks.iter().any(|(it, _)| it == name) => {
                Some("no such network")
            }
            Join::Container(_) | Join::Network { .. } => None,
        };
        if let Some(problem) = problem {
            return Err(refused("create_replica", name, problem));
        }
        let container = like(of, replica, mark, world.containers.len());
        let id = container.id.clone();
        world.containers.push(Simulated::new(container));
        let volumes =
            replica.mounts.iter().enumerate().filter(|(_, it)| it.source == Source::Empty);
        world.volumes.extend(volumes.map(|(n, _)| (volume(name, n), mark.to_owned())));
        Ok(id)
    }

    async fn remove_container(&self, container: &str) -> Result<(), Error> {
        let mut world = self.world();
        match world.call("remove_container", container) {
            Err(Error::NotFound { .. }) => return Ok(()),
            answer => answer.map(drop)?,
        }
        let Some(at) = world.find(container) else { return Ok(()) };
        let removed = world.containers.remove(at).container;
        let is_its = |(name, _): &(String, String)| {
            (0..removed.mounts.len()).any(|n| *name == volume(&removed.name, n))
        };
        world.volumes.retain(|it| !is_its(it));
        Ok(())
    }

    async fn remove_idle_container(&self, container: &str) -> Result<(), Error> {
        let runs = |it: &Container| it.state != State::Stopped;
        if self.world().call("remove_container", container).is_ok_and(|it| runs(&it.container)) {
            return Err(refused("remove_container", container, "it runs"));
        }
        self.remove_container(container).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), Error> {
        let mut world = self.world();
        world.note(format!("remove_network {name}"))?;
        world.networks.retain(|(it, _)| it != name);
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let mut world = self.world();
        world.note(format!("remove_volume {name}"))?;
        world.volumes.retain(|(it, _)| it != name);
        Ok(())
    }

    async fn marked(&self, mark: &str) -> Result<Marked, Error> {
        let mut world = self.world();
        world.note("marked".to_owned())?;
        let names = |all: &[(String, String)]| {
            all.iter().filter(|(_, it)| it == mark).map(|(name, _)| name.clone()).collect()
        };
        let is_marked = |it: &&Simulated| it.container.label(MARK) == Some(mark);
        let World { containers, networks, volumes, .. } = &*world;
        Ok(Marked {
            containers: containers
                .iter()
                .filter(is_marked)
                .map(|it| it.container.id.clone())
                .collect(),
            networks: names(networks),
            volumes: names(volumes),
        })
    }
}

fn mountpoint(volume: &str) -> PathBuf {
    format!("/var/lib/docker/volumes/{volume}/_data").into()
}

/// The volume of a replica's own mount.
fn volume(replica: &str, n: usize) -> String {
    format!("{replica}-{n}")
}

fn like(of: Container, replica: &Replica, mark: &str, n: usize) -> Container {
    let mount = |(n, it): (usize, &ReplicaMount)| {
        let (kind, source) = match &it.source {
            Source::Path(path) => (MountKind::Bind, path.clone()),
            Source::Empty => {
                let name = volume(&replica.name, n);
                let source = mountpoint(&name);
                (MountKind::Volume { name, local: true }, source)
            }
        };
        Mount { kind, source, destination: it.destination.clone(), writable: it.writable }
    };
    let in_memory = of.mounts.iter().filter(|it| it.kind == MountKind::Tmpfs).cloned();
    let mut mounts: Vec<Mount> =
        replica.mounts.iter().enumerate().map(mount).chain(in_memory).collect();
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    let (addresses, joined_network) = match &replica.join {
        Join::Network { .. } => (vec![IpAddr::from([172, 30, 0, 2])], None),
        Join::Container(other) => (Vec::new(), Some(other.clone())),
    };
    Container {
        id: format!("{n:0>64x}"),
        name: replica.name.clone(),
        labels: [(MARK, mark), ("hearthkeep.enable", "false")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        state: State::Stopped,
        health: Health::None,
        mounts,
        host_network: false,
        addresses,
        joined_network,
        auto_remove: false,
        reaches_host: false,
        ..of
    }
}
