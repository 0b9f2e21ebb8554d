//! Where each tree of the backup goes, and what stays there.

use std::path::{Path, PathBuf};

use super::twins::Twin;
use super::{RestoreRequest, Route};
use crate::model::{Contents, Item, Part, Tree};
use crate::plan::Refused;
use crate::plan::backup::is_meant;

/// The items of the backup that were asked for.
pub(super) fn wanted(
    contents: &Contents,
    parts: &[Part],
    twins: &[Twin<'_>],
    request: &RestoreRequest,
) -> Result<Vec<Item>, Refused> {
    let is_asked = |item: &Item, asked: &str| {
        // By the names that the home's containers have, or by the slug alone.
        parts.iter().any(|part| part.item == *item && is_meant(part, asked))
            || twins.iter().any(|twin| twin.item == *item && is_meant(twin.part, asked))
            || *item == Item::parse(asked)
    };
    // Those that are in the backup without being listed are in the part of another.
    let unlisted = twins.iter().map(|it| &it.item).filter(|it| !contents.items.contains(it));
    let all_items: Vec<&Item> = contents.items.iter().chain(unlisted).collect();
    for asked in &request.only {
        if !all_items.iter().any(|item| is_asked(item, asked)) {
            let known: Vec<String> = contents.items.iter().map(Item::to_string).collect();
            return Err(Refused::UnknownItem { item: asked.clone(), known: known.join(", ") });
        }
    }
    let all = request.only.is_empty();
    let is_wanted = |item: &&Item| all || request.only.iter().any(|it| is_asked(item, it));
    Ok(all_items.into_iter().filter(is_wanted).cloned().collect())
}

pub(super) fn routes_of<'a>(
    part: &'a Part,
    parts: &'a [Part],
    contents: &'a Contents,
) -> impl Iterator<Item = Route> + 'a {
    let records = contents.manifest.iter().flat_map(|it| &it.parts);
    let record = records.into_iter().find(|it| it.item == part.item.to_string());
    // A file of another writer says nothing of it; what this home leaves out is the best guess.
    let keep_globs = record.map_or(&part.exclude_kept, |it| &it.exclude).clone();
    part.trees.iter().map(move |tree| Route {
        item: part.item.clone(),
        from: part.item.clone(),
        tree: tree.clone(),
        below: PathBuf::new(),
        keep: kept(tree, parts),
        only: Vec::new(),
        never: Vec::new(),
        keep_globs: keep_globs.clone(),
        owner: None,
        passed_over: Vec::new(),
    })
}

/// What lies below a mount but does not belong to the item, relative to the mount.
pub(super) fn kept(tree: &Tree, parts: &[Part]) -> Vec<PathBuf> {
    let others = parts.iter().flat_map(|it| &it.trees).filter(|it| it.source != tree.source);
    others
        .flat_map(|other| {
            // Another mount may lie below this one on the host, or only in the container.
            let on_host = other.source.strip_prefix(&tree.source);
            let in_container = other
                .destination
                .strip_prefix(&tree.destination)
                .ok()
                .filter(|_| other.container == tree.container);
            on_host.ok().into_iter().chain(in_container)
        })
        .filter(|it| !it.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect()
}
