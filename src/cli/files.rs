//! `hearthkeep verify`, `export`, `import` and `remove`.

use serde_json::json;

use super::args::{Export, Import, Verify};
use super::render::exit;
use super::{Exit, Face, ask, boot};
use crate::archive::{self, Archive, Checks};
use crate::catalog::Booted;
use crate::island::island;
use crate::{catalog, store};

pub(super) async fn verify(face: &Face, args: Verify) -> anyhow::Result<Exit> {
    if args.boot
        && let Some(exit) = ask::before_opening(face).await?
    {
        return Ok(exit);
    }
    let archive = face.unlocked(&args.backup).await?;
    if args.boot {
        return boot::run(face, archive, &args).await;
    }
    let slug = archive.metadata.slug.clone();
    let path = archive.path.display().to_string();
    let staging = face.profile.staging.clone().unwrap_or_else(std::env::temp_dir);
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("verifying", archive.size_bytes);
    let verdict = island("verifying", move || {
        let checks = Checks { hashes: args.deep, contents: Some(&staging), ..Checks::default() };
        Ok(archive::verify(&archive, checks, &cancel, &*monitor)?)
    })
    .await?;
    let (problems, notes) = (verdict.problems, verdict.notes);
    let sound = problems.is_empty();
    let object = json!({
        "slug": slug, "path": path, "sound": sound, "problems": problems, "warnings": notes,
    });
    face.out.print(&object, || match problems.as_slice() {
        [] => format!("{path}: sound, read to the end"),
        _ => problems.iter().map(|it| format!("{path}: {}: {}\n", it.member, it.what)).collect(),
    });
    face.out.warnings(&notes);
    Ok(if sound { exit(&notes) } else { Exit::Damaged })
}

pub(super) async fn export(face: &Face, args: Export) -> anyhow::Result<Exit> {
    let archive = face.open(&args.backup).await?;
    let path = island("exporting", move || store::export(&archive.path, &args.to)).await?;
    let path = path.display().to_string();
    face.out.print(&json!({ "path": path }), || format!("exported to {path}"));
    Ok(Exit::Done)
}

pub(super) async fn import(face: &Face, args: Import) -> anyhow::Result<Exit> {
    let store = face.store().await?;
    let there = store.clone();
    let (archive, is_encrypted) = island("opening", move || {
        let archive = Archive::open(&args.file)?;
        catalog::refuse_second(&there, &archive.metadata.slug)?;
        let is_encrypted = archive.is_encrypted()?;
        Ok((archive, is_encrypted))
    })
    .await?;
    // Without its password an encrypted file cannot be read, but it can be kept.
    let archive = match is_encrypted && face.password().await?.is_none() {
        true => archive,
        false => whole(face, face.unlock(archive).await?).await?,
    };
    let slug = archive.metadata.slug.clone();
    let name = file_name(&archive);
    let path = island("importing", move || store.put(&archive.path, &name)).await?;
    let path = path.display().to_string();
    face.out.print(&json!({ "slug": slug, "path": path }), || format!("imported {slug} as {path}"));
    Ok(Exit::Done)
}

/// The archive, if nothing is wrong with it.
async fn whole(face: &Face, archive: Archive) -> anyhow::Result<Archive> {
    let (monitor, cancel) = (face.monitor(), face.cancel.clone());
    monitor.step("verifying", archive.size_bytes);
    island("verifying", move || {
        archive::verify(&archive, Checks::default(), &cancel, &*monitor)?.into_result(&archive)?;
        Ok(archive)
    })
    .await
}

/// The name in the store. What a foreign file calls itself must not lead out of it.
fn file_name(archive: &Archive) -> String {
    let name = archive.metadata.file_name();
    match name.contains('/') || name.starts_with('.') {
        true => format!("Imported_backup_{}.tar", archive.size_bytes),
        false => name,
    }
}

pub(super) async fn remove(face: &Face, wanted: &str) -> anyhow::Result<Exit> {
    let store = face.store().await?;
    let wanted = wanted.to_owned();
    let archive = island("removing", move || {
        let archive = catalog::find(&store, &wanted)?;
        store.remove(&archive.path)?;
        // Its pin would hold nothing any more.
        if store::is_pinned(&archive.path, &archive.metadata.slug) {
            store.unpin(&archive.metadata.slug)?;
        }
        Booted::forget(&archive.path)?;
        Ok(archive)
    })
    .await?;
    let (slug, path) = (&archive.metadata.slug, archive.path.display().to_string());
    face.out.print(&json!({ "slug": slug, "path": path }), || format!("removed {slug}, {path}"));
    Ok(Exit::Done)
}
