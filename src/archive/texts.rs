//! Small files of a part as text, in one pass.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::extract::entry_name;
use super::open::Archive;
use crate::model::Item;
use crate::monitor::Monitor;

/// A file that is larger is none that a person wrote.
const LARGEST_BYTES: u64 = 4 << 20;

/// The wanted files that the part of an item has as text, by their paths in it. Reads no further than
/// the last of them; a part that lacks one is read to its end. Links and what is no text are passed
/// over. Of a name that stands twice it gives the first, since what comes later is not read.
pub fn texts(
    archive: &Archive,
    item: &Item,
    wanted: &[&str],
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let Some(member) = archive.member_of(item) else { return Ok(found) };
    archive.check_unlocked()?;
    let mut missing: Vec<PathBuf> = wanted.iter().map(PathBuf::from).collect();
    let mut tar = tar::Archive::new(archive.read(member, None, cancel, monitor)?);
    let reading = || format!("reading {}", member.name);
    for entry in tar.entries()? {
        let mut entry = entry.with_context(reading)?;
        let kind = entry.header().entry_type();
        let Ok(name) = entry_name(&entry.path_bytes()) else { continue };
        let Some(at) = missing.iter().position(|it| *it == name) else { continue };
        missing.remove(at);
        if kind.is_file() && entry.size() <= LARGEST_BYTES {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).with_context(reading)?;
            if let Ok(text) = String::from_utf8(bytes) {
                found.insert(shown(&name), text);
            }
        }
        if missing.is_empty() {
            break;
        }
    }
    Ok(found)
}

fn shown(name: &Path) -> String {
    name.to_string_lossy().into_owned()
}
