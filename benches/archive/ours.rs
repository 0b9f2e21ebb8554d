//! Our own steps, through the library: without Docker, nothing is held.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hearthkeep::archive::{self, Archive, Checks, Format, Metadata, Share, Target, Wrapping};
use hearthkeep::capture::{Capture, Source};
use hearthkeep::fsx::Draft;
use hearthkeep::model::{Item, Part, PartKind, Tree};
use hearthkeep::monitor::Quiet;
use hearthkeep::secret::Secret;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

const PREFIX: &str = "data";

/// Backs up a tree as Home Assistant's part. What is written is on the disk when it returns,
/// which no other contender waits for.
pub(crate) fn write(cipher: &str, tree: &Path, file: &Path) -> anyhow::Result<()> {
    let wrapping = wrapping(cipher)?;
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
    let wrapper = wrapping.prepare()?;
    let written = archive::write(&capture, metadata, &draft, &wrapper, &never, &cancel, &Quiet)?;
    anyhow::ensure!(written.warnings.is_empty(), "{}", written.warnings.join("; "));
    draft.name()?;
    Ok(())
}

/// Extracts Home Assistant's part as a restore does, up to the exchange.
pub(crate) fn extract(file: &Path, folder: &Path) -> anyhow::Result<()> {
    let archive = open(file)?;
    let member = archive.member_of(&Item::HomeAssistant).context("the part is missing")?;
    let target = Target {
        share: Share::all(PREFIX),
        staging: fs::canonicalize(folder)?,
        ..Default::default()
    };
    let done = archive::extract(&archive, member, &[target], &CancellationToken::new(), &Quiet)?;
    anyhow::ensure!(done.warnings.is_empty(), "{}", done.warnings.join("; "));
    Ok(())
}

/// Reads a file to its end as a backup does with what it wrote.
pub(crate) fn verify(file: &Path) -> anyhow::Result<()> {
    let (archive, cancel) = (open(file)?, CancellationToken::new());
    archive::verify(&archive, Checks::default(), &cancel, &Quiet)?.into_result(&archive)?;
    Ok(())
}

/// Prints one file.
pub(crate) fn cat(file: &Path, path: &str) -> anyhow::Result<()> {
    let (archive, cancel) = (open(file)?, CancellationToken::new());
    archive::cat(&archive, path, &mut io::stdout().lock(), &cancel, &Quiet)
}

fn open(file: &Path) -> anyhow::Result<Archive> {
    let mut archive = Archive::open(file)?;
    if archive.is_encrypted()? {
        archive.unlock(password())?;
    }
    Ok(archive)
}

/// The cipher by the word that the contenders share for it: `plain`, `v2` or `v3`.
fn wrapping(cipher: &str) -> anyhow::Result<Wrapping> {
    let (password, format) = match cipher {
        "plain" => (None, Format::default()),
        "v2" => (Some(password()), Format::V2),
        "v3" => (Some(password()), Format::V3),
        other => anyhow::bail!("{other} is no cipher"),
    };
    Ok(Wrapping { password, format, ..Wrapping::default() })
}

fn password() -> Secret {
    Secret::new("benchmark".to_owned())
}
