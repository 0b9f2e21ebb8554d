//! How the containers of the home were made, for a machine on which they have to be made again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Prepared;
use crate::archive::Metadata;
use crate::compose_file::own_words;
use crate::hands::Hands;
use crate::model::{Confidential, Recipe};
use crate::plan::BackupRequest;

/// What a backup notes of containers beside their content.
#[derive(Debug, Clone, Default)]
pub(super) struct Recipes {
    recipes: Vec<Recipe>,
    confidential: BTreeMap<String, Confidential>,
    /// The mounts that are files, by container and path in it.
    files: Vec<(String, PathBuf)>,
}

/// Asks how the containers of the home were made, or of a part of it. A backup is worth making
/// without that, so what cannot be told is a warning.
pub(super) async fn ask(
    hands: &Hands,
    prepared: &Prepared,
    request: &BackupRequest,
    warnings: &mut Vec<String>,
) -> Recipes {
    let plan = &prepared.plan;
    let mut recipes = Vec::new();
    let mut confidential = BTreeMap::new();
    for container in plan.home.containers() {
        let mut trees = plan.parts.iter().flat_map(|it| &it.trees);
        if !request.only.is_empty() && !trees.any(|it| it.container == container.name) {
            continue;
        }
        match hands.engine.recipe(&container.id).await {
            Ok((recipe, secrets)) => {
                confidential.insert(recipe.container.clone(), secrets);
                recipes.push(recipe);
            }
            Err(err) => warnings
                .push(format!("how {} was made is not in the backup: {err}", container.name)),
        }
    }
    let recipes = own_words(&plan.home, &recipes);
    Recipes { recipes, confidential, files: prepared.files.clone() }
}

impl Recipes {
    /// Notes all of it.
    pub(super) fn note(&self, metadata: &mut Metadata) {
        metadata.confidential.clone_from(&self.confidential);
        let Some(manifest) = &mut metadata.hearthkeep else { return };
        manifest.containers.clone_from(&self.recipes);
        for tree in manifest.parts.iter_mut().flat_map(|it| &mut it.trees) {
            let is_its = |(container, path): &(String, PathBuf)| {
                *container == tree.container && *path == tree.destination
            };
            tree.is_file = self.files.iter().any(is_its);
        }
    }
}
