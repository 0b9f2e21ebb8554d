//! What a restore onto a new machine would do.

use serde_json::{Value, json};

use super::render::table;
use crate::archive::Archive;
use crate::restore::Foreseen;

/// What only Compose knows.
const LATER: &str = "which volumes and folders these are, and whether images, ports and devices are there, shows only when Compose makes the containers";

/// An item, and where in the new containers it goes, as far as the backup tells.
fn places(archive: &Archive) -> Vec<(String, Option<(String, String)>)> {
    let manifest = archive.metadata.hearthkeep.as_ref();
    let mut places = Vec::new();
    for item in archive.metadata.items() {
        let item = item.to_string();
        let mut parts = manifest.iter().flat_map(|it| &it.parts);
        let trees = parts.find(|it| it.item == item).map(|it| it.trees.as_slice());
        match trees {
            Some(trees) => places.extend(trees.iter().map(|it| {
                let recipes = manifest.iter().flat_map(|it| &it.containers);
                let service = recipes
                    .clone()
                    .find(|recipe| recipe.container == it.container)
                    .map_or(&it.container, |it| &it.service);
                (item.clone(), Some((service.clone(), it.destination.display().to_string())))
            })),
            None => places.push((item, None)),
        }
    }
    places
}

pub(super) fn object(archive: &Archive, new: &Foreseen) -> Value {
    let moves = places(archive).into_iter().map(|(item, place)| {
        let (service, path) = place.unzip();
        json!({ "item": item, "service": service, "path": path })
    });
    json!({
        "slug": archive.metadata.slug,
        "name": archive.metadata.name,
        "compose": {
            "file": new.file,
            "text": new.text.as_ref().map(|it| it.text.expose()),
            "to_set": new.text.as_ref().map(|it| &it.to_set),
        },
        "moves": moves.collect::<Vec<_>>(),
        "notes": new.notes.iter().map(String::as_str).chain([LATER]).collect::<Vec<_>>(),
    })
}

pub(super) fn text(archive: &Archive, new: &Foreseen) -> String {
    let metadata = &archive.metadata;
    let file = new.file.display();
    let mut text = format!("restore \"{}\" of {}:\n", metadata.name, metadata.date);
    let rows = places(archive).into_iter().map(|(item, place)| {
        let to = place.map_or_else(String::new, |(service, path)| format!("to {service}:{path}"));
        vec![format!("  {item}"), to]
    });
    text += &table(&rows.collect::<Vec<_>>());
    match &new.text {
        None => text += &format!("made and started: the containers of {file}\n"),
        Some(compose) => {
            text += &format!("written, made and started: {file}\n");
            text.extend(compose.text.expose().lines().map(|it| format!("  | {it}\n")));
            if !compose.to_set.is_empty() {
                text += &format!("to be set, in .env beside it: {}\n", compose.to_set.join(", "));
            }
        }
    }
    for note in new.notes.iter().map(String::as_str).chain([LATER]) {
        text += &format!("note: {note}\n");
    }
    text
}
