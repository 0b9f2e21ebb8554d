//! `hearthkeep ls`, `cat` and `extract`: single files of a backup.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use super::args::{Cat, Extract, Ls};
use super::list::local;
use super::render::{exit, printable, size};
use super::{Exit, Face};
use crate::archive::{self, Entry, Kind, NoSuchFile, Place};
use crate::island::island;
use crate::model::Item;

#[derive(Debug, Serialize)]
struct Listing {
    entries: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    #[serde(rename = "type")]
    kind: Kind,
    size: u64,
    mode: u32,
    uid: u64,
    gid: u64,
    /// Seconds, and the nanoseconds on top of them.
    mtime: (i64, i64),
    target: Option<String>,
}

pub(super) async fn ls(face: &Face, args: Ls) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("reading", 0);
    let listing = island("reading", move || {
        let places: Vec<Place> = match &args.path {
            Some(path) => vec![archive.place(path)?],
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
        match args.path {
            Some(wanted) if listed.is_empty() => {
                Err(NoSuchFile { wanted, archive: archive.path.clone() }.into())
            }
            _ => Ok(Listing { entries: listed }),
        }
    })
    .await?;
    face.out.print(&listing, || text(&listing.entries));
    Ok(Exit::Done)
}

fn row(item: &Item, entry: Entry) -> Listed {
    let path = match entry.path.as_bytes() {
        b"." => item.to_string(),
        _ => format!("{item}/{}", entry.path),
    };
    Listed {
        path,
        kind: entry.kind,
        size: entry.size,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        target: entry.target.map(|it| it.to_string()),
    }
}

/// One line for each, made one by one: there may be hundreds of thousands.
fn text(listed: &[Listed]) -> String {
    let line = |it: &Listed| {
        let kind = match it.kind {
            Kind::File | Kind::Hardlink => '-',
            Kind::Folder => 'd',
            Kind::Symlink => 'l',
        };
        let target = it.target.as_ref().map(|it| format!(" -> {it}")).unwrap_or_default();
        let bytes = if it.kind == Kind::File { size(it.size) } else { String::new() };
        let when = jiff::Timestamp::from_second(it.mtime.0).map(|it| local(&it.to_string()));
        format!(
            "{kind}{}  {:<11}  {bytes:>10}  {:<16}  {}\n",
            permissions(it.mode),
            format!("{}:{}", it.uid, it.gid),
            when.unwrap_or_default(),
            printable(&format!("{}{target}", it.path)),
        )
    };
    listed.iter().map(line).collect()
}

/// `rwxr-x---`
fn permissions(mode: u32) -> String {
    let bit = |n: u32, letter: char| if mode & (1 << n) == 0 { '-' } else { letter };
    (0..9).rev().map(|n| bit(n, ['x', 'w', 'r'][n as usize % 3])).collect()
}

pub(super) async fn cat(face: &Face, args: Cat) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    let printed = island("reading", move || {
        let mut out = std::io::stdout();
        archive::cat(&archive, &args.path, &mut out, &cancel, &*monitor)?;
        Ok(out.flush()?)
    });
    match printed.await {
        Err(err) if has_gone(&err) => Ok(Exit::Done),
        printed => printed.map(|()| Exit::Done),
    }
}

/// Whether somebody was there to read (`| head`) and has read enough.
fn has_gone(err: &anyhow::Error) -> bool {
    err.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
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
