//! The parts of a home: which mount goes into which inner tar, and what becomes no part.

use super::mounts::{self, Claims, Place};
use super::{BackupRequest, Facts, Home, LeftOut, Refused, labels};
use crate::companions::{self, Known};
use crate::model::{Container, Item, Mount, Part, PartKind, State, Tree};

/// What Home Assistant's own backup leaves out (home-assistant/core,
/// `homeassistant/components/backup/const.py`).
const HOME_ASSISTANT_EXCLUDES: [&str; 11] = [
    "/config/**/__pycache__/*",
    "/config/**/.DS_Store",
    "/config/.HA_RESTORE",
    "/config/*.db-shm",
    "/config/*.log.*",
    "/config/*.log",
    "/config/OZW_Log.txt",
    "/config/backups/*.tar",
    "/config/tmp_backups/*.tar",
    "/config/tts/*",
    "/config/.cache/*",
];

/// What no part needs: SQLite builds the index of its write-ahead log again, and what an
/// interrupted restore left is not the home's.
const ALL_EXCLUDES: [&str; 2] = ["*.{db,sqlite,sqlite3}-shm", ".hearthkeep-*"];

const DATABASE: [&str; 2] = ["/config/home-assistant_v2.db", "/config/home-assistant_v2.db-wal"];

/// The parts of a home, and what did not become one.
pub(super) struct Planned {
    pub(super) parts: Vec<Part>,
    pub(super) left_out: Vec<LeftOut>,
    /// A warning for each mount that holds data and is left out, with the item that lacks it.
    pub(super) data_left_out: Vec<(Item, String)>,
}

/// The parts that a home has, whatever is asked for.
pub(super) fn plan_parts(facts: &Facts, home: &Home) -> Result<Vec<Part>, Refused> {
    Ok(all_parts(facts, home, &BackupRequest::default())?.parts)
}

pub(super) fn all_parts(
    facts: &Facts,
    home: &Home,
    request: &BackupRequest,
) -> Result<Planned, Refused> {
    let mut builder = Builder {
        facts,
        request,
        claims: Claims::default(),
        left_out: Vec::new(),
        data_left_out: Vec::new(),
    };
    labels::check_slugs(&home.companions)?;
    let mut parts = builder.home_assistant(home)?;
    let claimed: Vec<&str> = home
        .companions
        .iter()
        .filter_map(|it| it.label("hearthkeep.slug"))
        .map(str::trim)
        .collect();
    for companion in &home.companions {
        parts.extend(builder.companion(companion, &claimed, &parts)?);
    }
    let Builder { left_out, data_left_out, .. } = builder;
    Ok(Planned { parts, left_out, data_left_out })
}

struct Builder<'a> {
    facts: &'a Facts,
    request: &'a BackupRequest,
    claims: Claims,
    left_out: Vec<LeftOut>,
    data_left_out: Vec<(Item, String)>,
}

