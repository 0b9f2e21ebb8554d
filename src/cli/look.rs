//! `hearthkeep ls`, `cat` and `extract`: single files of a backup.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::args::{Cat, Extract, Ls};
use super::list::local;
use super::render::{exit, size, table};
use super::{Exit, Face};
use crate::archive::{self, Entry, Kind, Place};
use crate::island::island;
use crate::model::Item;

#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    #[serde(flatten)]
    entry: Entry,
}

pub(super) async fn ls(face: &Face, args: Ls) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("reading", 0);
    let listed = island("reading", move || {
        let places: Vec<Place> = match args.path {
            Some(path) => vec![archive.place(&path)?],
            None => archive.metadata.items().into_iter().map(Place::all).collect(),
        };
        let mut listed = Vec::new();
        for place in places {
            let all = archive::entries(&archive, &place.item, false, &cancel, &*monitor)?;
            listed.extend(
                all.into_iter().filter(|it| place.holds(it)).map(|it| row(&place.item, it)),
            );
        }
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    })
    .await?;
    face.out.print(&json!({ "entries": listed }), || text(&listed));
    Ok(Exit::Done)
}

fn row(item: &Item, entry: Entry) -> Listed {
    let path = match entry.path.as_bytes() {
        b"." => item.to_string(),
        _ => format!("{item}/{}", entry.path),
    };
    Listed { path, entry }
}

fn text(listed: &[Listed]) -> String {
    let rows = listed.iter().map(|it| {
        let entry = &it.entry;
        let kind = match entry.kind {
            Kind::File | Kind::Hardlink => '-',
            Kind::Folder => 'd',
            Kind::Symlink => 'l',
        };
        let target = entry.target.as_ref().map(|it| format!(" -> {it}")).unwrap_or_default();
        let bytes = if entry.kind == Kind::File { size(entry.size) } else { String::new() };
        let when = jiff::Timestamp::from_second(entry.mtime.0).map(|it| local(&it.to_string()));
        vec![
            format!("{kind}{}", permissions(entry.mode)),
            format!("{}:{}", entry.uid, entry.gid),
            bytes,
            when.unwrap_or_default(),
            format!("{}{target}", printable(&it.path)),
        ]
    });
    table(&rows.collect::<Vec<_>>())
}

/// `rwxr-x---`
fn permissions(mode: u32) -> String {
    let bit = |n: u32, letter: char| if mode & (1 << n) == 0 { '-' } else { letter };
    (0..9).rev().map(|n| bit(n, ['x', 'w', 'r'][n as usize % 3])).collect()
}

/// A name may hold what would move a terminal's cursor.
fn printable(name: &str) -> String {
    name.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

pub(super) async fn cat(face: &Face, args: Cat) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    island("reading", move || {
        let mut out = std::io::stdout();
        archive::cat(&archive, &args.path, &mut out, &cancel, &*monitor)?;
        Ok(out.flush()?)
    })
    .await?;
    Ok(Exit::Done)
}

pub(super) async fn extract(face: &Face, args: Extract) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("extracting", 0);
    let to = args.to.display().to_string();
    let paths = args.paths.clone();
    let done = island("extracting", move || {
        archive::take_out(&archive, &args.paths, &args.to, &cancel, &*monitor)
    })
    .await?;
    face.out.print(&json!({ "to": to, "paths": paths, "warnings": done.warnings }), || {
        let paths = paths.iter().map(|it| format!("{to}/{it}\n"));
        paths.collect()
    });
    face.out.warnings(&done.warnings);
    Ok(exit(&done.warnings))
}
