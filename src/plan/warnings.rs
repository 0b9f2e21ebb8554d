//! What a person should know of a backup although it is made.

use super::{Facts, Hold, Home, How, hold, home, labels, mounts};
use crate::model::{Container, Mount, Part, State};

/// That a container of the home is left out.
pub(super) fn of_swarm(container: &Container) -> String {
    format!(
        "{} belongs to a Swarm service, which is not supported: it is neither held nor backed up",
        container.name
    )
}

/// That the engine only speaks like Docker.
pub(super) fn podman(facts: &Facts) -> Option<String> {
    facts.is_podman.then(|| {
        "the engine is Podman, which is not supported: what is held or restored may not go as with Docker".to_owned()
    })
}

/// A sentence on each container about which the engine did not answer.
pub(super) fn silent(facts: &Facts, home: &Home) -> impl Iterator<Item = String> {
    let is_ours = |it: &Container| home.containers().any(|ours| ours.id == it.id);
    let silent = facts.containers.iter().filter(move |it| it.is_silent && !is_ours(it));
    silent.map(|it| {
        format!(
            "{} was passed over: the engine does not answer about it (`docker inspect`)",
            it.name
        )
    })
}

/// The containers outside the home that have data of their own, and of which nobody has said that
/// they stay outside. Those of other homes and of Swarm are somebody else's.
pub fn strangers_with_data<'a>(facts: &'a Facts, home: &Home) -> Vec<&'a Container> {
    let has_data = |it: &Container| {
        it.mounts.iter().any(|it| it.writable && mounts::unwanted(it, facts).is_none())
    };
    let is_unsaid = |it: &Container| it.label("hearthkeep.enable").is_none();
    let all = facts.containers.iter();
    all.filter(|it| is_stranger(it, facts, home) && is_unsaid(it) && has_data(it)).collect()
}

/// Whether a container belongs neither to the home nor to another one, and is not this program.
fn is_stranger(container: &Container, facts: &Facts, home: &Home) -> bool {
    !home::is_us(container, facts)
        && !home.containers().chain(&home.of_swarm).any(|ours| ours.id == container.id)
        && !home::is_of_another(container, home, facts)
}

/// A sentence on each container outside the home whose labels mean nothing: it may be outside for
/// that reason alone. Those of another home are that home's business.
pub(super) fn labels(facts: &Facts, home: &Home) -> impl Iterator<Item = String> {
    let strangers = facts.containers.iter().filter(|it| is_stranger(it, facts, home));
    strangers.filter_map(|it| {
        Some(format!("{}; it does not belong to the home", labels::check(it).err()?))
    })
}

/// A sentence on each container that runs, may write what is backed up, and is not held although
/// nobody asked for that.
pub(super) fn writers(facts: &Facts, home: &Home, parts: &[Part], holds: &[Hold]) -> Vec<String> {
    let is_restarting = |it: &&Hold| it.was == State::Restarting && it.how == How::Pause;
    let restarting = holds.iter().filter(is_restarting).map(|it| {
        format!(
            "{} is restarted by the engine over and over and cannot be held: it may write while it is backed up",
            it.name
        )
    });
    let is_stranger = |it: &&Container| {
        matches!(it.state, State::Running | State::Restarting)
            && !home::is_us(it, facts)
            && !home.containers().chain(&home.of_swarm).any(|ours| ours.id == it.id)
    };
    // A monitor of the whole host or a manager of all volumes says nothing about this home.
    let writes =
        |it: &&Mount| mounts::unwanted(it, facts).is_none() && hold::writes_into(it, parts);
    let strangers = facts.containers.iter().filter(is_stranger).filter_map(|it| {
        let mount = it.mounts.iter().find(writes)?;
        Some(format!(
            "{} does not belong to the home and is not held: it may write {} while that is backed up",
            it.name,
            mount.source.display()
        ))
    });
    restarting.chain(strangers).collect()
}
