//! `hearthkeep list` and `show`.

use serde::Serialize;

use super::render::{size, table};
use super::{Exit, Face};
use crate::archive::{Archive, Metadata};
use crate::catalog::{self, Booted};
use crate::island::island;
use crate::model::Item;
use crate::store;

#[derive(Debug, Serialize)]
struct Listed {
    slug: String,
    name: String,
    date: String,
    path: String,
    size_bytes: u64,
    protected: bool,
    compressed: bool,
    homeassistant: Option<String>,
    items: Vec<String>,
    /// The job that it belongs to, empty for the one without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    pinned: bool,
    /// What the last boot test has shown.
    boot: Option<Booted>,
}

impl Listed {
    fn new(archive: &Archive, boot: Option<Booted>) -> Listed {
        let metadata = &archive.metadata;
        let job = metadata.hearthkeep.as_ref().and_then(|it| it.job.as_ref());
        Listed {
            slug: metadata.slug.clone(),
            name: metadata.name.clone(),
            date: metadata.date.clone(),
            path: archive.path.display().to_string(),
            size_bytes: archive.size_bytes,
            protected: metadata.protected,
            compressed: metadata.compressed,
            homeassistant: metadata.homeassistant.as_ref().map(|it| it.version.clone()),
            items: metadata.items().iter().map(Item::to_string).collect(),
            profile: job.map(|it| it.profile.clone()),
            pinned: store::is_pinned(&archive.path, &metadata.slug),
            boot,
        }
    }
}

#[derive(Debug, Serialize)]
struct Listing {
    store: String,
    backups: Vec<Listed>,
    unreadable: Vec<String>,
}

pub(super) async fn list(face: &Face) -> anyhow::Result<Exit> {
    let store = face.store().await?;
    let folder = store.folder().display().to_string();
    let listing = island("reading the store", move || {
        let catalog = catalog::read(&store)?;
        let listed = |it: &Archive| Listed::new(it, Booted::of(it));
        Ok(Listing {
            store: folder,
            backups: catalog.backups.iter().map(listed).collect(),
            unreadable: catalog.unreadable.iter().map(|it| it.to_string()).collect(),
        })
    })
    .await?;
    face.out.print(&listing, || text(&listing));
    face.out.warnings(&listing.unreadable);
    Ok(Exit::Done)
}

fn text(listing: &Listing) -> String {
    if listing.backups.is_empty() {
        return format!("no backups in {}", listing.store);
    }
    let is_tried = listing.backups.iter().any(|it| it.boot.is_some());
    let mut head = vec!["SLUG", "DATE", "SIZE", "NAME", "ITEMS"];
    head.extend(is_tried.then_some("BOOT TEST"));
    let head: Vec<String> = head.into_iter().map(str::to_owned).collect();
    let rows = listing.backups.iter().map(|it| {
        let cipher = if it.protected { " (encrypted)" } else { "" };
        let pin = if it.pinned { " (pinned)" } else { "" };
        vec![
            it.slug.clone(),
            local(&it.date),
            size(it.size_bytes),
            format!("{}{cipher}{pin}", it.name),
            it.items.join(" "),
            it.boot.as_ref().map(booted).unwrap_or_default(),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// `boots, 2026-11-25`.
fn booted(boot: &Booted) -> String {
    let what = if boot.passed { "boots" } else { "does not boot" };
    format!("{what}, {}", local_as(&boot.when, "%Y-%m-%d"))
}

/// A date in the time zone of this machine, to the minute.
pub(super) fn local(date: &str) -> String {
    local_as(date, "%Y-%m-%d %H:%M")
}

fn local_as(date: &str, form: &str) -> String {
    match date.parse::<jiff::Timestamp>() {
        Ok(when) => when.to_zoned(jiff::tz::TimeZone::system()).strftime(form).to_string(),
        Err(_) => date.to_owned(),
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    metadata: Metadata,
    members: Vec<ShownMember>,
}

#[derive(Debug, Serialize)]
struct ShownMember {
    name: String,
    size_bytes: u64,
}

pub(super) async fn show(face: &Face, wanted: &str) -> anyhow::Result<Exit> {
    let archive = face.open(wanted).await?;
    let look = move || {
        let boot = Booted::of(&archive);
        Ok((archive, boot))
    };
    let (archive, boot) = island("looking for a boot test", look).await?;
    let members = archive.members.iter();
    let shown = Shown {
        listed: Listed::new(&archive, boot.clone()),
        metadata: archive.metadata.clone(),
        members: members
            .map(|it| ShownMember { name: it.name.clone(), size_bytes: it.size })
            .collect(),
    };
    face.out.print(&shown, || details(&archive, boot.as_ref()));
    Ok(Exit::Done)
}

fn details(archive: &Archive, boot: Option<&Booted>) -> String {
    let metadata = &archive.metadata;
    let mut rows = vec![
        vec!["slug".to_owned(), metadata.slug.clone()],
        vec!["name".to_owned(), metadata.name.clone()],
        vec!["date".to_owned(), metadata.date.clone()],
        vec!["file".to_owned(), archive.path.display().to_string()],
        vec!["size".to_owned(), size(archive.size_bytes)],
    ];
    if let Some(record) = &metadata.homeassistant {
        let database = if record.exclude_database { ", without its database" } else { "" };
        rows.push(vec!["home".to_owned(), format!("Home Assistant {}{database}", record.version)]);
    }
    if let Some(job) = metadata.hearthkeep.as_ref().and_then(|it| it.job.as_ref()) {
        let profile = if job.profile.is_empty() { "without a profile" } else { &job.profile };
        rows.push(vec!["job".to_owned(), format!("{profile}, of {}", job.home)]);
    }
    if store::is_pinned(&archive.path, &metadata.slug) {
        rows.push(vec!["pin".to_owned(), "stays until it is unpinned".to_owned()]);
    }
    if metadata.protected {
        rows.push(vec!["cipher".to_owned(), "encrypted".to_owned()]);
    }
    if let Some(boot) = boot {
        let reason = boot.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        rows.push(vec!["boot test".to_owned(), format!("{}{reason}", booted(boot))]);
    }
    let mut text = table(&rows);
    text += "\nitems:\n";
    let records = metadata.hearthkeep.iter().flat_map(|it| &it.parts).collect::<Vec<_>>();
    let items = metadata.items();
    let rows = items.iter().map(|item| {
        let bytes = archive.member_of(item).map_or("missing".to_owned(), |it| size(it.size));
        let record = records.iter().find(|it| it.item == item.to_string());
        let mounts = record.map(|it| &it.trees).into_iter().flatten();
        let from: Vec<String> =
            mounts.map(|it| format!("{}:{}", it.container, it.destination.display())).collect();
        vec![format!("  {item}"), bytes, from.join(", ")]
    });
    text + &table(&rows.collect::<Vec<_>>())
}
