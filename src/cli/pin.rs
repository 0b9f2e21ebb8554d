//! `hearthkeep pin` and `unpin`.

use serde_json::json;

use super::{Exit, Face};
use crate::catalog;
use crate::island::island;

pub(super) async fn pin(face: &Face, wanted: &str) -> anyhow::Result<Exit> {
    change(face, wanted, true).await
}

pub(super) async fn unpin(face: &Face, wanted: &str) -> anyhow::Result<Exit> {
    change(face, wanted, false).await
}

async fn change(face: &Face, wanted: &str, pinned: bool) -> anyhow::Result<Exit> {
    let store = face.store().await?;
    let wanted = wanted.to_owned();
    let slug = island("pinning", move || {
        let slug = catalog::find(&store, &wanted)?.metadata.slug;
        if pinned {
            store.pin(&slug)?;
        } else {
            store.unpin(&slug)?;
        }
        Ok(slug)
    })
    .await?;
    face.out.print(&json!({ "slug": slug, "pinned": pinned }), || match pinned {
        true => format!("pinned {slug}: it stays until it is unpinned or removed"),
        false => format!("unpinned {slug}"),
    });
    Ok(Exit::Done)
}
