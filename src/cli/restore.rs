//! `hearthkeep restore`.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::args::Restore;
use super::exit::Mistake;
use super::render::{exit, table};
use super::{Exit, Face};
use crate::archive::Archive;
use crate::plan::{RestorePlan, RestoreRequest};
use crate::restore::{self, Order, Report, Trial};
use crate::signals;

pub(super) async fn run(face: &Face, args: Restore) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let order = Order {
        pick: face.pick(),
        request: RestoreRequest { only: args.only },
        trial: Trial { patience: face.profile.patience },
    };
    let hands = face.hands().await?;
    if args.dry_run || !args.yes {
        let (plan, _) = restore::prepare(&hands, &archive, &order).await?;
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
            "prefix": it.tree.prefix,
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
        let to = format!("{}:{}", it.tree.container, it.tree.destination.display());
        let keep: Vec<String> = it.keep.iter().map(|it| it.display().to_string()).collect();
        let keep = match keep.as_slice() {
            [] => String::new(),
            _ => format!("keeps {}", keep.join(", ")),
        };
        vec![format!("  {}", it.item), format!("replaces {to}"), keep]
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
