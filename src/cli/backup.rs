//! `hearthkeep backup`.

use super::args::Backup;
use super::render::{exit, size};
use super::{Exit, Face, ask};
use crate::archive::{Format, Level, Wrapping};
use crate::backup::{self, Report};

/// So much copied while containers are held is felt, and worth a word.
const MUCH: u64 = 64 * 1024 * 1024;

pub(super) async fn run(face: &Face, args: &Backup) -> anyhow::Result<Exit> {
    if args.dry_run {
        return super::plan::run(face).await;
    }
    if let Some(exit) = ask::instead(face, None).await? {
        return Ok(exit);
    }
    let wrapping = Wrapping {
        level: Level::new(face.profile.level).unwrap_or_default(),
        password: face.password().await?,
        format: if face.profile.format_version == 2 { Format::V2 } else { Format::V3 },
    };
    let request = face.profile.request();
    let hands = face.hands().await?;
    let report = backup::run(&hands, &face.pick(), &request, &wrapping, &face.cancel).await?;
    // The bars go before the result comes.
    drop(hands);
    face.record.done(Some(&report.slug), Some(report.longest_hold_seconds), &report.warnings);
    face.out.print(&report, || text(&report));
    face.out.warnings(&report.warnings);
    Ok(exit(&report.warnings))
}

fn text(report: &Report) -> String {
    let held: Vec<String> = report
        .containers
        .iter()
        .map(|it| format!("{} {:.2} s ({})", it.name, it.hold_seconds, it.held.word()))
        .collect();
    let held = match held.as_slice() {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        all => format!("{}; longest {:.2} s", all.join(", "), report.longest_hold_seconds),
    };
    let mut text = format!(
        "backed up \"{}\" as {}{}\n  file  {}\n  size  {}, {} before compression\n  time  {:.1} s\n  held  {held}\n",
        report.name,
        report.slug,
        if report.protected { ", encrypted" } else { "" },
        report.path.display(),
        size(report.size_bytes),
        size(report.content_bytes),
        report.duration_seconds,
    );
    if report.held_bytes > MUCH {
        text += &format!("  {} of it were copied meanwhile\n", size(report.held_bytes));
    }
    for it in &report.databases {
        text +=
            &format!("  {}: {}{}\n", it.container, it.consistency, reason(it.reason.as_deref()));
    }
    for it in report.hooks.iter().filter(|it| it.exit_code != Some(0)) {
        text +=
            &format!("  hearthkeep.{} of {} said: {}\n", it.hook, it.container, it.output.trim());
    }
    for it in &report.skipped {
        text += &format!("  skipped {it}\n");
    }
    for it in &report.notes {
        text += &format!("  {it}\n");
    }
    text
}

fn reason(reason: Option<&str>) -> String {
    reason.map(|it| format!(" ({it})")).unwrap_or_default()
}
