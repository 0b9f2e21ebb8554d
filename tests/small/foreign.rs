//! Backups as others write them, with whatever a test wants in them.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::support::home::{Home, VERSION};

/// `backup.json` of Home Assistant itself.
pub(crate) fn of_core() -> Value {
    json!({
        "slug": "f0e1d2c3", "name": "Foreign", "date": "2026-11-01T12:00:00+00:00",
        "type": "partial", "version": 2, "compressed": true, "protected": false, "extra": {},
        "homeassistant": { "version": VERSION, "exclude_database": false },
    })
}

/// Writes a backup with a part of Home Assistant; names that end in a slash are folders.
pub(crate) fn write(home: &Home, metadata: &Value, entries: &[(&str, &str)]) -> String {
    let mut inner = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    add(&mut inner, "data/", "");
    entries.iter().for_each(|(name, content)| add(&mut inner, &format!("data/{name}"), content));
    let inner = inner.into_inner().and_then(GzEncoder::finish).expect("it goes to memory");

    let path: PathBuf = home.bench.folder("foreign").join("foreign.tar");
    let mut outer = Builder::new(File::create(&path).expect("a file"));
    append(&mut outer, "./backup.json", metadata.to_string().as_bytes());
    append(&mut outer, "homeassistant.tar.gz", &inner);
    outer.finish().expect("it can be written");
    path.display().to_string()
}

fn add(tar: &mut Builder<impl Write>, name: &str, content: &str) {
    append(tar, name, content.as_bytes());
}

fn append(tar: &mut Builder<impl Write>, name: &str, content: &[u8]) {
    let is_folder = name.ends_with('/');
    let mut header = Header::new_gnu();
    // As it is told: the crate would take the `./` away.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(if is_folder { EntryType::Directory } else { EntryType::Regular });
    header.set_mode(if is_folder { 0o755 } else { 0o644 });
    header.set_size(content.len() as u64);
    header.set_mtime(1_700_000_000);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    tar.append(&header, content).expect("it can be written");
}
