//! Which containers are the home: one Home Assistant, and the companions that belong to it.

use super::labels::{self, Role};
use super::{Facts, Refused};
use crate::companions;
use crate::model::{Container, State};

/// Which home a person means; both may be absent where there is only one.
#[derive(Debug, Clone, Default)]
pub struct Pick {
    /// A Compose project.
    pub project: Option<String>,
    /// The Home Assistant container, by name or identifier.
    pub container: Option<String>,
}

/// One Home Assistant and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The container of Home Assistant.
    pub homeassistant: Container,
    /// Its version, where `.HA_VERSION`, a label or the image's tag tells it.
    pub version: Option<String>,
    /// The port on which Home Assistant answers, where a label tells it.
    pub port: Option<u16>,
    /// The other containers of the home, sorted by name.
    pub companions: Vec<Container>,
    /// Those that would be companions, did they not belong to a Swarm service: Swarm replaces what
    /// is stopped, and nothing but it may start or remove them.
    pub of_swarm: Vec<Container>,
}

/// Finds the one home that is meant.
pub fn find(facts: &Facts, pick: &Pick) -> Result<Home, Refused> {
    let all = candidates(facts);
    let meant: Vec<&Container> = all.iter().copied().filter(|it| picked(it, pick)).collect();
    let homeassistant = match (meant.as_slice(), running(&meant).as_slice()) {
        ([], _) if all.is_empty() || pick.is_empty() => {
            // A label that means nothing may have been meant to name it.
            facts.containers.iter().try_for_each(labels::check)?;
            return Err(Refused::NoHome { n_containers: facts.containers.len() });
        }
        ([], _) => return Err(Refused::UnknownHome { asked: pick.asked(), found: names(&all) }),
        ([one], _) | (_, [one]) => (*one).clone(),
        (several, _) => return Err(Refused::SeveralHomes { names: names(several) }),
    };
    if is_of_swarm(&homeassistant) {
        return Err(Refused::Nothing(format!(
            "{} belongs to a Swarm service, which is not supported: run it by Compose or `docker run`",
            homeassistant.name
        )));
    }
    let companions = companions_of(&homeassistant, &all, facts);
    let (of_swarm, companions) = companions.into_iter().partition(is_of_swarm);
    for container in std::iter::once(&homeassistant).chain(&companions) {
        labels::belonging(container)?;
    }
    let mut ours = std::iter::once(&homeassistant).chain(&companions);
    if let Some(silent) = ours.find(|it| it.is_silent) {
        return Err(Refused::Silent { container: silent.name.clone() });
    }
    let version = version(&homeassistant, facts);
    let port = labels::port(&homeassistant)?;
    Ok(Home { homeassistant, version, port, companions, of_swarm })
}

impl Pick {
    fn is_empty(&self) -> bool {
        self.project.is_none() && self.container.is_none()
    }

    fn asked(&self) -> String {
        match (&self.container, &self.project) {
            (Some(container), _) => format!("container {container}"),
            (None, Some(project)) => format!("project {project}"),
            (None, None) => "any project".to_owned(),
        }
    }
}

fn is_of_swarm(container: &Container) -> bool {
    container.label("com.docker.swarm.service.id").is_some()
}

fn picked(container: &Container, pick: &Pick) -> bool {
    let project = pick.project.as_deref().is_none_or(|it| container.project() == Some(it));
    let named = pick
        .container
        .as_deref()
        .is_none_or(|it| container.name == it || (it.len() >= 8 && container.id.starts_with(it)));
    project && named
}

/// Containers that look like Home Assistant. A label or the image decides; only where neither
/// names one does a mount with `.HA_VERSION` count, since an editor may mount the same folder.
fn candidates(facts: &Facts) -> Vec<&Container> {
    let mut by_name = Vec::new();
    let mut by_file = Vec::new();
    for container in &facts.containers {
        let (enable, role) = belonging(container);
        if enable == Some(false) || role == Some(Role::Companion) {
            continue;
        }
        if role == Some(Role::HomeAssistant) || companions::is_home_assistant(&container.image) {
            by_name.push(container);
        } else if config_version(container, facts).is_some() {
            by_file.push(container);
        }
    }
    // An editor or a Zigbee bridge beside a known Home Assistant is no second home.
    by_file.retain(|it| !by_name.iter().any(|known| share_a_source(known, it)));
    by_name.extend(by_file);
    by_name
}

