//! What needs a hand after a restore of what a Supervisor wrote.

use std::collections::BTreeMap;

use super::{Database, RestorePlan, RestoreRequest};
use crate::companions::handover::{self, Clues, Scene};
use crate::companions::{Known, by_image};
use crate::model::{Container, Contents, Item};

impl RestorePlan {
    /// The small files of the backup that tell what needs a hand: by item, their paths in its part.
    /// Our own files need none.
    pub fn telling(
        &self,
        contents: &Contents,
        request: &RestoreRequest,
    ) -> Vec<(Item, Vec<&'static str>)> {
        if !needs_a_hand(contents, request) {
            return Vec::new();
        }
        let (items, twins) = (self.items(), self.twins(contents));
        let is_concerned = |it: &&Item| match it {
            Item::Companion(id) => twins.contains_key(id),
            it => items.contains(it),
        };
        let concerned = contents.items.iter().filter(is_concerned);
        let telling = |it: &Item| (it.clone(), handover::telling(it, &contents.items));
        concerned.map(telling).filter(|(_, paths)| !paths.is_empty()).collect()
    }

    /// Finds what needs a hand, and what of it the restore does itself.
    pub fn hand_over(&mut self, contents: &Contents, request: &RestoreRequest, clues: &Clues) {
        if !needs_a_hand(contents, request) {
            return;
        }
        let items = self.items();
        let is_concerned = |it: &&Item| request.only.is_empty() || items.contains(it);
        let addons = contents.items.iter().filter(is_concerned).filter_map(addon);
        let scene = Scene {
            clues,
            homeassistant: items.contains(&Item::HomeAssistant).then_some(&self.home.homeassistant),
            twins: self.twins(contents),
            addons: addons.map(str::to_owned).collect(),
        };
        for to_do in handover::to_do(&scene) {
            match &to_do.change {
                Some(change) if request.translate => {
                    self.to_do.extend(change.leaves(&to_do));
                    self.translations.push(to_do);
                }
                _ => self.to_do.push(to_do),
            }
        }
    }

    /// The containers that stand for the add-ons of the backup: those that get their content, and of
    /// the others those whose image is known.
    fn twins(&self, contents: &Contents) -> BTreeMap<String, &Container> {
        let find = |id: &str| {
            let route = self.routes.iter().find(|it| addon(&it.item) == Some(id));
            let by_route = route.and_then(|route| {
                self.home.companions.iter().find(|it| it.name == route.tree.container)
            });
            let is_twin = |it: &Known| it.addons.iter().any(|it| it.id() == id);
            let by_image =
                || self.home.companions.iter().find(|it| by_image(&it.image).is_some_and(is_twin));
            by_route.or_else(by_image)
        };
        let addons = contents.items.iter().filter_map(addon);
        addons.filter_map(|id| Some((id.to_owned(), find(id)?))).collect()
    }
}

/// Whether a Supervisor wrote it, and anything but a database is restored.
fn needs_a_hand(contents: &Contents, request: &RestoreRequest) -> bool {
    contents.of_supervisor && contents.manifest.is_none() && request.database != Database::Only
}

fn addon(item: &Item) -> Option<&str> {
    match item {
        Item::Companion(id) => Some(id),
        Item::HomeAssistant | Item::Folder(_) => None,
    }
}
