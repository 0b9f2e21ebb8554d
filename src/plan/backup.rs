//! The plan of a backup: what is in it, who is held, and what is left out and why.

use std::path::PathBuf;

use super::mounts::{self, Claims, Place};
use super::{Facts, Hold, Home, How, Refused, hold, home, labels};
use crate::companions::{self, Known};
use crate::model::{Container, Item, Mount, Part, PartKind, State, Tree};

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct BackupRequest {
    /// The backup's name; without one it is named after its extent and Home Assistant's version.
    pub name: Option<String>,
    /// Only these items; empty means all.
    pub only: Vec<String>,
    /// Globs of files to leave out of every part.
    pub exclude: Vec<String>,
    /// Leave out Home Assistant's database.
    pub no_database: bool,
    /// Write the parts without compression.
    pub uncompressed: bool,
}

/// What a backup will do.
#[derive(Debug, Clone)]
pub struct BackupPlan {
    /// The home.
    pub home: Home,
    /// The backup's name.
    pub name: String,
    /// The parts, in the order of the file.
    pub parts: Vec<Part>,
    /// The sources of all mounts that some part has, whether it is in this backup or not: where a
    /// walk comes upon one, it belongs to that part.
    pub stops: Vec<PathBuf>,
    /// The containers that are held, those first that depend on others.
    pub holds: Vec<Hold>,
    /// What is not in the file.
    pub left_out: Vec<LeftOut>,
    /// What a person should look at: who may write meanwhile, and data that is not in the file.
    pub warnings: Vec<String>,
    /// Whether the parts are compressed.
    pub compressed: bool,
}

/// Something that is not in the file, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The container that has it.
    pub container: String,
    /// The path in the container, or `all of it`.
    pub what: String,
    /// The reason, to be read after "left out: ".
    pub why: String,
}

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

/// Makes the plan of a backup.
pub fn backup(facts: &Facts, home: Home, request: &BackupRequest) -> Result<BackupPlan, Refused> {
    let Planned { mut parts, left_out, data_left_out } = all_parts(facts, &home, request)?;
    let stops = parts.iter().flat_map(|it| &it.trees).map(|it| it.source.clone()).collect();
    let n_all = parts.len();
    select(&mut parts, &request.only)?;
    parts.sort_by_key(|it| order(&it.kind));
    let name = name(request, &home, parts.len() < n_all)?;
    let holds = hold::for_backup(&home, &parts)?;
    let is_asked = |item: &Item| request.only.is_empty() || parts.iter().any(|it| it.item == *item);
    let mut warnings = writers(facts, &home, &parts, &holds);
    let lacking = data_left_out.into_iter().filter(|(item, _)| is_asked(item));
    warnings.extend(lacking.map(|(_, warning)| warning));
    let compressed = !request.uncompressed;
    Ok(BackupPlan { home, name, parts, stops, holds, left_out, warnings, compressed })
}

/// A sentence on each container that runs, may write what is backed up, and is not held although
/// nobody asked for that.
fn writers(facts: &Facts, home: &Home, parts: &[Part], holds: &[Hold]) -> Vec<String> {
    let is_restarting = |it: &&Hold| it.was == State::Restarting && it.how == How::Pause;
    let restarting = holds.iter().filter(is_restarting).map(|it| {
        format!(
            "{} is restarted by the engine over and over and cannot be held: it may write while it is backed up",
            it.name
        )
    });
    let is_stranger = |it: &&Container| {
        matches!(it.state, State::Running | State::Restarting)
            && !home::is_us(it, facts)
            && !home.containers().any(|ours| ours.id == it.id)
    };
    // A monitor of the whole host or a manager of all volumes says nothing about this home.
    let writes =
        |it: &&Mount| mounts::unwanted(it, facts).is_none() && hold::writes_into(it, parts);
    let strangers = facts.containers.iter().filter(is_stranger).filter_map(|it| {
        let mount = it.mounts.iter().find(writes)?;
        Some(format!(
            "{} does not belong to the home and is not held: it may write {} while that is backed up",
            it.name,
            mount.source.display()
        ))
    });
    restarting.chain(strangers).collect()
}

/// The parts of a home, and what did not become one.
struct Planned {
    parts: Vec<Part>,
    left_out: Vec<LeftOut>,
    /// A warning for each mount that holds data and is left out, with the item that lacks it.
    data_left_out: Vec<(Item, String)>,
}

