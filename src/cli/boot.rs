//! `hearthkeep verify --boot`.

use super::args::Verify;
use super::render::exit;
use super::{Exit, Face, ask};
use crate::archive::Archive;
use crate::boot::{self, Order, Report};

pub(super) async fn run(face: &Face, archive: Archive, args: &Verify) -> anyhow::Result<Exit> {
    if let Some(exit) = ask::instead(face, None).await? {
        return Ok(exit);
    }
    let order = Order { pick: face.pick(), patience: face.profile.patience, deep: args.deep };
    let hands = face.hands().await?;
    let slug = archive.metadata.slug.clone();
    face.record.begin(Some(&slug));
    let report = boot::run(&hands, archive, &order, &face.cancel).await?;
    // Its progress ends before anything is printed.
    drop(hands);
    face.record.done(Some(&slug), None, &report.warnings);
    face.out.print(&report, || text(&report));
    face.out.warnings(&report.warnings);
    Ok(exit(&report.warnings))
}

fn text(report: &Report) -> String {
    let notes: String = report.notes.iter().map(|it| format!("  note  {it}\n")).collect();
    format!(
        "{}: boots\n  time  {:.1} s\n  came up  {}\n{notes}",
        report.path.display(),
        report.duration_seconds,
        report.containers.join(", "),
    )
}
