//! By which name one container reaches another.

use crate::model::Container;

/// The network of the engine on which names mean nothing.
const NAMELESS: &str = "bridge";

/// The host name by which `other` is reached from inside `from`, where that is without doubt.
pub(super) fn host<'a>(from: &Container, other: &'a Container) -> Option<&'a str> {
    let shares_all = (from.host_network && other.host_network)
        || from.has_joined(other)
        || other.has_joined(from);
    if shares_all {
        return Some("localhost");
    }
    let is_named = |it: &&String| *it != NAMELESS && from.networks.contains(it);
    other.networks.iter().find(is_named)?;
    // Compose gives a container its service's name on its networks.
    Some(other.compose().and(other.service()).unwrap_or(&other.name))
}
