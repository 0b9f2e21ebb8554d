//! Whether what is in a backup can be used: databases, and Home Assistant's own files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::TempDir;

/// How every SQLite database begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// What lies beside a database and belongs to it.
const COMPANIONS: [&str; 2] = ["-wal", "-journal"];

/// A file of Home Assistant's own that is larger than this is not looked into.
const MAX_JSON_BYTES: u64 = 32 * 1024 * 1024;

/// Looks into the files of one part, as they pass by.
pub(super) struct Contents {
    folder: TempDir,
    /// Databases by their name in the part, with the name that each has in the folder.
    databases: HashMap<PathBuf, String>,
    now: Option<Now>,
    problems: Vec<String>,
    notes: Vec<String>,
}

/// The file that passes by.
struct Now {
    name: PathBuf,
    is_first: bool,
    kind: Kind,
}

enum Kind {
    Unknown,
    Other,
    Json(Vec<u8>),
    Database(File),
}

impl Contents {
    pub(super) fn new(folder: &Path) -> anyhow::Result<Contents> {
        let making = || format!("making a folder for databases in {}", folder.display());
        let builder = tempfile::Builder::new().prefix(".hearthkeep-verify-").tempdir_in(folder);
        Ok(Contents {
            folder: builder.with_context(making)?,
            databases: HashMap::new(),
            now: None,
            problems: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// The next file begins.
    pub(super) fn begin(&mut self, member: &str, name: &Path, size: u64) {
        let kind = match is_storage(member, name) && size <= MAX_JSON_BYTES {
            true => Kind::Json(Vec::new()),
            false => Kind::Unknown,
        };
        self.now = Some(Now { name: name.to_owned(), is_first: true, kind });
    }

    /// A piece of it; an empty one is its end.
    pub(super) fn piece(&mut self, piece: &[u8]) {
        let Some(mut now) = self.now.take() else { return };
        if matches!(now.kind, Kind::Unknown) && now.is_first {
            now.kind = match self.place(&now.name, piece) {
                Some(place) => self.create(&now.name, &place),
                None => Kind::Other,
            };
        }
        now.is_first = false;
        match &mut now.kind {
            Kind::Json(json) if piece.is_empty() => self.json(&now.name, json),
            Kind::Json(json) => json.extend_from_slice(piece),
            Kind::Database(file) => {
                if let Err(err) = file.write_all(piece) {
                    self.unchecked(&now.name, &err);
                    now.kind = Kind::Other;
                }
            }
            Kind::Unknown | Kind::Other => (),
        }
        if !piece.is_empty() {
            self.now = Some(now);
        }
    }

    /// Problems, and what could not be looked at.
    pub(super) fn finish(mut self) -> (Vec<String>, Vec<String>) {
        for (name, place) in std::mem::take(&mut self.databases) {
            let path = self.folder.path().join(place);
            match quick_check(&path) {
                Ok(()) => (),
                Err(Trouble::Broken(what)) => {
                    self.problems.push(format!("the database {}: {what}", name.display()));
                }
                Err(Trouble::Unknown(what)) => {
                    self.notes.push(format!("the database {}: {what}", name.display()));
                }
            }
        }
        self.problems.sort();
        (self.problems, self.notes)
    }

    /// Where a database or what belongs to one is put; nothing for all else.
    fn place(&mut self, name: &Path, begin: &[u8]) -> Option<String> {
        if begin.starts_with(SQLITE) {
            let next = format!("{}.db", self.databases.len());
            return Some(self.databases.entry(name.to_owned()).or_insert(next).clone());
        }
        let text = name.to_str()?;
        COMPANIONS.iter().find_map(|end| {
            let database = Path::new(text.strip_suffix(end)?);
            Some(format!("{}{end}", self.databases.get(database)?))
        })
    }

    fn create(&mut self, name: &Path, place: &str) -> Kind {
        match File::create(self.folder.path().join(place)) {
            Ok(file) => Kind::Database(file),
            Err(err) => {
                self.unchecked(name, &err);
                Kind::Other
            }
        }
    }

    fn unchecked(&mut self, name: &Path, err: &std::io::Error) {
        let folder = self.folder.path().parent().unwrap_or(Path::new("")).display();
        let why = match err.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("no room in {folder}"),
            _ => format!("{folder}: {err}"),
        };
        let cure = "name another folder with --staging";
        self.notes.push(format!("{} was not looked into: {why}; {cure}", name.display()));
        self.databases.remove(name);
    }

    /// Home Assistant writes JSON there; some integrations write other things.
    fn json(&mut self, name: &Path, json: &[u8]) {
        let meant = json.trim_ascii_start();
        let what = match meant.first() {
            None => "it is empty".to_owned(),
            Some(b'{' | b'[') => match serde_json::from_slice::<serde::de::IgnoredAny>(json) {
                Ok(_) => return,
                Err(err) => format!("it is not JSON: {err}"),
            },
            Some(0) if json.iter().all(|it| *it == 0) => "it is all zeros".to_owned(),
            Some(_) => return,
        };
        self.problems.push(format!("{}: {what}", name.display()));
    }
}

/// Whether a file is one of those in which Home Assistant keeps what it knows.
fn is_storage(member: &str, name: &Path) -> bool {
    let below = name.strip_prefix("data").unwrap_or(name);
    let mut components = below.components().map(|it| it.as_os_str());
    member.starts_with("homeassistant.")
        && components.next().is_some_and(|it| it == ".storage")
        && components.count() == 1
}

enum Trouble {
    Broken(String),
    Unknown(String),
}

fn quick_check(path: &Path) -> Result<(), Trouble> {
    let check = || -> Result<Vec<String>, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags)?;
        // It comes out of a file: nothing in it is run.
        database.pragma_update(None, "trusted_schema", false)?;
        database.pragma_update(None, "cell_size_check", true)?;
        let mut query = database.prepare("PRAGMA quick_check(3)")?;
        let lines = query.query_map([], |row| row.get(0))?;
        lines.collect()
    };
    match check() {
        Ok(lines) if lines == ["ok"] => Ok(()),
        Ok(lines) => Err(Trouble::Broken(lines.join("; ").replace('\n', " "))),
        Err(err) => Err(match err.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Trouble::Broken(err.to_string())
            }
            // What an extension would be needed for, or no room.
            _ => Trouble::Unknown(format!("it could not be looked into: {err}")),
        }),
    }
}
