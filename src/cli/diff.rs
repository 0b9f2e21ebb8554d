//! `hearthkeep diff`.

use serde_json::json;

use super::args::Diff;
use super::render::{printable, size};
use super::{Exit, Face};
use crate::archive::{Archive, Changed, Difference, Listing};
use crate::backup;
use crate::island::island;
use crate::plan::BackupRequest;

/// The word for the home as it is, in place of a backup.
pub(super) const LIVE: &str = "live";

pub(super) async fn run(face: &Face, args: Diff) -> anyhow::Result<Exit> {
    let archive = face.unlocked(&args.backup).await?;
    let request = same_as(&archive);
    let before = listing(face, archive).await?;
    let (before, after) = match args.other.as_str() {
        LIVE => live(face, request, before).await?,
        other => (before, listing(face, face.unlocked(other).await?).await?),
    };
    let difference = before.difference(&after);
    face.out.print(&json!({ "equal": difference.is_empty(), "difference": difference }), || {
        text(&difference)
    });
    Ok(Exit::Done)
}

async fn listing(face: &Face, archive: Archive) -> anyhow::Result<Listing> {
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("reading", archive.size_bytes);
    island("reading", move || Listing::of(&archive, &cancel, &*monitor)).await
}

/// The home, without holding anybody: what is being written may be of several moments.
async fn live(
    face: &Face,
    request: BackupRequest,
    before: Listing,
) -> anyhow::Result<(Listing, Listing)> {
    let hands = face.hands().await?;
    let prepared = backup::prepare(&hands, &face.pick(), &request).await?;
    let (monitor, cancel) = (hands.monitor.clone(), face.cancel.clone());
    monitor.step("looking at the home", 0);
    island("looking at the home", move || {
        let after = Listing::live(&prepared.capture, &before, &cancel, &*monitor)?;
        Ok((before, after))
    })
    .await
}

/// What a backup of the same extent would ask for.
fn same_as(archive: &Archive) -> BackupRequest {
    let metadata = &archive.metadata;
    let records = metadata.hearthkeep.iter().flat_map(|it| &it.parts);
    BackupRequest {
        exclude: records.flat_map(|it| it.exclude.clone()).collect(),
        no_database: metadata.homeassistant.as_ref().is_some_and(|it| it.exclude_database),
        ..BackupRequest::default()
    }
}

fn text(difference: &Difference) -> String {
    if difference.is_empty() {
        return "no difference".to_owned();
    }
    let mut text = String::new();
    let version = |it: &Option<String>| it.clone().unwrap_or_else(|| "nothing".to_owned());
    for it in &difference.versions {
        text += &format!("{}: {} → {}\n", it.item, version(&it.before), version(&it.after));
    }
    difference.gone.iter().for_each(|it| text += &format!("{it}: is gone\n"));
    difference.new.iter().for_each(|it| text += &format!("{it}: is new\n"));
    for part in &difference.parts {
        text += &format!(
            "{}: {} added, {} removed, {} changed\n",
            part.item,
            part.added.len(),
            part.removed.len(),
            part.changed.len()
        );
        let mut line = |sign, path: &str, what| {
            text += &format!("  {sign} {}{what}\n", printable(path));
        };
        part.added.iter().for_each(|it| line('+', it, String::new()));
        part.removed.iter().for_each(|it| line('-', it, String::new()));
        part.changed.iter().for_each(|it| line('~', &it.path, format!("  {}", what(it))));
    }
    text
}

fn what(changed: &Changed) -> String {
    let word = |it: &&str| match *it {
        "size" => format!("{} → {}", size(changed.size.0), size(changed.size.1)),
        other => other.to_owned(),
    };
    changed.what.iter().map(word).collect::<Vec<_>>().join(", ")
}
