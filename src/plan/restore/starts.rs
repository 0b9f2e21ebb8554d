//! Who is started when a home that stood still has its content back.

use crate::model::{Container, Contents, Recipe, State};
use crate::plan::hold::{self, containers_that};
use crate::plan::{Hold, Home, How, Refused};

/// The stopped containers that are started when Home Assistant has been restored, those first that
/// others depend on.
///
/// Where others of the home run, a companion that does not is left so, as somebody wanted it; only
/// Home Assistant, which was asked for, is started. Where nothing of it runs, as on a new machine,
/// it is the home that is started: all of it but what did not run when it was backed up either.
pub(super) fn start_too(home: &Home, contents: &Contents) -> Result<Vec<Hold>, Refused> {
    let is_down = |it: &Container| it.state == State::Stopped;
    if !is_down(&home.homeassistant) {
        return Ok(Vec::new());
    }
    let all_down = home.containers().all(is_down);
    let is_home = |it: &Container| it.id == home.homeassistant.id;
    let wanted = |it: &Container| is_home(it) || (all_down && ran(it, contents));
    let holds = containers_that(home, wanted)
        .map(|it| hold::hold(home, it, How::Stop, None))
        .collect::<Result<Vec<_>, _>>()?;
    let all: Vec<&Container> = home.containers().collect();
    let mut holds = hold::with_needs(&all, holds);
    holds.reverse();
    Ok(holds)
}

/// Whether a container ran when it was backed up, as far as that is known.
fn ran(container: &Container, contents: &Contents) -> bool {
    let mut recipes = contents.manifest.iter().flat_map(|it| &it.containers);
    let service = container.service().unwrap_or(&container.name);
    let is_its = |it: &&Recipe| it.service == service || it.container == container.name;
    recipes.find(is_its).is_none_or(|it| it.runs)
}
