//! Folders that become backups without any engine, and their way back.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hearthkeep::archive::{self, Archive, Checks, Format, Level, Metadata, ROOT, Target};
use hearthkeep::archive::{Share, Verdict, Wrapping};
use hearthkeep::capture::{Capture, Source};
use hearthkeep::fsx::Draft;
use hearthkeep::model::{Item, Part, PartKind, Tree};
use hearthkeep::monitor::Quiet;
use hearthkeep::secret::Secret;
use rusqlite::Connection;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::Bench;
use crate::support::home::write;
use crate::tree::{assert_same, look};

pub(crate) const PASSWORD: &str = "hunter2";

/// How a backup is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) format: Option<Format>,
    /// How hard it is compressed, where it is.
    pub(crate) level: Option<u8>,
}

/// Encrypted and compressed as it is by default.
pub(crate) const V3: How = How { format: Some(Format::V3), level: Some(2) };

/// The same in plain text.
pub(crate) const PLAIN: How = How { format: None, level: Some(2) };

/// Folders, each of which becomes a part.
pub(crate) struct House {
    pub(crate) bench: Bench,
    pub(crate) sources: Vec<Source>,
}

impl House {
    /// One with Home Assistant alone.
    pub(crate) fn new() -> House {
        let mut house = House { bench: Bench::new(), sources: Vec::new() };
        let version = "2026.2.3".to_owned();
        let kind = PartKind::HomeAssistant { version, exclude_database: false };
        house.part(Item::HomeAssistant, kind, "data");
        house.write("homeassistant/.HA_VERSION", "2026.2.3");
        house.write("homeassistant/configuration.yaml", "default_config:\n");
        house
    }

    /// One with a little of everything, in parts of every kind.
    pub(crate) fn small() -> House {
        let mut house = House::new();
        house.part(Item::Folder("share"), PartKind::Folder, "");
        house.write("share/shared.txt", "shared");
        house.companion();
        house
    }

    /// One with all that a reader could stumble over.
    pub(crate) fn full() -> House {
        let mut house = House::small();
        let addon = PartKind::Addon {
            name: "Mosquitto broker".to_owned(),
            version: "6.5.1".to_owned(),
            repository: "core".to_owned(),
            json: json!({ "user": {}, "system": {}, "state": "started", "version": "6.5.1" }),
        };
        house.part(Item::Companion("core_mosquitto".to_owned()), addon, "data");
        house.write("core_mosquitto/mosquitto.db", &text(100_000));
        house.sizes();
        house.names();
        house.attributes();
        // Whose tar has one mebibyte to the byte: a whole chunk of the cipher, two whole blocks.
        house.part(Item::Folder("media"), PartKind::Folder, "");
        house.write("media/film", &noise((1 << 20) - 4096));
        house
    }

    /// A new empty folder that becomes a part.
    pub(crate) fn part(&mut self, item: Item, kind: PartKind, prefix: &str) {
        let folder = self.bench.folder(&item.to_string());
        let tree = Tree {
            prefix: prefix.to_owned(),
            source: folder.clone(),
            destination: PathBuf::from("/config"),
            container: "test".to_owned(),
            volume: None,
        };
        let (image, exclude, exclude_kept) = ("image".to_owned(), Vec::new(), Vec::new());
        self.sources.push(Source {
            part: Part { item, kind, trees: vec![tree], image, exclude, exclude_kept },
            roots: vec![folder],
            stops: Vec::new(),
            store: self.bench.folder("store"),
            at_one_instant: false,
        });
    }

    fn companion(&mut self) {
        self.part(Item::Companion("clock".to_owned()), PartKind::Private, "data");
        self.write("clock/state", "ticking");
    }

