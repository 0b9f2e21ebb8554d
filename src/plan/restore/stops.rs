//! Who is stopped for a restore, and what a person should know of who is not.

use super::Route;
use crate::model::{Container, Part, State};
use crate::plan::hold::{self, containers_that};
use crate::plan::{Hold, Home, How, Refused, labels};

/// Every running container of the home that sees a place of the restore, even if it may only read
/// it.
pub(super) fn stops(home: &Home, routes: &[Route]) -> Result<Vec<Hold>, Refused> {
    let holds = containers_that(home, |it| it.state != State::Stopped && sees(it, routes))
        .map(|it| hold::hold(home, it, How::Stop, labels::read(it)?.stop_timeout))
        .collect::<Result<Vec<_>, _>>()?;
    hold::with_joined(home, &holds)
}

/// The others that see one: nobody starts them, but somebody may, and then a way back stops them.
pub(super) fn rests(home: &Home, routes: &[Route]) -> Result<Vec<Hold>, Refused> {
    let rests = |it: &Container| it.state == State::Stopped && !it.auto_remove;
    containers_that(home, |it| rests(it) && sees(it, routes))
        .map(|it| hold::hold(home, it, How::Stop, labels::read(it)?.stop_timeout))
        .collect()
}

fn sees(container: &Container, routes: &[Route]) -> bool {
    let sources = container.mounts.iter().map(|it| &it.source);
    sources.filter(|it| !it.as_os_str().is_empty()).any(|it| {
        let overlaps =
            |route: &Route| it.starts_with(&route.tree.source) || route.tree.source.starts_with(it);
        routes.iter().any(overlaps)
    })
}

/// A companion that does not run is left so, and whoever set up a new home should know.
pub(super) fn stopped_note(home: &Home, part: &Part, starts: &[Hold]) -> Option<String> {
    let is_its = |it: &&Container| part.trees.iter().any(|tree| tree.container == it.name);
    let companion = home.companions.iter().find(is_its)?;
    let is_started = starts.iter().any(|it| it.id == companion.id);
    (companion.state == State::Stopped && !is_started)
        .then(|| format!("{} does not run, and is not started", companion.name))
}