impl Builder<'_> {
    fn home_assistant(&mut self, home: &Home) -> Result<Vec<Part>, Refused> {
        let container = &home.homeassistant;
        let own_excludes = labels::read(container)?.exclude;
        let mut parts: Vec<Part> = Vec::new();
        // The configuration first: it claims its folder before a mount around it does.
        let mut in_order = sorted(&container.mounts);
        in_order.sort_by_key(|it| !it.destination.starts_with("/config"));
        for mount in in_order {
            let (place, prefix) = mounts::place(&mount.destination);
            let (item, kind) = match place {
                Place::Config => (Item::HomeAssistant, self.home_assistant_kind(home)),
                Place::Folder(name) => (Item::Folder(name), PartKind::Folder),
                Place::Elsewhere => {
                    (Item::Companion("homeassistant_other".to_owned()), PartKind::Private)
                }
            };
            let Some(mut tree) = self.take(container, mount, prefix, &item) else { continue };
            let before = parts.iter().find(|it| it.item == item).map(|it| it.trees.as_slice());
            tree.prefix =
                mounts::free_prefix(tree.prefix, before.unwrap_or_default(), &mount.destination);
            match parts.iter_mut().find(|it| it.item == item) {
                Some(part) => part.trees.push(tree),
                None => {
                    let builtin: &[&str] = match item {
                        Item::HomeAssistant => &HOME_ASSISTANT_EXCLUDES,
                        _ => &[],
                    };
                    let mut part = self.part(item, kind, container, builtin, &own_excludes);
                    if part.item == Item::HomeAssistant && self.request.no_database {
                        part.exclude_kept.extend(DATABASE.map(str::to_owned));
                    }
                    part.trees.push(tree);
                    parts.push(part);
                }
            }
        }
        self.check_config(container)?;
        Ok(parts)
    }

    /// Refuses a home whose configuration is in no part.
    fn check_config(&self, container: &Container) -> Result<(), Refused> {
        let name = &container.name;
        let is_config = |it: &&LeftOut| it.container == *name && it.what == "/config";
        match (container.mounted_at("/config"), self.left_out.iter().find(is_config)) {
            (None, _) => Err(Refused::Nothing(format!(
                "container {name} has nothing mounted at /config: its configuration would be lost with it; mount a volume or folder there"
            ))),
            (Some(_), Some(left_out)) => Err(Refused::Nothing(format!(
                "container {name}: what is mounted at /config cannot be backed up ({}); mount a volume or folder of this host there",
                left_out.why
            ))),
            (Some(_), None) => Ok(()),
        }
    }

    fn home_assistant_kind(&self, home: &Home) -> PartKind {
        PartKind::HomeAssistant {
            // Older than every Home Assistant, so that none refuses it as too new.
            version: home.version.clone().unwrap_or_else(|| "0.0.0".to_owned()),
            exclude_database: self.request.no_database,
        }
    }

    fn companion(
        &mut self,
        container: &Container,
        claimed: &[&str],
        before: &[Part],
    ) -> Result<Option<Part>, Refused> {
        let labels = labels::read(container)?;
        let taken = |slug: &str| is_taken(slug, before);
        let twin = twin_of(container, labels.slug.as_deref(), claimed);
        let twin = twin.filter(|(_, addon)| !taken(&addon.id()));
        let slug = match twin {
            Some((_, addon)) => addon.id(),
            None => free_slug(labels.slug.as_deref(), container, taken),
        };
        let by_image = || companions::by_image(&container.image);
        let known = twin.map(|(known, _)| known).or_else(by_image);
        let item = Item::Companion(slug);
        let mut trees: Vec<Tree> = Vec::new();
        for mount in sorted(&container.mounts) {
            let prefix = mounts::companion_prefix(twin.and(known), &mount.destination);
            let Some(mut tree) = self.take(container, mount, prefix, &item) else { continue };
            tree.prefix = mounts::free_prefix(tree.prefix, &trees, &mount.destination);
            trees.push(tree);
        }
        if trees.is_empty() {
            self.leave_out(container, "all of it", "nothing of its own is mounted into it");
            return Ok(None);
        }
        // What the table leaves out is the home's all the same: recordings, caches, models.
        let known_excludes = known.map(|it| it.exclude).unwrap_or_default().iter();
        let kept: Vec<String> =
            known_excludes.map(|it| (*it).to_owned()).chain(labels.exclude).collect();
        let kind = match twin {
            Some((known, addon)) => addon_kind(addon, known, container),
            None => PartKind::Private,
        };
        let part = self.part(item, kind, container, &[], &kept);
        Ok(Some(Part { trees, ..part }))
    }

    /// The tree of a mount, unless it is unwanted or somebody else's.
    fn take(
        &mut self,
        container: &Container,
        mount: &Mount,
        prefix: String,
        item: &Item,
    ) -> Option<Tree> {
        let what = mount.destination.display().to_string();
        if let Some(why) = mounts::unwanted(mount, self.facts) {
            self.leave_out(container, &what, why);
            if mounts::holds_data(mount) {
                let warning = format!("{what} of {} is not backed up: {why}", container.name);
                self.data_left_out.push((item.clone(), warning));
            }
            return None;
        }
        match self.claims.claim(&mount.source, &item.to_string()) {
            Ok(()) => Some(mounts::tree(container, mount, prefix)),
            Err(why) => {
                self.leave_out(container, &what, &why);
                None
            }
        }
    }

    fn leave_out(&mut self, container: &Container, what: &str, why: &str) {
        self.left_out.push(LeftOut {
            container: container.name.clone(),
            what: what.to_owned(),
            why: why.to_owned(),
        });
    }

    /// A part without trees yet.
    fn part(
        &self,
        item: Item,
        kind: PartKind,
        container: &Container,
        builtin: &[&str],
        kept: &[String],
    ) -> Part {
        Part {
            item,
            kind,
            trees: Vec::new(),
            image: container.image.clone(),
            exclude: ALL_EXCLUDES.iter().chain(builtin).map(|it| (*it).to_owned()).collect(),
            exclude_kept: kept.iter().chain(&self.request.exclude).cloned().collect(),
        }
    }
}

/// Mounts in the order of their destination, so that an outer one comes before what lies in it.
fn sorted(mounts: &[Mount]) -> Vec<&Mount> {
    let mut sorted: Vec<&Mount> = mounts.iter().collect();
    sorted.sort_by(|a, b| a.destination.cmp(&b.destination));
    sorted
}

/// The add-on that a container is. A label that names one makes it that, whatever its image; then no
/// other container is it by its image.
fn twin_of(
    container: &Container,
    label: Option<&str>,
    claimed: &[&str],
) -> Option<(&'static Known, &'static companions::Addon)> {
    let Some(slug) = label else {
        let known = companions::by_image(&container.image)?;
        let addon = known.addons.first()?;
        return (!claimed.contains(&addon.id().as_str())).then_some((known, addon));
    };
    companions::by_addon(slug)
}

fn addon_kind(addon: &companions::Addon, known: &Known, container: &Container) -> PartKind {
    let version = companions::tag(&container.image)
        .filter(|it| it.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or("0.0.0")
        .to_owned();
    let running = container.state != State::Stopped;
    PartKind::Addon {
        name: known.name.to_owned(),
        json: companions::addon_json(addon, known, &version, running),
        version,
        repository: addon.repository.to_owned(),
    }
}

fn is_taken(slug: &str, before: &[Part]) -> bool {
    matches!(slug, "homeassistant" | "supervisor" | "share" | "ssl" | "media" | "addons_local")
        || before.iter().any(|it| it.item.to_string() == slug)
}

/// The slug of a companion without a twin: its label, its service or its name, in letters that
/// any file name may have, and not taken by another item.
fn free_slug(label: Option<&str>, container: &Container, taken: impl Fn(&str) -> bool) -> String {
    let wanted = label.or(container.service()).unwrap_or(&container.name);
    let sound = |c: char| match c {
        'a'..='z' | '0'..='9' | '-' | '_' => c,
        'A'..='Z' => c.to_ascii_lowercase(),
        _ => '_',
    };
    let stem: String = wanted.chars().map(sound).collect();
    let mut slug = stem.clone();
    for n in 2.. {
        if !taken(&slug) {
            break;
        }
        slug = format!("{stem}_{n}");
    }
    slug
}
