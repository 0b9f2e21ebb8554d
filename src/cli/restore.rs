//! `hearthkeep restore`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Restore;
use super::exit::Mistake;
use super::render::{exit, table};
use super::{Exit, Face};
use crate::archive::Archive;
use crate::island::island;
use crate::mapfile;
use crate::plan::{Map, RestorePlan, RestoreRequest, Route};
use crate::restore::{self, Order, Report, Trial};
use crate::signals;

pub(super) async fn run(face: &Face, args: Restore) -> anyhow::Result<Exit> {
    let map = match args.map {
        Some(file) => island("reading the map", move || Ok(mapfile::read(&file)?)).await?,
        None => Map::default(),
    };
    let archive = face.unlocked(&args.backup).await?;
    let order = Order {
        pick: face.pick(),
        request: RestoreRequest { only: args.only, map },
        trial: Trial { patience: Duration::from_secs(args.patience) },
    };
    let hands = face.hands().await?;
    if args.dry_run || !args.yes {
        let (plan, _) = restore::prepare(&hands, &archive, &order, &face.cancel).await?;
        if args.dry_run {
            face.out.print(&object(&archive, &plan), || text(&archive, &plan));
            return Ok(Exit::Done);
        }
        confirm(face, &text(&archive, &plan))?;
    }
    let report = restore::run(&hands, archive, &order, &face.cancel).await?;
    drop(hands);
    face.out.print(&report, || done(&report));
    face.out.warnings(&report.warnings);
    Ok(exit(&report.warnings))
}

/// Asks whether to go on.
fn confirm(face: &Face, plan: &str) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Mistake("a restore replaces data: say --yes".to_owned()).into());
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{plan}\nGo on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    signals::check(&face.cancel)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(signals::Cancelled.into()),
    }
}

fn object(archive: &Archive, plan: &RestorePlan) -> Value {
    let moves = plan.routes.iter().map(|it| {
        json!({
            "item": it.item.to_string(),
            "container": it.tree.container,
            "path": it.tree.destination,
            "target": it.tree.source,
            "from": it.from.to_string(),
            "prefix": it.tree.prefix,
            "below": it.below,
            "owner": it.owner.map(|(uid, gid)| format!("{uid}:{gid}")),
            "keep": it.keep,
        })
    });
    let stops = plan.stops.iter().map(|it| it.name.as_str());
    json!({
        "slug": archive.metadata.slug,
        "name": archive.metadata.name,
        "moves": moves.collect::<Vec<_>>(),
        "stops": stops.collect::<Vec<_>>(),
        "notes": plan.notes,
    })
}

fn text(archive: &Archive, plan: &RestorePlan) -> String {
    let metadata = &archive.metadata;
    let mut text = format!("restore \"{}\" of {}:\n", metadata.name, metadata.date);
    let rows = plan.routes.iter().map(|it| {
        // Pushing an empty path would add a slash.
        let path: PathBuf = it.tree.destination.join(&it.below).components().collect();
        let to = format!("{}:{}", it.tree.container, path.display());
        vec![format!("  {}", it.item), format!("replaces {to}"), how(it)]
    });
    text += &table(&rows.collect::<Vec<_>>());
    let stops: Vec<&str> = plan.stops.iter().map(|it| it.name.as_str()).collect();
    match stops.as_slice() {
        [] => text += "no container is stopped for it\n",
        _ => text += &format!("stopped and started again: {}\n", stops.join(", ")),
    }
    for note in &plan.notes {
        text += &format!("note: {note}\n");
    }
    text
}

/// What is special about a move.
fn how(route: &Route) -> String {
    let mut words = Vec::new();
    if route.from != route.item {
        words.push(format!("by {}/{}", route.from, route.tree.prefix));
    }
    words.extend(route.owner.map(|(uid, gid)| format!("owner {uid}:{gid}")));
    if !route.keep.is_empty() {
        let keep: Vec<String> = route.keep.iter().map(|it| it.display().to_string()).collect();
        words.push(format!("keeps {}", keep.join(", ")));
    }
    words.join("; ")
}

fn done(report: &Report) -> String {
    let notes: String = report.notes.iter().map(|it| format!("  note  {it}\n")).collect();
    format!(
        "restored {} of \"{}\" ({})\n  time  {:.1} s\n  down  {:.1} s\n{notes}",
        report.items.join(", "),
        report.name,
        report.slug,
        report.duration_seconds,
        report.longest_hold_seconds,
    )
}
