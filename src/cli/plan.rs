//! `hearthkeep plan` and `backup --dry-run`.

use serde::Serialize;

use super::render::{size, table};
use super::{Exit, Face};
use crate::backup::{self, Prepared};
use crate::model::{PartKind, State};
use crate::plan::{BackupPlan, How};

pub(super) async fn run(face: &Face) -> anyhow::Result<Exit> {
    let hands = face.hands().await?;
    let prepared = backup::prepare(&hands, &face.pick(), &face.profile.request()).await?;
    let view = view(&prepared);
    face.out.print(&view, || text(&view));
    face.out.warnings(&view.warnings);
    Ok(Exit::Done)
}

/// The plan as data that stays the same in JSON whatever happens inside.
#[derive(Debug, Serialize)]
struct View {
    name: String,
    homeassistant: String,
    version: Option<String>,
    project: Option<String>,
    store: String,
    compressed: bool,
    bytes: u64,
    /// What is copied while everything runs, in bytes.
    copied_bytes: u64,
    /// Where to; without it everything is held until the archive is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied_to: Option<String>,
    items: Vec<Item>,
    containers: Vec<Container>,
    left_out: Vec<LeftOut>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Item {
    item: String,
    kind: &'static str,
    member: String,
    bytes: u64,
    entries: u64,
    mounts: Vec<Mount>,
    exclude: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Mount {
    container: String,
    path: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<String>,
}

#[derive(Debug, Serialize)]
struct Container {
    name: String,
    image: String,
    state: State,
    hold: How,
    consistency: String,
    hooks: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    container: String,
    what: String,
    why: String,
}

fn view(prepared: &Prepared) -> View {
    let plan = &prepared.plan;
    let home = &plan.home.homeassistant;
    View {
        name: plan.name.clone(),
        homeassistant: home.name.clone(),
        version: plan.home.version.clone(),
        project: home.project().map(str::to_owned),
        store: prepared.store.folder().display().to_string(),
        compressed: plan.compressed,
        bytes: prepared.bytes(),
        copied_bytes: prepared.needs,
        copied_to: prepared.staging.as_ref().map(|it| it.folder.display().to_string()),
        items: items(prepared),
        containers: containers(prepared),
        left_out: plan
            .left_out
            .iter()
            .map(|it| LeftOut {
                container: it.container.clone(),
                what: it.what.clone(),
                why: it.why.clone(),
            })
            .collect(),
        warnings: plan.warnings.clone(),
    }
}

fn items(prepared: &Prepared) -> Vec<Item> {
    let plan = &prepared.plan;
    let item = |(part, extent): (&crate::model::Part, &crate::capture::Extent)| Item {
        item: part.item.to_string(),
        kind: match part.kind {
            PartKind::HomeAssistant { .. } => "homeassistant",
            PartKind::Folder => "folder",
            PartKind::Addon { .. } => "addon",
            PartKind::Private => "private",
        },
        member: part.member(plan.compressed),
        bytes: extent.bytes,
        entries: extent.entries,
        mounts: part
            .trees
            .iter()
            .map(|it| Mount {
                container: it.container.clone(),
                path: it.destination.display().to_string(),
                source: it.source.display().to_string(),
                volume: it.volume.clone(),
            })
            .collect(),
        exclude: part.exclude_kept.clone(),
    };
    plan.parts.iter().zip(&prepared.extents).map(item).collect()
}

fn containers(prepared: &Prepared) -> Vec<Container> {
    let plan = &prepared.plan;
    let container = |it: &crate::model::Container| Container {
        name: it.name.clone(),
        image: it.image.clone(),
        state: it.state,
        hold: plan.holds.iter().find(|hold| hold.id == it.id).map_or(How::None, |it| it.how),
        consistency: crate::plan::consistency(it, &plan.holds),
        hooks: hooks(plan, &it.id),
    };
    plan.home.containers().map(container).collect()
}

/// Which hooks a container has. Their commands may hold secrets.
fn hooks(plan: &BackupPlan, id: &str) -> Vec<&'static str> {
    let Some(hooks) = plan.hooks.iter().find(|it| it.id == id) else { return Vec::new() };
    let before = hooks.before.iter().map(|_| "before");
    before.chain(hooks.after.iter().map(|_| "after")).collect()
}

fn text(view: &View) -> String {
    let version = view.version.as_deref().unwrap_or("of unknown version");
    let project = view.project.as_ref().map(|it| format!(" of project {it}")).unwrap_or_default();
    let mut text = format!(
        "\"{}\": Home Assistant {version} in {}{project}\n\nbacked up, {} before compression, to {}:\n",
        view.name,
        view.homeassistant,
        size(view.bytes),
        view.store
    );
    let rows = view.items.iter().map(|it| {
        let container = it.mounts.first().map(|it| it.container.as_str()).unwrap_or_default();
        let paths: Vec<&str> = it.mounts.iter().map(|it| it.path.as_str()).collect();
        let entries = format!("{} entries", it.entries);
        let from = format!("{container}:{}", paths.join(", "));
        vec![format!("  {}", it.item), size(it.bytes), entries, from]
    });
    text += &table(&rows.collect::<Vec<_>>());
    text += &match &view.copied_to {
        Some(folder) => format!(
            "\nheld for a moment, once {} of what changes is copied to {folder}:\n",
            size(view.copied_bytes)
        ),
        None => "\nheld until the archive is written:\n".to_owned(),
    };
    let rows = view.containers.iter().map(|it| {
        let how = match (it.hold, it.state) {
            (How::Pause, State::Paused) => "is paused already",
            (How::Pause, _) => "paused",
            (How::Stop, _) => "stopped and started again",
            (How::None, State::Stopped) => "is stopped already",
            (How::None, _) => "goes on",
        };
        let hooks = match it.hooks.as_slice() {
            [] => String::new(),
            words => format!("; hooks: {}", words.join(" and ")),
        };
        vec![format!("  {}", it.name), format!("{how}{hooks}"), it.consistency.clone()]
    });
    text += &table(&rows.collect::<Vec<_>>());
    if !view.left_out.is_empty() {
        text += "\nleft out:\n";
        let rows = view
            .left_out
            .iter()
            .map(|it| vec![format!("  {}:{}", it.container, it.what), it.why.clone()]);
        text += &table(&rows.collect::<Vec<_>>());
    }
    text
}
