//! Parts that others wrote: which container an add-on's part belongs to, and where in it its
//! content goes.

use std::path::{Path, PathBuf};

use super::{RestoreRequest, Route, routes};
use crate::companions::{self, Known, OF_THE_ADDON, Place};
use crate::model::{Asks, Container, Contents, Item, Part, Tree};
use crate::plan::backup::is_meant;
use crate::plan::map::{MapOwner, MapPath, MapPlace, Mapped};
use crate::plan::{Home, Refused, mounts};

/// An add-on in a backup, and the part of this home that is the same program.
pub(super) struct Twin<'a> {
    pub(super) item: Item,
    pub(super) part: &'a Part,
    known: Option<&'static Known>,
    owner: Option<MapOwner>,
    ways: Vec<Way>,
    /// Whether a person said where what goes.
    is_mapped: bool,
}

/// Where the content of a path in the container may lie, the likeliest place first.
struct Way {
    path: PathBuf,
    places: Vec<From>,
}

struct From {
    item: Item,
    path: String,
    /// What it is called below the path, where it is a single file.
    file: Option<&'static str>,
}

/// The add-ons of a backup that have a container here, those that hearthkeep wrote itself left out.
///
/// # Errors
/// Where a map names a container that this home does not have.
pub(super) fn twins<'a>(
    home: &Home,
    parts: &'a [Part],
    contents: &Contents,
    request: &RestoreRequest,
) -> Result<Vec<Twin<'a>>, Refused> {
    let containers = Containers { home, parts };
    let mapped = containers.mapped(request)?;
    let mut twins: Vec<Twin<'a>> = Vec::new();
    let is_foreign = |it: &&Item| matches!(it, Item::Companion(_)) && !has_record(contents, it);
    let foreign: Vec<&Item> = contents.items.iter().filter(is_foreign).collect();
    let is_free = |it: &&Part, twins: &[Twin<'_>]| !twins.iter().any(|twin| twin.part == *it);
    // A map goes before a name, and a name before an image: an add-on has several identifiers.
    for item in &foreign {
        let of_it = mapped.iter().filter(|(_, it)| it.part == item.to_string());
        twins.extend(of_it.map(|(part, said)| Twin::new(item, part, Some(said))));
    }
    let by_name = |item: &Item, part: &Part| part.item == *item;
    let by_image = |item: &Item, part: &Part| is_same(known_as(item), known_of(part));
    for fits in [&by_name as &dyn Fn(&Item, &Part) -> bool, &by_image] {
        for item in &foreign {
            let mut fitting = containers.companions().filter(|it| fits(item, it));
            if !twins.iter().any(|it| it.item == **item)
                && let Some(part) = fitting.find(|it| is_free(it, &twins))
            {
                twins.push(Twin::new(item, part, None));
            }
        }
    }
    // What a person asks for by name may lie in another part only.
    let is_asked = |it: &&Part| request.only.iter().any(|asked| is_meant(it, asked));
    for part in containers.companions().filter(is_asked) {
        let said = mapped.iter().find(|(it, _)| *it == part).map(|(_, it)| *it);
        if contents.manifest.is_none() && is_free(&part, &twins) {
            twins.push(Twin::new(&part.item, part, said));
        }
    }
    Ok(twins)
}

fn has_record(contents: &Contents, item: &Item) -> bool {
    let records = contents.manifest.iter().flat_map(|it| &it.parts);
    records.into_iter().any(|it| it.item == item.to_string())
}

fn is_same(one: Option<&Known>, other: Option<&Known>) -> bool {
    one.zip(other).is_some_and(|(one, other)| std::ptr::eq(one, other))
}

fn known_as(item: &Item) -> Option<&'static Known> {
    companions::by_addon(&item.to_string()).map(|(known, _)| known)
}

fn known_of(part: &Part) -> Option<&'static Known> {
    known_as(&part.item).or_else(|| companions::by_image(&part.image))
}

/// The ways that a map names.
fn ways_of_map(item: &Item, mapped: &Mapped) -> Vec<Way> {
    let way = |(place, path): (&MapPlace, &MapPath)| {
        let from = place.part.clone().unwrap_or_else(|| item.clone());
        let from = From { item: from, path: place.path.clone(), file: None };
        Way { path: path.0.clone(), places: vec![from] }
    };
    mapped.paths.iter().map(way).collect()
}

