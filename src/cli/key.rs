//! `hearthkeep key`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Generate, Key};
use super::{Exit, Face};
use crate::island::island;
use crate::keyfile;
use crate::settings::Password;

/// Where a key goes that nobody has a place for: beside the settings of the units.
const USUAL: &str = "/etc/hearthkeep/password";

pub(super) async fn run(face: &Face, key: Key) -> anyhow::Result<Exit> {
    match key {
        Key::Generate(args) => generate(face, args).await,
    }
}

async fn generate(face: &Face, args: Generate) -> anyhow::Result<Exit> {
    let set = match &face.profile.password {
        Some(Password::File(path)) => Some(path.clone()),
        Some(Password::Known(_)) | None => None,
    };
    let path = args.file.or(set).unwrap_or_else(|| PathBuf::from(USUAL));
    let date = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
    let made = island("making a key", move || keyfile::generate(&path, &date)).await?;
    let (key_file, kit) = (made.key_file.display().to_string(), made.kit.display().to_string());
    face.out.print(&json!({ "key_file": key_file, "kit": kit }), || {
        format!(
            "made a key\n  key  {key_file}, for --password-file\n  kit  {kit}\n\
             Keep the kit elsewhere: without the key nobody can read what is encrypted with it."
        )
    });
    Ok(Exit::Done)
}
