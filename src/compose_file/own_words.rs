//! From the engine's names to those of a Compose file: what a project has is named without the
//! project, what lies below its folder by the way from there.

use std::path::Path;

use serde_json::Value;

use crate::model::{Container, Recipe};
use crate::plan::Home;

/// The recipes of a home's containers, each in the words of one Compose file, Home Assistant first.
/// A further container of the same service is left out and named.
pub fn own_words(home: &Home, recipes: &[Recipe]) -> Vec<Recipe> {
    let project = home.homeassistant.project();
    let folder = home.homeassistant.label("com.docker.compose.project.working_dir");
    let is_of_project = |it: &&Container| project.is_some() && it.project() == project;
    // Those of the project first, whose names others count on.
    let (ours, others): (Vec<_>, Vec<_>) = home.containers().partition(is_of_project);
    let mut all: Vec<(&Container, Recipe)> = Vec::new();
    for container in ours.into_iter().chain(others) {
        let Some(recipe) = recipes.iter().find(|it| it.container == container.name) else {
            continue;
        };
        let mut recipe = recipe.clone();
        if is_of_project(&container) {
            if let Some((_, first)) = all.iter_mut().find(|(_, it)| it.service == recipe.service) {
                first.not_kept.push(format!("its second container {}", container.name));
                continue;
            }
        } else {
            recipe.depends_on.clear();
            recipe.service.clone_from(&container.name);
            while all.iter().any(|(_, it)| it.service == recipe.service) {
                recipe.service += "_2";
            }
        }
        all.push((container, recipe));
    }
    let services: Vec<(String, String, String)> = all
        .iter()
        .map(|(it, recipe)| (it.id.clone(), it.name.clone(), recipe.service.clone()))
        .collect();
    let within = |(container, recipe): (&Container, Recipe)| {
        let recipe = mounts(recipe, project, folder);
        modes(networks(recipe, container), &services)
    };
    all.into_iter().map(within).collect()
}

fn without_project<'a>(name: &'a str, project: Option<&str>) -> &'a str {
    let rest = project.and_then(|it| name.strip_prefix(it)?.strip_prefix('_'));
    rest.filter(|it| !it.is_empty()).unwrap_or(name)
}

/// A volume has one name for all who have it, so Home Assistant's project counts for all.
fn mounts(mut recipe: Recipe, project: Option<&str>, folder: Option<&str>) -> Recipe {
    for mount in &mut recipe.mounts {
        let source = Path::new(&mount.source);
        if !source.is_absolute() {
            mount.source = without_project(&mount.source, project).to_owned();
            continue;
        }
        let below = folder.filter(|it| *it != "/").and_then(|it| source.strip_prefix(it).ok());
        if let Some(below) = below {
            let below = below.to_string_lossy();
            mount.source = if below.is_empty() { ".".to_owned() } else { format!("./{below}") };
        }
    }
    recipe
}

fn networks(mut recipe: Recipe, container: &Container) -> Recipe {
    for (network, aliases) in std::mem::take(&mut recipe.networks) {
        // Docker's own, without names: the one that Compose makes can do all that it can.
        if ["bridge", "host", "none"].contains(&network.as_str()) {
            continue;
        }
        let own = without_project(&network, container.project());
        if own == network {
            recipe.not_kept.push(format!("what else is on its network {network}"));
        }
        recipe.networks.insert(own.to_owned(), aliases);
    }
    recipe
}

/// What it shares with another container, by that one's service.
fn modes(mut recipe: Recipe, services: &[(String, String, String)]) -> Recipe {
    let service = |mode: &str| {
        let other = mode.strip_prefix("container:")?;
        let found = services.iter().find(|(id, name, _)| id == other || name == other);
        Some(found.map(|(_, _, service)| format!("service:{service}")))
    };
    if let Some(found) = recipe.network_mode.as_deref().and_then(service) {
        if found.is_none() {
            recipe.not_kept.push("the network of a container that is not of the home".to_owned());
        }
        recipe.network_mode = found;
    }
    for key in ["pid", "ipc"] {
        let mode = recipe.settings.get(key).and_then(Value::as_str).and_then(service);
        match mode {
            Some(Some(found)) => _ = recipe.settings.insert(key.to_owned(), found.into()),
            Some(None) => {
                recipe.settings.remove(key);
                recipe.not_kept.push(format!("{key} of a container that is not of the home"));
            }
            None => (),
        }
    }
    let is_there = |it: &str| services.iter().any(|(_, _, service)| service == it);
    recipe.depends_on.retain(|it, _| is_there(it));
    recipe
}
