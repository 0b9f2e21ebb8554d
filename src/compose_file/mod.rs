//! The text of a Compose file that makes the containers of a home again.
//!
//! Pure: recipes in, text out. It is what Compose 1.29 and 2 both read, and holds the services of
//! the home and nothing else.

mod foreign;
mod own_words;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

pub use self::foreign::usual;
pub use self::own_words::own_words;
use self::yaml::{Node, scalar};
use crate::model::{Confidential, Recipe, RecipeMount};
use crate::secret::Secret;

/// What becomes of what may be secret.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// It is written, as far as it is known here; a person is asked for the rest.
    Known(&'a BTreeMap<String, Confidential>),
    /// It is known, and not to be seen.
    Hidden,
}

/// A Compose file before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeFile {
    /// All of it. It may hold what is secret.
    pub text: Secret,
    /// The variables that it takes from the environment or from `.env`, since their values are not
    /// known.
    pub to_set: Vec<String>,
    /// What a person should look at.
    pub notes: Vec<String>,
}

/// Writes the file.
pub fn compose_file(recipes: &[Recipe], values: Values<'_>) -> ComposeFile {
    let mut writer = Writer { recipes, values, to_set: BTreeSet::new(), notes: Vec::new() };
    let services: Vec<(String, Node)> =
        recipes.iter().map(|it| (it.service.clone(), writer.service(it))).collect();
    let mut file = vec![("services".to_owned(), Node::Map(services))];
    let volumes = recipes.iter().flat_map(|it| &it.mounts).filter(|it| is_named(it));
    let volumes: BTreeSet<&str> = volumes.map(|it| it.source.as_str()).collect();
    let networks: BTreeSet<&str> =
        recipes.iter().flat_map(|it| it.networks.keys()).map(String::as_str).collect();
    let nothing = |it: &str| (it.to_owned(), Node::Line(String::new()));
    for (key, names) in [("volumes", volumes), ("networks", networks)] {
        let names: Vec<_> = names.into_iter().filter(|it| *it != "default").collect();
        if !names.is_empty() {
            file.push((key.to_owned(), Node::Map(names.into_iter().map(nothing).collect())));
        }
    }
    let mut text = String::from("# Written by hearthkeep from a backup.\n");
    Node::Map(file).write(0, &mut text);
    let to_set = writer.to_set.into_iter().collect();
    ComposeFile { text: Secret::new(text), to_set, notes: writer.notes }
}

struct Writer<'a> {
    recipes: &'a [Recipe],
    values: Values<'a>,
    to_set: BTreeSet<String>,
    notes: Vec<String>,
}

impl Writer<'_> {
    fn service(&mut self, recipe: &Recipe) -> Node {
        let mut service = vec![("image".to_owned(), image(recipe))];
        let mut put = |key: &str, node: Node| {
            if !node.is_empty() {
                service.push((key.to_owned(), node));
            }
        };
        if recipe.has_own_name {
            put("container_name", Node::text(&recipe.container));
        }
        for (key, value) in &recipe.settings {
            put(key, value.into());
        }
        for key in ["entrypoint", "command"].iter().filter(|key| has(recipe, key)) {
            put(key, self.words(recipe, key));
        }
        if has(recipe, "healthcheck") {
            put("healthcheck", self.health(recipe));
        }
        if let Some(mode) = &recipe.network_mode {
            put("network_mode", Node::text(mode));
        }
        put("networks", networks(recipe));
        put("volumes", Node::List(recipe.mounts.iter().map(mount).collect()));
        put("depends_on", self.depends_on(recipe));
        put("environment", self.environment(recipe));
        put("labels", self.labels(recipe));
        self.tell(recipe);
        Node::Map(service)
    }

    fn confidential(&self, recipe: &Recipe) -> Option<&Confidential> {
        match self.values {
            Values::Known(all) => all.get(&recipe.container),
            Values::Hidden => None,
        }
    }

    /// Words of its own; where they are not known, Compose takes them as one text.
    fn words(&mut self, recipe: &Recipe, key: &str) -> Node {
        match self.confidential(recipe).and_then(|it| it.words.get(key)) {
            // An empty list says: none, not even those of the image.
            Some(words) if words.is_empty() => Node::Line("[]".to_owned()),
            Some(words) => Node::texts(words.iter().map(Secret::expose)),
            None => self.ask(recipe, key, false),
        }
    }

    /// A text that is not known here, or not to be seen.
    fn ask(&mut self, recipe: &Recipe, key: &str, is_alone: bool) -> Node {
        if let Values::Hidden = self.values {
            return Node::Line("… # from the backup".to_owned());
        }
        let sound = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let variable: String = match is_alone {
            true => key.chars().map(sound).collect(),
            false => format!("{}_{key}", recipe.service)
                .to_ascii_uppercase()
                .chars()
                .map(sound)
                .collect(),
        };
        let variable = match variable.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("_{variable}"),
            false => variable,
        };
        let node = Node::Line(format!("\"${{{variable}:?set it}}\""));
        self.to_set.insert(variable);
        node
    }

    fn health(&mut self, recipe: &Recipe) -> Node {
        let known = self.confidential(recipe).and_then(|it| it.words.get("healthcheck"));
        let test = match known {
            Some(test) => Node::texts(test.iter().map(Secret::expose)),
            None if matches!(self.values, Values::Hidden) => self.ask(recipe, "healthcheck", false),
            // Without it the container runs all the same.
            None => return Node::Map(Vec::new()),
        };
        let times = recipe.health_times.iter().map(|(key, it)| (key.clone(), Node::from(it)));
        Node::map([("test".to_owned(), test)].into_iter().chain(times))
    }

    fn depends_on(&self, recipe: &Recipe) -> Node {
        const STARTED: &str = "service_started";
        // What has no health check never becomes healthy.
        let lacks_health = |service: &str| {
            let of = self.recipes.iter().find(|it| it.service == service);
            of.is_some_and(|it| {
                let is_known =
                    self.confidential(it).is_some_and(|it| it.words.contains_key("healthcheck"));
                has(it, "healthcheck") && !is_known && !matches!(self.values, Values::Hidden)
            })
        };
        let all = recipe.depends_on.iter().map(|(service, condition)| {
            let is_in_vain = condition == "service_healthy" && lacks_health(service);
            (service.as_str(), if is_in_vain { STARTED } else { condition })
        });
        let all: Vec<(&str, &str)> = all.collect();
        match all.iter().all(|(_, condition)| *condition == STARTED) {
            true => Node::texts(all.into_iter().map(|(service, _)| service)),
            false => Node::map(all.into_iter().map(|(service, condition)| {
                (service, Node::map([("condition", Node::text(condition))]))
            })),
        }
    }

    fn environment(&mut self, recipe: &Recipe) -> Node {
        let mut environment = Vec::new();
        for name in &recipe.variables {
            let known = self.confidential(recipe).and_then(|it| it.environment.get(name));
            let node = match known {
                Some(value) => quoted(value.expose()),
                // One of a name for several services may be another for each.
                None => {
                    let n = self.recipes.iter().filter(|it| it.variables.contains(name)).count();
                    self.ask(recipe, name, n == 1)
                }
            };
            environment.push((name.clone(), node));
        }
        Node::Map(environment)
    }

    fn labels(&mut self, recipe: &Recipe) -> Node {
        let mut labels: Vec<(String, Node)> =
            recipe.labels.iter().map(|(key, it)| (key.clone(), quoted(it))).collect();
        for name in &recipe.more_labels {
            match self.confidential(recipe).and_then(|it| it.labels.get(name)) {
                Some(value) => labels.push((name.clone(), quoted(value.expose()))),
                None if matches!(self.values, Values::Hidden) => {
                    labels.push((name.clone(), self.ask(recipe, name, true)));
                }
                None => (),
            }
        }
        Node::Map(labels)
    }

    fn tell(&mut self, recipe: &Recipe) {
        let service = &recipe.service;
        if recipe.digest.is_none() {
            self.notes.push(format!(
                "{service}: its image {} came from no registry: build or load it here first",
                recipe.image
            ));
        }
        let mut lost = recipe.not_kept.clone();
        if let Values::Known(all) = self.values {
            let known = all.get(&recipe.container);
            let words = |key: &str| known.is_some_and(|it| it.words.contains_key(key));
            if has(recipe, "healthcheck") && !words("healthcheck") {
                lost.push("its health check".to_owned());
            }
            let is_lost = |it: &&String| !known.is_some_and(|known| known.labels.contains_key(*it));
            let labels: Vec<&str> =
                recipe.more_labels.iter().filter(is_lost).map(String::as_str).collect();
            if !labels.is_empty() {
                lost.push(format!("its labels {}", labels.join(", ")));
            }
        }
        if !lost.is_empty() {
            self.notes.push(format!("{service}: not in the file: {}", lost.join("; ")));
        }
    }
}

