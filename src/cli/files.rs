//! `hearthkeep verify`, `export`, `import` and `remove`.

use std::path::Path;

use serde_json::json;

use super::args::{Export, Import};
use super::{Exit, Face};
use crate::archive::{self, Archive};
use crate::island::island;
use crate::{catalog, store};

pub(super) async fn verify(face: &Face, wanted: &str) -> anyhow::Result<Exit> {
    let archive = face.open(wanted).await?;
    let slug = archive.metadata.slug.clone();
    let path = archive.path.display().to_string();
    let problems = read_to_the_end(face, archive).await?;
    let object =
        json!({ "slug": slug, "path": path, "sound": problems.is_empty(), "problems": problems });
    face.out.print(&object, || match problems.as_slice() {
        [] => format!("{path}: sound, read to the end"),
        _ => problems.iter().map(|it| format!("{path}: {}: {}\n", it.member, it.what)).collect(),
    });
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Damaged })
}

async fn read_to_the_end(face: &Face, archive: Archive) -> anyhow::Result<Vec<archive::Problem>> {
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("verifying", archive.size_bytes);
    island("verifying", move || Ok(archive::verify(&archive, &cancel, &*monitor)?)).await
}

pub(super) async fn export(face: &Face, args: Export) -> anyhow::Result<Exit> {
    let archive = face.open(&args.backup).await?;
    let to = if args.to.is_dir() {
        args.to.join(archive.path.file_name().unwrap_or_default())
    } else {
        args.to
    };
    let path = island("exporting", move || store::copy(&archive.path, &to)).await?;
    let path = path.display().to_string();
    face.out.print(&json!({ "path": path }), || format!("exported to {path}"));
    Ok(Exit::Done)
}

pub(super) async fn import(face: &Face, args: Import) -> anyhow::Result<Exit> {
    let store = face.store().await?;
    let archive = Archive::open(&args.file)?;
    let slug = archive.metadata.slug.clone();
    let there = catalog::read(&store)?.backups;
    if let Some(it) = there.iter().find(|it| it.metadata.slug == slug) {
        anyhow::bail!("backup {slug} is in the store already, as {}", it.path.display());
    }
    let checked = Archive::open(&args.file)?;
    // Without its password an encrypted file cannot be read, but it can be kept.
    if !archive.metadata.protected
        && let Some(first) = read_to_the_end(face, checked).await?.first()
    {
        return Err(archive.damaged(format!("{}: {}", first.member, first.what)).into());
    }
    let name = archive.metadata.file_name();
    let name = if is_plain(&name) { name } else { format!("{slug}.tar") };
    let path = island("importing", move || store.put(&archive.path, &name)).await?;
    let path = path.display().to_string();
    face.out.print(&json!({ "slug": slug, "path": path }), || format!("imported {slug} as {path}"));
    Ok(Exit::Done)
}

/// A name that a foreign file gives itself must not lead out of the store.
fn is_plain(name: &str) -> bool {
    !name.contains('/') && !name.starts_with('.') && Path::new(name).file_name().is_some()
}

pub(super) async fn remove(face: &Face, wanted: &str) -> anyhow::Result<Exit> {
    let store = face.store().await?;
    let archive = catalog::find(Some(&store), wanted)?;
    store.remove(&archive.path)?;
    let (slug, path) = (&archive.metadata.slug, archive.path.display().to_string());
    face.out.print(&json!({ "slug": slug, "path": path }), || format!("removed {slug}, {path}"));
    Ok(Exit::Done)
}