/// The ways of the table. An add-on that nobody knows sees its data at `/data` and its configuration
/// at `/config`.
fn ways_of_table(item: &Item, known: Option<&Known>) -> Vec<Way> {
    let Some(known) = known else {
        let way = |it: &str| Way {
            path: Path::new("/").join(it),
            places: vec![From { item: item.clone(), path: it.to_owned(), file: None }],
        };
        return ["data", "config"].map(way).into();
    };
    let from = |it: &Place| From { item: it.item(item), path: it.path.to_owned(), file: it.file };
    let way = |(path, places): &(&str, &[Place])| Way {
        path: path.into(),
        places: places.iter().map(from).collect(),
    };
    known.mounts.iter().map(way).collect()
}

struct Containers<'h, 'p> {
    home: &'h Home,
    parts: &'p [Part],
}

impl<'p> Containers<'_, 'p> {
    /// The parts of companions.
    fn companions(&self) -> impl Iterator<Item = &'p Part> {
        let home_assistant = self.home.homeassistant.name.clone();
        let is_companion = move |it: &&Part| {
            matches!(it.item, Item::Companion(_))
                && it.trees.iter().all(|tree| tree.container != home_assistant)
        };
        self.parts.iter().filter(is_companion)
    }

    /// What a map says, by the parts of its containers.
    fn mapped<'m>(
        &self,
        request: &'m RestoreRequest,
    ) -> Result<Vec<(&'p Part, &'m Mapped)>, Refused> {
        let mut mapped = Vec::new();
        for (name, said) in &request.map.0 {
            let is_it = |it: &&Container| it.name == *name || it.service() == Some(name);
            let container = self.home.companions.iter().find(is_it).ok_or_else(|| {
                let names = self.home.companions.iter().map(|it| it.service().unwrap_or(&it.name));
                Refused::UnknownMapped {
                    container: name.clone(),
                    found: names.collect::<Vec<_>>().join(", "),
                }
            })?;
            let of_it = |it: &&Part| it.trees.iter().any(|tree| tree.container == container.name);
            let part = self.companions().find(of_it).ok_or_else(|| Refused::UnknownMapped {
                container: name.clone(),
                found: format!("{name}, but nothing of its own is mounted into it"),
            })?;
            mapped.push((part, said));
        }
        Ok(mapped)
    }
}

impl<'a> Twin<'a> {
    fn new(item: &Item, part: &'a Part, map: Option<&Mapped>) -> Twin<'a> {
        let known = known_as(item).or_else(|| known_of(part));
        let by_map = map.filter(|it| !it.paths.is_empty());
        Twin {
            item: item.clone(),
            part,
            known,
            owner: map.and_then(|it| it.owner),
            ways: match by_map {
                Some(mapped) => ways_of_map(item, mapped),
                None => ways_of_table(item, known),
            },
            is_mapped: by_map.is_some(),
        }
    }

    /// Adds what has to be known before anything can be said of it.
    pub(super) fn ask(&self, contents: &Contents, asks: &mut Asks) {
        let places = self.ways.iter().flat_map(|it| &it.places);
        let is_there = |it: &&From| contents.items.contains(&it.item);
        asks.places.extend(places.filter(is_there).map(|it| (it.item.clone(), it.path.clone())));
        if let Some(option) = self.path_option()
            && contents.items.contains(&self.item)
        {
            asks.options.insert((self.item.clone(), option.to_owned()));
        }
        asks.sources.extend(self.part.trees.iter().map(|it| it.source.clone()));
    }

    fn path_option(&self) -> Option<&'static str> {
        self.known.filter(|_| !self.is_mapped).and_then(|it| it.path_option)
    }

    /// Whether the backup holds anything for it.
    pub(super) fn is_there(&self, contents: &Contents) -> bool {
        self.chosen(contents).next().is_some()
    }

