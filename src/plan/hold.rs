//! How each container is made still.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::order::{self, start_order};
use super::{Home, Refused, labels};
use crate::model::{Compose, Container, Health, Mount, Part, State, Who};

/// Home Assistant writes its state and closes its database when it is stopped; its own service
/// file allows that much.
const HOME_ASSISTANT_STOP_TIMEOUT: Duration = Duration::from_secs(260);

/// How a container is made still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Its processes are frozen.
    Pause,
    /// It is stopped and started again.
    Stop,
    /// It goes on.
    None,
}

impl How {
    /// The word that the label and reports use.
    pub fn word(self) -> &'static str {
        match self {
            How::Pause => "pause",
            How::Stop => "stop",
            How::None => "none",
        }
    }
}

/// One container that has to be still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The container's identifier at planning.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its place in its Compose project, where it has one.
    pub compose: Option<Compose>,
    /// How it is held.
    pub how: How,
    /// What it was doing before, and does again after.
    pub was: State,
    /// Whether nothing spoke against its health then: no health check, or one that passed.
    pub healthy: bool,
    /// How long it may take to stop; `None` leaves it to the engine.
    pub stop_timeout: Option<Duration>,
    /// Who of those that are held with it has to go on before it.
    pub needs: Vec<Need>,
}

/// Somebody who has to go on before a container is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The other container's name.
    pub name: String,
    /// Whether it also has to be healthy again, as Compose's `service_healthy` asks for.
    pub healthy: bool,
}

impl Hold {
    /// All that the container can be found again by.
    pub fn who(&self) -> Who {
        Who { id: self.id.clone(), name: self.name.clone(), compose: self.compose.clone() }
    }
}

/// The holds of a backup: every running container of the home that can write what is backed up.
pub(super) fn for_backup(home: &Home, parts: &[Part]) -> Result<Vec<Hold>, Refused> {
    let runs = |it: &Container| it.state != State::Stopped;
    let holds = containers_that(home, |container| runs(container) && can_write(container, parts))
        .map(|container| {
            let labels = labels::read(container)?;
            hold(home, container, labels.hold.unwrap_or(How::Pause), labels.stop_timeout)
        })
        .collect::<Result<Vec<_>, _>>()?;
    with_joined(home, &holds)
}

/// The same holds, and a stop for every container of the home that has joined the network of one
/// that is stopped: that network ends with its owner, and only a start leads into the new one.
pub(super) fn with_joined(home: &Home, holds: &[Hold]) -> Result<Vec<Hold>, Refused> {
    let all: Vec<&Container> = home.containers().collect();
    let is_stop = |it: &&Hold| it.how == How::Stop;
    let mut stopped: BTreeSet<String> =
        holds.iter().filter(is_stop).map(|it| it.id.clone()).collect();
    // The owner of a network comes before those that have joined it.
    for container in start_order(&all) {
        let is_owner = |it: &&Container| stopped.contains(&it.id) && container.has_joined(it);
        if container.state != State::Stopped && all.iter().any(is_owner) {
            stopped.insert(container.id.clone());
        }
    }
    let mut with_joined = Vec::new();
    for container in containers_that(home, |_| true) {
        let planned = holds.iter().find(|it| it.id == container.id);
        if stopped.contains(&container.id) && !planned.as_ref().is_some_and(is_stop) {
            let timeout = labels::read(container)?.stop_timeout;
            with_joined.push(hold(home, container, How::Stop, timeout)?);
        } else {
            with_joined.extend(planned.cloned());
        }
    }
    Ok(with_needs(&all, with_joined))
}

/// The same holds, each with those of the others that have to go on before it. Only those that
/// stand behind it can be meant: a circle of dependence was broken by the order.
pub(super) fn with_needs(all: &[&Container], mut holds: Vec<Hold>) -> Vec<Hold> {
    let find = |hold: &Hold| all.iter().find(|it| it.id == hold.id).copied();
    for n in 0..holds.len() {
        let Some(one) = find(&holds[n]) else { continue };
        let behind = holds[n + 1..].iter().filter_map(find);
        holds[n].needs = behind
            .filter(|other| order::waits_for(one, other, all))
            .map(|other| Need {
                name: other.name.clone(),
                healthy: order::wants_healthy(one, other),
            })
            .collect();
    }
    holds
}

/// Every container of the home that satisfies `wanted`, those first that depend on others.
pub(super) fn containers_that(
    home: &Home,
    wanted: impl Fn(&Container) -> bool,
) -> impl Iterator<Item = &Container> {
    let all: Vec<&Container> = home.containers().collect();
    let mut order = start_order(&all);
    order.reverse();
    order.into_iter().filter(move |it| wanted(it))
}

/// One hold; refused where a stop would be the end of the container.
pub(super) fn hold(
    home: &Home,
    container: &Container,
    how: How,
    stop_timeout: Option<Duration>,
) -> Result<Hold, Refused> {
    if how == How::Stop && container.auto_remove {
        return Err(Refused::Nothing(format!(
            "{} was started with --rm: stopping it would remove it; start it without --rm, or stop it yourself before",
            container.name
        )));
    }
    let is_home = container.id == home.homeassistant.id;
    Ok(Hold {
        id: container.id.clone(),
        name: container.name.clone(),
        compose: container.compose(),
        how,
        was: container.state,
        healthy: matches!(container.health, Health::None | Health::Healthy),
        stop_timeout: stop_timeout
            .or(container.stop_timeout)
            .or(is_home.then_some(HOME_ASSISTANT_STOP_TIMEOUT)),
        needs: Vec::new(),
    })
}

/// Whether a container has a mount that it may write and that overlaps one of the parts' sources.
pub(super) fn can_write(container: &Container, parts: &[Part]) -> bool {
    container.mounts.iter().any(|it| writes_into(it, parts))
}

/// Whether a mount is writable and overlaps one of the parts' sources.
pub(super) fn writes_into(mount: &Mount, parts: &[Part]) -> bool {
    let mut trees = parts.iter().flat_map(|it| &it.trees);
    mount.writable
        && !mount.source.as_os_str().is_empty()
        && trees.any(|tree| order::overlaps(&mount.source, &tree.source))
}
