//! Recipes for a backup that says nothing of containers, as those of the Supervisor and of Home
//! Assistant itself: what people usually run.

use std::collections::BTreeMap;

use serde_json::json;

use crate::companions::{self, Known};
use crate::model::{Contents, Item, Recipe, RecipeMount};

const HOME_ASSISTANT: &str = "ghcr.io/home-assistant/home-assistant";

/// Images of the table that are not on Docker's own registry.
const ON_GHCR: [&str; 5] = [
    "blakeblackshear/frigate",
    "esphome/esphome",
    "koenkk/zigbee2mqtt",
    "music-assistant/server",
    "matter-js/matterjs-server",
];

/// The usual recipes for what a backup holds, and what a person should look at.
pub fn usual(contents: &Contents) -> (Vec<Recipe>, Vec<String>) {
    let mut recipes = vec![home_assistant(contents)];
    let mut notes = vec![
        "the backup does not say how its containers were made: devices, ports, variables and versions need a look"
            .to_owned(),
    ];
    for item in &contents.items {
        let Item::Companion(slug) = item else { continue };
        let known = companions::by_addon(slug).map(|(known, _)| known);
        match known.filter(|it| !it.mounts.is_empty()) {
            Some(known) => recipes.push(companion(known)),
            None => notes.push(format!(
                "{slug} is in the backup, but not in the file: nothing is known of its container"
            )),
        }
    }
    (recipes, notes)
}

fn home_assistant(contents: &Contents) -> Recipe {
    let tag = contents.homeassistant_version.as_deref().unwrap_or("stable");
    let mut mounts = vec![mount("./config", "/config", "")];
    for item in &contents.items {
        if let Item::Folder(name) = item {
            mounts.push(mount(&format!("./{name}"), &format!("/{name}"), ""));
        }
    }
    mounts.push(mount("/etc/localtime", "/etc/localtime", "ro"));
    Recipe {
        // As its documentation says: devices in the network are found only from there.
        network_mode: Some("host".to_owned()),
        ..recipe("homeassistant", &format!("{HOME_ASSISTANT}:{tag}"), mounts)
    }
}

fn companion(known: &Known) -> Recipe {
    let name = known.addons.first().map_or(known.name, |it| it.slug);
    let image = known.images[0];
    let image =
        if ON_GHCR.contains(&image) { format!("ghcr.io/{image}") } else { image.to_owned() };
    let mounts = known.mounts.iter().map(|(path, _)| {
        let last = path.rsplit('/').next().unwrap_or_default();
        mount(&format!("./{name}/{last}"), path, "")
    });
    recipe(name, &image, mounts.collect())
}

fn recipe(name: &str, image: &str, mounts: Vec<RecipeMount>) -> Recipe {
    Recipe {
        container: name.to_owned(),
        has_own_name: true,
        service: name.to_owned(),
        runs: true,
        image: image.to_owned(),
        // Some registry has it.
        digest: Some(String::new()),
        settings: BTreeMap::from([("restart".to_owned(), json!("unless-stopped"))]),
        mounts,
        ..Recipe::default()
    }
}

fn mount(source: &str, target: &str, mode: &str) -> RecipeMount {
    let (source, target, mode) = (source.to_owned(), target.into(), mode.to_owned());
    RecipeMount { source, target, mode }
}