    /// Each path of the container with the place that its content comes from.
    fn chosen<'t>(&'t self, contents: &'t Contents) -> impl Iterator<Item = (&'t Way, &'t From)> {
        self.ways.iter().filter_map(move |way| {
            let holds =
                |it: &&From| contents.found.places.contains(&(it.item.clone(), it.path.clone()));
            let said = contents.found.options.get(&self.item).filter(|_| !self.is_mapped);
            let named = match said {
                None => None,
                Some(path) => {
                    let named = companions::seen_by_addon(path, &self.item);
                    let is_named = |it: &&From| named == Some((it.item.clone(), it.path.clone()));
                    // Where it is a place of a person's own, none of the usual ones counts.
                    Some(way.places.iter().find(is_named)?)
                }
            };
            let place = named.filter(holds).or_else(|| way.places.iter().find(holds))?;
            Some((way, place))
        })
    }

    /// Where everything goes, and what a person should know of it.
    pub(super) fn routes(&self, parts: &[Part], contents: &Contents) -> (Vec<Route>, Vec<String>) {
        let (mut all, mut notes) = (Vec::new(), Vec::new());
        for (way, from) in self.chosen(contents) {
            let found = self.routes_of(way, from, parts, contents);
            if found.is_empty() {
                let place = self.name(from);
                notes.push(format!(
                    "{place} is in the backup, but {} has nothing mounted at {}: it is passed over",
                    self.container(),
                    way.path.display()
                ));
            }
            all.extend(found);
        }
        if all.is_empty() && notes.is_empty() {
            let said = contents.found.options.get(&self.item);
            let at = said.map(|it| format!("; the add-on kept it at {it}")).unwrap_or_default();
            notes.push(format!(
                "{}: nothing in the backup goes into {}{at}; a map says what does",
                self.item,
                self.container()
            ));
        }
        (all, notes)
    }

    fn routes_of(&self, way: &Way, from: &From, parts: &[Part], contents: &Contents) -> Vec<Route> {
        let path = from.file.map_or_else(|| way.path.clone(), |file| way.path.join(file));
        let route = |tree: &Tree, prefix: String, below: PathBuf| Route {
            item: self.item.clone(),
            from: from.item.clone(),
            keep: routes::kept(tree, parts),
            only: Vec::new(),
            never: Vec::new(),
            keep_globs: self.part.exclude_kept.clone(),
            owner: self.owner_of(tree, contents),
            passed_over: OF_THE_ADDON.map(str::to_owned).into(),
            tree: Tree { prefix, ..tree.clone() },
            below,
        };
        let around = self
            .part
            .trees
            .iter()
            .filter_map(|tree| Some((tree, path.strip_prefix(&tree.destination).ok()?)));
        let around = around.max_by_key(|(tree, _)| tree.destination.as_os_str().len());
        let around = around.map(|(tree, below)| route(tree, from.path.clone(), below.to_owned()));
        let inside = self.part.trees.iter().filter_map(|tree| {
            let rest = tree.destination.strip_prefix(&path).ok()?;
            let is_inside = !rest.as_os_str().is_empty();
            is_inside.then(|| route(tree, mounts::join(&from.path, rest), PathBuf::new()))
        });
        around.into_iter().chain(inside).collect()
    }

    /// Whose the content becomes; none where it stays whose it is in the backup. There it is
    /// mostly root's, which most images are not.
    fn owner_of(&self, tree: &Tree, contents: &Contents) -> Option<(u32, u32)> {
        match self.owner {
            Some(MapOwner::Keep) => None,
            Some(MapOwner::Of(uid, gid)) => Some((uid, gid)),
            None => {
                let now = contents.found.owners.get(&tree.source).copied();
                let by_table = || self.known.and_then(|it| it.owner(&self.part.image));
                now.filter(|(uid, _)| *uid != 0).or_else(by_table)
            }
        }
    }

    /// The name of the container.
    pub(super) fn container(&self) -> &str {
        self.part.trees.first().map_or("its container", |it| it.container.as_str())
    }

    /// What of it lies in a part of another item, as a person would name it.
    pub(super) fn elsewhere(&self, item: &Item, contents: &Contents) -> Option<String> {
        let mut chosen = self.chosen(contents).filter(|(_, it)| it.item == *item);
        chosen.next().filter(|_| *item != self.item).map(|(_, it)| self.name(it))
    }

    fn name(&self, from: &From) -> String {
        format!("{}/{}", from.item, from.path)
    }
}
