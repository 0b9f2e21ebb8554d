//! What runs inside containers before they are held and after they go on, by their labels.

use std::time::Duration;

use super::labels::{self, Labels};
use super::{Hold, Home, Refused, hold};
use crate::model::{Item, Part, State};

/// A command inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// A script for the container's own `/bin/sh`.
    pub command: String,
    /// As whom, where not as the container's own user.
    pub user: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What its failure means.
    pub on_error: OnError,
}

/// What a failure of a hook means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Before the hold an end of the run; after it a warning, since the backup is made.
    #[default]
    Fail,
    /// Before the hold a warning; after it no more than a line in the report.
    Continue,
}

/// The hooks of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// The container's identifier at planning.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What of the backup is its own.
    pub items: Vec<Item>,
    /// What runs before any container is held.
    pub before: Option<Hook>,
    /// What runs once all of them go on.
    pub after: Option<Hook>,
}

/// The hooks of all containers that are held or have a part, in the order in which containers are
/// held, and a warning on each that cannot run.
pub(super) fn for_backup(
    home: &Home,
    parts: &[Part],
    holds: &[Hold],
) -> Result<(Vec<Hooks>, Vec<String>), Refused> {
    let (mut hooks, mut warnings) = (Vec::new(), Vec::new());
    for container in hold::containers_that(home, |_| true) {
        let Labels { before, after, .. } = labels::read(container)?;
        let own =
            parts.iter().filter(|it| it.trees.iter().any(|it| it.container == container.name));
        let items: Vec<Item> = own.map(|it| it.item.clone()).collect();
        let is_held = holds.iter().any(|it| it.id == container.id);
        if (before.is_none() && after.is_none()) || (items.is_empty() && !is_held) {
            continue;
        }
        let name = container.name.clone();
        let state = match container.state {
            State::Running => {
                hooks.push(Hooks { id: container.id.clone(), name, items, before, after });
                continue;
            }
            State::Paused => "paused",
            State::Restarting => "restarted over and over",
            State::Stopped => "stopped",
        };
        warnings.push(format!("{name} is {state}: its hooks cannot run"));
    }
    Ok((hooks, warnings))
}
