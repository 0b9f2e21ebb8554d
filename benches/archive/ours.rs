//! Our own steps, through the library: without Docker, nothing is held.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hearthkeep::archive::{self, Archive, Metadata, Target};
use hearthkeep::capture::{Capture, Source};
use hearthkeep::fsx::Draft;
use hearthkeep::model::{Item, Part, PartKind, Tree};
use hearthkeep::monitor::Quiet;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

const PREFIX: &str = "data";

/// Backs up a tree as Home Assistant's part. What is written is on the disk when it returns,
/// which no other contender waits for.
pub(crate) fn write(tree: &Path, file: &Path) -> anyhow::Result<()> {
    let part = Part {
        item: Item::HomeAssistant,
        kind: PartKind::HomeAssistant { version: "2026.2.3".to_owned(), exclude_database: false },
        trees: vec![Tree {
            prefix: PREFIX.to_owned(),
            source: tree.to_owned(),
            destination: PathBuf::from("/config"),
            container: "homeassistant".to_owned(),
            volume: None,
        }],
        image: "homeassistant".to_owned(),
        exclude: Vec::new(),
        exclude_kept: Vec::new(),
    };
    let metadata = Metadata::new("Benchmark", Timestamp::now(), std::slice::from_ref(&part), true);
    let store = tree.join("backups");
    let source = Source {
        part,
        roots: vec![tree.to_owned()],
        stops: Vec::new(),
        store,
        at_one_instant: false,
    };
    let draft = Draft::create(file)?;
    let capture = Capture::look(vec![source])?;
    let (never, cancel) = (|_, _| Ok(Vec::new()), CancellationToken::new());
    let written = archive::write(&capture, metadata, &draft, &never, &cancel, &Quiet)?;
    anyhow::ensure!(written.warnings.is_empty(), "{}", written.warnings.join("; "));
    draft.name()?;
    Ok(())
}

/// Extracts Home Assistant's part as a restore does, up to the exchange.
pub(crate) fn extract(file: &Path, folder: &Path) -> anyhow::Result<()> {
    let archive = Archive::open(file)?;
    let member = archive.member_of(&Item::HomeAssistant).context("the part is missing")?;
    let target = Target { prefix: PREFIX.to_owned(), staging: fs::canonicalize(folder)? };
    let done = archive::extract(&archive, member, &[target], &CancellationToken::new(), &Quiet)?;
    anyhow::ensure!(done.warnings.is_empty(), "{}", done.warnings.join("; "));
    Ok(())
}