/// The parts that a home has, whatever is asked for.
pub(super) fn plan_parts(facts: &Facts, home: &Home) -> Result<Vec<Part>, Refused> {
    Ok(all_parts(facts, home, &BackupRequest::default())?.parts)
}

fn all_parts(facts: &Facts, home: &Home, request: &BackupRequest) -> Result<Planned, Refused> {
    let mut builder = Builder {
        facts,
        request,
        claims: Claims::default(),
        left_out: Vec::new(),
        data_left_out: Vec::new(),
    };
    let mut parts = builder.home_assistant(home)?;
    for companion in &home.companions {
        parts.extend(builder.companion(companion, &parts)?);
    }
    let Builder { left_out, data_left_out, .. } = builder;
    Ok(Planned { parts, left_out, data_left_out })
}

/// The Supervisor's order, private parts last: its password check opens the first `.tar.gz`.
fn order(kind: &PartKind) -> u8 {
    match kind {
        PartKind::HomeAssistant { .. } => 0,
        PartKind::Addon { .. } => 1,
        PartKind::Folder => 2,
        PartKind::Private => 3,
    }
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
        before: &[Part],
    ) -> Result<Option<Part>, Refused> {
        let labels = labels::read(container)?;
        let known = companions::by_image(&container.image);
        let twin = known.and_then(|it| it.addon.as_ref()).filter(|_| labels.slug.is_none());
        let taken = |slug: &str| is_taken(slug, before);
        let twin = twin.filter(|it| !taken(&it.id()));
        let slug = match twin {
            Some(addon) => addon.id(),
            None => free_slug(labels.slug.as_deref(), container, taken),
        };
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
        let kind = match (twin, known) {
            (Some(addon), Some(known)) => addon_kind(addon, known, container),
            _ => PartKind::Private,
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

fn addon_kind(addon: &companions::Addon, known: &Known, container: &Container) -> PartKind {
    let version = companions::tag(&container.image)
        .filter(|it| it.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or("0.0.0")
        .to_owned();
    let running = container.state != State::Stopped;
    PartKind::Addon {
        name: known.name.to_owned(),
        json: companions::addon_json(addon, known.name, &version, running),
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

/// Whether a person means this part. A companion may also be named by its container, or by its
/// add-on's name without the repository.
pub(super) fn is_meant(part: &Part, asked: &str) -> bool {
    let is_companion = matches!(part.kind, PartKind::Addon { .. } | PartKind::Private);
    let by_container = || part.trees.iter().any(|it| it.container == asked);
    let by_short_name =
        || part.item.to_string().split_once('_').is_some_and(|(_, short)| short == asked);
    part.item == Item::parse(asked) || (is_companion && (by_container() || by_short_name()))
}

/// Keeps the parts that were asked for.
fn select(parts: &mut Vec<Part>, only: &[String]) -> Result<(), Refused> {
    for asked in only {
        if !parts.iter().any(|part| is_meant(part, asked)) {
            let known: Vec<String> = parts.iter().map(|it| it.item.to_string()).collect();
            return Err(Refused::UnknownItem { item: asked.clone(), known: known.join(", ") });
        }
    }
    if !only.is_empty() {
        parts.retain(|part| only.iter().any(|asked| is_meant(part, asked)));
    }
    Ok(())
}

fn name(request: &BackupRequest, home: &Home, partial: bool) -> Result<String, Refused> {
    let Some(name) = &request.name else {
        let extent = if partial { "Partial" } else { "Full" };
        let version = home.version.as_deref().map(|it| format!(" {it}")).unwrap_or_default();
        return Ok(format!("{extent} backup{version}"));
    };
    let name = name.trim();
    let problem = match name {
        "" => Some("is empty"),
        "." | ".." => Some("is the name of a folder"),
        it if it.contains(['/', '\\']) => Some("has a slash, which Home Assistant refuses"),
        it if it.contains(char::is_control) => Some("has a control character"),
        // The file is named after it, with a date behind; file systems allow 255 bytes.
        it if it.len() > 200 => Some("is longer than 200 bytes"),
        _ => None,
    };
    match problem {
        Some(problem) => Err(Refused::BadName { name: name.to_owned(), problem }),
        None => Ok(name.to_owned()),
    }
}