fn has(recipe: &Recipe, key: &str) -> bool {
    recipe.words.iter().any(|it| it == key)
}

/// A value, in quotes whatever it is: variables and labels are texts, and look like it.
fn quoted(text: &str) -> Node {
    match Node::text(text) {
        Node::Line(line) if !line.starts_with('"') => Node::Line(format!("\"{line}\"")),
        node => node,
    }
}

fn image(recipe: &Recipe) -> Node {
    let image = scalar(&recipe.image.replace('$', "$$"));
    match recipe.digest.as_ref().filter(|it| scalar(it) == **it) {
        Some(digest) if !recipe.image.contains('@') => {
            Node::Line(format!("{image} # was {digest}"))
        }
        _ => Node::Line(image),
    }
}

fn networks(recipe: &Recipe) -> Node {
    let is_default =
        recipe.networks.iter().all(|(it, aliases)| it == "default" && aliases.is_empty());
    if recipe.network_mode.is_some() || is_default {
        return Node::Map(Vec::new());
    }
    if recipe.networks.values().all(Vec::is_empty) {
        return Node::texts(recipe.networks.keys().map(String::as_str));
    }
    Node::map(recipe.networks.iter().map(|(network, aliases)| {
        let aliases = Node::texts(aliases.iter().map(String::as_str));
        let node = if aliases.is_empty() { aliases } else { Node::map([("aliases", aliases)]) };
        (network.as_str(), if node.is_empty() { Node::Line(String::new()) } else { node })
    }))
}

/// Whether it is a volume with a name.
fn is_named(mount: &RecipeMount) -> bool {
    !mount.source.is_empty() && !mount.source.starts_with(['/', '.'])
}

/// A mount on one line, as people write it; where a path has a colon, the long way.
fn mount(mount: &RecipeMount) -> Node {
    let target = mount.target.to_string_lossy();
    if !mount.source.contains(':') && !target.contains(':') {
        let words = [mount.source.as_str(), &target, &mount.mode];
        let words: Vec<&str> = words.into_iter().filter(|it| !it.is_empty()).collect();
        return Node::text(&words.join(":"));
    }
    let kind = if is_named(mount) || mount.source.is_empty() { "volume" } else { "bind" };
    let mut long = vec![("type", Node::text(kind))];
    if !mount.source.is_empty() {
        long.push(("source", Node::text(&mount.source)));
    }
    long.push(("target", Node::text(&target)));
    if mount.mode.split(',').any(|it| it == "ro") {
        long.push(("read_only", Node::Line("true".to_owned())));
    }
    Node::map(long)
}

#[cfg(test)]
mod tests;
