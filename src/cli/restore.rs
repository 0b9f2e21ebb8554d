//! `hearthkeep restore`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use super::args::Restore;
use super::exit::Mistake;
use super::render::{exit, size, table};
use super::{Exit, Face, ask, onto};
use crate::archive::Archive;
use crate::hands::Hands;
use crate::island::island;
use crate::mapfile;
use crate::plan::{Database, Map, RestoreRequest};
use crate::restore::{self, Move, Order, Outlook, Preview, Report, Trial};
use crate::signals;

pub(super) async fn run(face: &Face, args: Restore) -> anyhow::Result<Exit> {
    if args.yes
        && !args.dry_run
        && let Some(exit) = ask::before_opening(face).await?
    {
        return Ok(exit);
    }
    let map = match args.map {
        Some(file) => island("reading the map", move || Ok(mapfile::read(&file)?)).await?,
        None => Map::default(),
    };
    let archive = face.unlocked(&args.backup).await?;
    let order = Order {
        pick: face.pick(),
        onto: args.onto,
        request: RestoreRequest {
            only: args.only,
            database: match (args.database_only, args.no_database) {
                (true, _) => Database::Only,
                (_, true) => Database::Stays,
                _ => Database::Included,
            },
            allow_newer: args.allow_newer,
            map,
            translate: args.translate,
        },
        trial: Trial {
            patience: face.profile.patience,
            settle: face.profile.settle,
            leaves_wreck: args.no_rollback,
        },
    };
    if args.dry_run || !args.yes {
        let hands = face.hands().await?;
        match restore::foresee(&hands, &archive, &order).await? {
            Ok(mut site) => {
                let outlook =
                    restore::look(&hands, &archive, &mut site, &order, &face.cancel).await?;
                if args.dry_run {
                    return preview(face, hands, archive, outlook).await;
                }
                outlook.check()?;
                confirm(face, &text(&Preview::new(&archive, &outlook)))?;
            }
            Err(new) if args.dry_run => {
                face.out.print(&onto::object(&archive, &new), || onto::text(&archive, &new));
                return Ok(Exit::Done);
            }
            Err(new) => confirm(face, &onto::text(&archive, &new))?,
        }
    }
    if let Some(exit) = ask::instead(face, Some(&archive.metadata.slug)).await? {
        return Ok(exit);
    }
    let hands = face.hands().await?;
    face.record.begin(Some(&archive.metadata.slug));
    let report = restore::run(&hands, archive, &order, &face.cancel).await?;
    drop(hands);
    face.record.done(Some(&report.slug), Some(report.longest_hold_seconds), &report.warnings);
    face.out.print(&report, || done(&report));
    face.out.warnings(&report.warnings);
    Ok(exit(&report.warnings))
}

/// Shows what would be done, once the backup has been read to its end.
async fn preview(
    face: &Face,
    hands: Hands,
    archive: Archive,
    outlook: Outlook,
) -> anyhow::Result<Exit> {
    let (archive, outlook) = restore::measure(&hands, archive, outlook, &face.cancel).await?;
    // The bars go before the result comes.
    drop(hands);
    let preview = Preview::new(&archive, &outlook);
    face.out.print(&preview, || text(&preview));
    Ok(if preview.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Refuses where nobody can be asked.
pub(super) fn check_terminal() -> anyhow::Result<()> {
    match std::io::stdin().is_terminal() {
        true => Ok(()),
        false => Err(Mistake("a restore replaces data: say --yes".to_owned()).into()),
    }
}

/// Asks whether to go on.
pub(super) fn confirm(face: &Face, plan: &str) -> anyhow::Result<()> {
    check_terminal()?;
    let stdin = std::io::stdin();
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

fn text(preview: &Preview) -> String {
    let mut text = format!("restore \"{}\" of {}:\n", preview.name, preview.date);
    text += &table(&preview.moves.iter().map(row).collect::<Vec<_>>());
    text += &match preview.stops.as_slice() {
        [] => "no container is stopped for it\n".to_owned(),
        stops => format!("stopped for it: {}\n", stops.join(", ")),
    };
    if !preview.starts.is_empty() {
        text += &format!("started after it: {}\n", preview.starts.join(", "));
    }
    for it in &preview.room {
        let (needed, free) = (size(it.needed_bytes), size(it.free_bytes));
        text += &format!("room beside {}: {needed} needed, {free} free\n", it.at.display());
    }
    for it in &preview.translations {
        text += &format!("translated: {it}\n");
    }
    for it in &preview.to_do {
        let cure = if it.automatic { " (or say --translate)" } else { "" };
        text += &format!("to do: {it}{cure}\n");
    }
    let told = [("note", &preview.notes), ("problem", &preview.problems)];
    for (what, all) in told {
        for it in all {
            text += &format!("{what}: {it}\n");
        }
    }
    text
}

fn row(it: &Move) -> Vec<String> {
    // Pushing an empty path would add a slash.
    let path: PathBuf = it.path.join(&it.below).components().collect();
    let place = format!("{}:{}", it.container, path.display());
    let list = |paths: &[PathBuf]| {
        paths.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    let what = match it.only.as_slice() {
        [] => format!("replaces {place}"),
        only => format!("replaces {} in {place}", list(only)),
    };
    let mut how = Vec::new();
    if it.from != it.item {
        how.push(format!("by {}/{}", it.from, it.prefix));
    }
    how.extend(it.owner.as_ref().map(|it| format!("owner {it}")));
    if !it.keep.is_empty() && it.only.is_empty() {
        how.push(format!("keeps {}", list(&it.keep)));
    }
    vec![format!("  {}", it.item), what, how.join("; ")]
}

fn done(report: &Report) -> String {
    let mut notes: String = report.notes.iter().map(|it| format!("  note  {it}\n")).collect();
    notes.extend(report.translated.iter().map(|it| format!("  translated  {it}\n")));
    notes.extend(report.to_do.iter().map(|it| format!("  to do  {it}\n")));
    format!(
        "restored {} of \"{}\" ({})\n  time  {:.1} s\n  down  {:.1} s\n{notes}",
        report.items.join(", "),
        report.name,
        report.slug,
        report.duration_seconds,
        report.longest_hold_seconds,
    )
}