    /// Writes a file of a part.
    pub(crate) fn write(&self, path: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> PathBuf {
        write(&self.bench.path().join(path), content)
    }

    fn sizes(&self) {
        for (name, content) in [
            ("empty", Vec::new()),
            ("half", noise(1 << 19)),
            ("one", text(1 << 20)),
            ("noise", noise(3 << 20)),
            ("text", text(3 << 20)),
            ("zeros", vec![0; 700_000]),
        ] {
            self.write(&format!("homeassistant/sizes/{name}"), &content);
        }
        self.write("share/noise", &noise(1_600_000));
        let database = self.bench.path().join("homeassistant/home-assistant_v2.db");
        table(&database, 100);
        // A backup adds one where there is none.
        self.write("homeassistant/home-assistant_v2.db-wal", "");
    }

    fn names(&self) {
        self.write("homeassistant/naïve 名前 ☕.yaml", "not ASCII");
        self.write(&format!("homeassistant/{}/{}", "a".repeat(180), "b".repeat(250)), "long");
        self.write(&format!("homeassistant/{}leaf", "deep/".repeat(200)), "200 levels");
        fs::create_dir(self.bench.path().join("homeassistant/nothing")).expect("a folder");
    }

    fn attributes(&self) {
        let path = |it: &str| self.bench.path().join("homeassistant").join(it);
        let first = self.write("homeassistant/links/first", "two names");
        fs::hard_link(&first, path("links/second")).expect("a hard link");
        symlink("../configuration.yaml", path("links/symbolic")).expect("a link");
        symlink("x".repeat(150), path("links/nowhere")).expect("a link");
        lchown(path("links/symbolic"), Some(1000), Some(1000)).expect("root may give it away");
        for (name, mode) in [("none", 0o000), ("all", 0o777), ("sticky", 0o4755)] {
            let file = self.write(&format!("homeassistant/modes/{name}"), name);
            lchown(&file, Some(1000), Some(100_000)).expect("root may give it away");
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is there");
        }
        for (name, since) in [("old", 1_234_567_891), ("precise", 1_700_000_000_123_456_789)] {
            let file = self.write(&format!("homeassistant/times/{name}"), name);
            let file = File::options().write(true).open(file).expect("it is there");
            let when = SystemTime::UNIX_EPOCH + Duration::from_nanos(since);
            file.set_modified(when).expect("the time can be set");
        }
        fs::set_permissions(path("modes"), Permissions::from_mode(0o2550)).expect("it is there");
    }

    /// Writes a backup; gives its path, which is gone with the house.
    pub(crate) fn backup(&self, how: How) -> PathBuf {
        let capture = Capture::look(self.sources.clone()).expect("it can be looked at");
        let parts: Vec<Part> = capture.parts().cloned().collect();
        let now = "2026-01-01T00:00:00Z".parse().expect("a date");
        let metadata = Metadata::new("House", now, &parts, how.level.is_some());
        let wrapping = Wrapping {
            level: how.level.map_or_else(Level::default, |it| Level::new(it).expect("a level")),
            password: how.format.map(|_| Secret::new(PASSWORD.to_owned())),
            format: how.format.unwrap_or_default(),
        };
        let wrapper = wrapping.prepare().expect("the keys can be made");
        let path = self.file("backup.tar");
        let draft = Draft::create(&path).expect("a draft");
        let (cancel, again) = (CancellationToken::new(), |_, _| Ok(Vec::new()));
        let written = archive::write(&capture, metadata, &draft, &wrapper, &again, &cancel, &Quiet)
            .unwrap_or_else(|err| panic!("{how:?}: {err:#}"));
        assert_eq!(written.warnings, [""; 0]);
        draft.name().expect("it can be named")
    }

    /// A path in a new folder of its own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let files = self.bench.folder("files");
        tempfile::tempdir_in(files).expect("a folder").keep().join(name)
    }

    /// Extracts a backup and finds everything as it was.
    pub(crate) fn assert_comes_back(&self, archive: &Archive) {
        for source in &self.sources {
            let staging = extract(archive, &source.part, &self.bench);
            assert_same(&look(&source.roots[0]), &look(&staging.path().join(ROOT)));
        }
    }
}

/// Extracts a part; gives the folder in which its root lies.
pub(crate) fn extract(archive: &Archive, part: &Part, bench: &Bench) -> tempfile::TempDir {
    let staging = tempfile::tempdir_in(bench.path()).expect("a folder");
    let prefix = part.trees[0].prefix.clone();
    let target = Target {
        share: Share::all(&prefix),
        staging: staging.path().to_owned(),
        ..Default::default()
    };
    let member = archive.member_of(&part.item).expect("it is in it");
    let done = archive::extract(archive, member, &[target], &CancellationToken::new(), &Quiet);
    let done = done.unwrap_or_else(|err| panic!("{}: {err:#}", part.item));
    assert_eq!(done.warnings, [""; 0]);
    staging
}

/// Opens a backup with its password, where it takes one.
pub(crate) fn open(path: &Path) -> Archive {
    unlocked(Archive::open(path).expect("it is a backup"))
}

pub(crate) fn unlocked(mut archive: Archive) -> Archive {
    if archive.is_encrypted().expect("it can be read") {
        archive.unlock(Secret::new(PASSWORD.to_owned())).expect("that is its password");
    }
    archive
}

/// Reads a backup to its end, hashes included.
pub(crate) fn verify(archive: &Archive) -> Verdict {
    let checks = Checks { hashes: true, ..Checks::default() };
    archive::verify(archive, checks, &CancellationToken::new(), &Quiet).expect("it can be read")
}

/// Makes a database of one table with an index.
pub(crate) fn table(path: &Path, rows: u32) {
    let database = Connection::open(path).expect("a database");
    let make = format!(
        "PRAGMA page_size = 4096;
        CREATE TABLE t (n INTEGER, text TEXT); CREATE INDEX i ON t (text);
        WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows})
        INSERT INTO t SELECT n, 'the text of row ' || n FROM c;"
    );
    database.execute_batch(&make).expect("it can be filled");
}

/// Bytes that repeat nothing.
pub(crate) fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = vec![0; n_bytes.next_multiple_of(8)];
    for it in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        it.copy_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n_bytes);
    bytes
}

/// Lines, as those of a log.
pub(crate) fn text(n_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(n_bytes + 100);
    for n in 0.. {
        if bytes.len() >= n_bytes {
            break;
        }
        bytes.extend_from_slice(format!("{n}: a line of a log, as there are many\n").as_bytes());
    }
    bytes.truncate(n_bytes);
    bytes
}