/// The containers of every home that there may be, where none can be told from here: those that have
/// something mounted where Home Assistant has its configuration, and what would belong to each.
pub(super) fn possible<'a>(facts: &'a Facts, pick: &Pick) -> Vec<&'a Container> {
    let is_possible = |it: &&Container| {
        let (enable, role) = belonging(it);
        enable != Some(false)
            && role != Some(Role::Companion)
            && !is_us(it, facts)
            && it.mounted_at("/config").is_some()
            && picked(it, pick)
    };
    let homes: Vec<&Container> = facts.containers.iter().filter(is_possible).collect();
    let belongs = |it: &&Container| {
        let is_its = |other: &Container| other.id == it.id;
        homes
            .iter()
            .any(|home| home.id == it.id || companions_of(home, &homes, facts).iter().any(is_its))
    };
    facts.containers.iter().filter(belongs).collect()
}

/// What a container says of itself. A label that cannot be read says nothing: on a stranger it is no
/// reason to refuse every home, and where the container belongs to one all the same, it is refused
/// as soon as that is known. So is one with a role that is not to have any.
fn belonging(container: &Container) -> (Option<bool>, Option<Role>) {
    match labels::belonging(container).unwrap_or_default() {
        (Some(false), Some(role)) => (None, Some(role)),
        said => said,
    }
}

/// Whether a container belongs to another home than this one, by its Compose project.
pub(super) fn is_of_another(container: &Container, home: &Home, facts: &Facts) -> bool {
    let project = container.project();
    let is_other = |it: &&Container| it.id != home.homeassistant.id && it.project() == project;
    project.is_some()
        && project != home.homeassistant.project()
        && candidates(facts).iter().any(is_other)
}

fn share_a_source(one: &Container, other: &Container) -> bool {
    one.mounts.iter().any(|a| other.mounts.iter().any(|b| a.source == b.source))
}

fn running<'a>(containers: &[&'a Container]) -> Vec<&'a Container> {
    containers.iter().copied().filter(|it| it.state != State::Stopped).collect()
}

fn names(containers: &[&Container]) -> String {
    let name = |it: &&Container| match it.project() {
        Some(project) => format!("{} of project {project}", it.name),
        None => it.name.clone(),
    };
    containers.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The other containers of Home Assistant's project, those of the known table and those that say
/// so by label, but none that belongs to another home.
fn companions_of(homeassistant: &Container, homes: &[&Container], facts: &Facts) -> Vec<Container> {
    let mut companions = Vec::new();
    for container in &facts.containers {
        let (enable, role) = belonging(container);
        let is_home = homes.iter().any(|it| it.id == container.id);
        if is_home || is_us(container, facts) || enable == Some(false) {
            continue;
        }
        let project = container.project();
        let same_project = project.is_some() && project == homeassistant.project();
        let of_another_home =
            project.is_some() && !same_project && homes.iter().any(|it| it.project() == project);
        let wanted = role == Some(Role::Companion)
            || enable == Some(true)
            || companions::by_image(&container.image).is_some();
        if same_project || (wanted && !of_another_home) {
            companions.push(container.clone());
        }
    }
    companions.sort_by(|a, b| a.name.cmp(&b.name));
    companions
}

/// Whether a container is this program, in this run or another.
pub(super) fn is_us(container: &Container, facts: &Facts) -> bool {
    facts.own_container.as_deref() == Some(container.id.as_str())
        || container.label("org.opencontainers.image.title") == Some("hearthkeep")
}

fn config_version<'a>(container: &Container, facts: &'a Facts) -> Option<&'a String> {
    facts.versions.get(&container.mounted_at("/config")?.source)
}

fn version(homeassistant: &Container, facts: &Facts) -> Option<String> {
    let looks_like_one = |it: &&str| it.starts_with(|c: char| c.is_ascii_digit());
    config_version(homeassistant, facts)
        .map(String::as_str)
        .or_else(|| homeassistant.label("io.hass.version"))
        .or_else(|| companions::tag(&homeassistant.image))
        .filter(looks_like_one)
        .map(str::to_owned)
}

impl Home {
    /// What this home is called in its backups, also after its containers were made anew: the
    /// Compose project and the service of Home Assistant, or its container's name.
    pub fn title(&self) -> String {
        match self.homeassistant.compose() {
            Some(compose) => format!("{}/{}", compose.project, compose.service),
            None => self.homeassistant.name.clone(),
        }
    }

    /// All containers of the home, Home Assistant first.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        std::iter::once(&self.homeassistant).chain(&self.companions)
    }
}
