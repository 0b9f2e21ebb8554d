//! What the parts of another writer hold, as far as a restore has to know beforehand.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::files::{each, normal};
use super::index::Kind;
use super::open::Archive;
use super::texts::texts;
use crate::companions::OF_THE_ADDON;
use crate::model::{InPart, Item};
use crate::monitor::Monitor;

/// What tells of an add-on, in its part.
const ADDON: &str = "addon.json";

/// Those of the places at or below which there are files; what an add-on's part has for the add-on
/// itself is none. A part without an index is read to its end, once for all its places.
pub fn holds(
    archive: &Archive,
    places: &BTreeSet<InPart>,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<BTreeSet<InPart>> {
    let mut found = BTreeSet::new();
    let items: BTreeSet<&Item> = places.iter().map(|(item, _)| item).collect();
    for item in items {
        let Some(member) = archive.member_of(item) else { continue };
        monitor.part(&item.to_string());
        let mut left: Vec<&InPart> = places.iter().filter(|(it, _)| it == item).collect();
        each(archive, member, false, cancel, monitor, &mut |entry| {
            // A folder without files is made for every add-on; a link leads anywhere.
            if !matches!(entry.kind, Kind::File | Kind::Hardlink) {
                return;
            }
            let path = normal(&entry.path);
            if OF_THE_ADDON.iter().any(|it| path.as_os_str() == *it) {
                return;
            }
            left.retain(|place| {
                let is_in = path.starts_with(&place.1);
                if is_in {
                    found.insert((*place).clone());
                }
                !is_in
            });
        })?;
    }
    Ok(found)
}

/// The value of an add-on's option, where its `addon.json` has it and it is a text.
pub fn option(
    archive: &Archive,
    item: &Item,
    key: &str,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Option<String>> {
    let texts = texts(archive, item, &[ADDON], cancel, monitor)?;
    let Some(Ok(addon)) = texts.get(ADDON).map(|it| serde_json::from_str::<Value>(it)) else {
        return Ok(None);
    };
    Ok(addon["user"]["options"][key].as_str().map(str::to_owned))
}
