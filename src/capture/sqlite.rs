//! SQLite databases that are written all the time: a parked reader keeps the main file still.
//!
//! While a read transaction is open, no checkpoint goes past its mark. So once everything up to the
//! mark is checkpointed, the main file does not change: the home goes on writing to the `-wal`, and
//! the main file can be copied without haste. In the hold only the `-wal` is left to copy.
//!
//! Each connection here says first that it does not checkpoint when it closes. A program that opens
//! and closes its own database file by other means (Home Assistant's backup does) loses its lock on
//! it; an outside connection that closes in SQLite's usual way would then take itself for the last
//! one, and remove the `-wal` under the program that still writes it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use nix::sys::statfs::{FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, fstatfs};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How every SQLite database begins (sqlite.org, "Database File Format").
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Bytes 18 and 19 of a database with a write-ahead log.
const WITH_LOG: [u8; 2] = [2, 2];

/// How a write-ahead log begins: one for each order of the bytes in its checksums.
const WAL_MAGIC: [u32; 2] = [0x377f_0682, 0x377f_0683];

/// For a lock that the home has for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a checkpoint is asked for until it went all the way: other readers may be in front.
const CHECKPOINTS: usize = 3;

/// What a file is to SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// No database.
    None,
    /// A database with a rollback journal.
    Rollback,
    /// A database with a write-ahead log.
    Wal,
}

/// Looks at the first bytes of a file.
pub(super) fn format(file: &File) -> io::Result<Format> {
    let mut head = [0; 20];
    if read_exact_or_nothing(file, &mut head, 0)?.is_none() {
        return Ok(Format::None);
    }
    Ok(match head.starts_with(MAGIC) {
        false => Format::None,
        true if head[18..20] == WITH_LOG => Format::Wal,
        true => Format::Rollback,
    })
}

/// Whether SQLite keeps such a file beside a database, and rewrites it all the time.
pub(super) fn is_log(name: &[u8]) -> bool {
    [&b"-wal"[..], b"-journal"].iter().any(|it| name.len() > it.len() && name.ends_with(it))
}

/// Whether this is the index of a log, among the sorted names of its folder. SQLite makes it anew
/// from the log, and who opens and closes it loses the locks that readers here have in it.
pub(super) fn is_index(name: &OsStr, names: &[OsString]) -> bool {
    let Some(database) = name.as_bytes().strip_suffix(b"-shm") else { return false };
    let is_there = |it: &[u8]| names.binary_search_by(|name| name.as_bytes().cmp(it)).is_ok();
    is_there(database) && is_there(&[database, b"-wal"].concat())
}

/// How much of a write-ahead log counts. Once it is written back, a log begins anew at its start and
/// keeps its length; the frames of earlier times behind carry other salts. Where it is no log, all
/// of it counts (sqlite.org, "WAL-mode File Format").
pub(super) fn log_size(file: &File, size: u64) -> io::Result<u64> {
    const HEAD: u64 = 32;
    const FRAME_HEAD: u64 = 24;
    let mut head = [0; HEAD as usize];
    if size < HEAD || read_exact_or_nothing(file, &mut head, 0)?.is_none() {
        return Ok(size);
    }
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let page = u64::from(number(8));
    if !WAL_MAGIC.contains(&number(0)) || !page.is_power_of_two() || page < 512 {
        return Ok(size);
    }
    let frame = FRAME_HEAD + page;
    // All that count come first, so halving finds the end of them in a few reads.
    let (mut some, mut none) = (0, (size - HEAD) / frame + 1);
    while none - some > 1 {
        let n = some + (none - some) / 2;
        let mut salts = [0; 8];
        let read = read_exact_or_nothing(file, &mut salts, HEAD + (n - 1) * frame + 8)?;
        match read.is_some() && salts == head[16..24] {
            true => some = n,
            false => none = n,
        }
    }
    Ok(HEAD + some * frame)
}

fn read_exact_or_nothing(file: &File, bytes: &mut [u8], at: u64) -> io::Result<Option<()>> {
    match file.read_exact_at(bytes, at) {
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(Some),
    }
}

/// Whether a file is called as databases and their logs mostly are.
pub(super) fn is_named_so(name: &OsStr) -> bool {
    let end = Path::new(name).extension().unwrap_or_default().as_encoded_bytes();
    [&b"db"[..], b"sqlite", b"sqlite3"].iter().any(|it| end.starts_with(it))
}

/// A read transaction that stands still. The connection ends before the file is closed: closing
/// any descriptor of a file drops all locks that this process has on it.
#[derive(Debug)]
pub(super) struct Reader {
    _connection: Connection,
    /// The main file.
    file: Arc<File>,
    /// Further descriptors of it, which must not be closed before.
    more: Mutex<Vec<File>>,
}

impl Reader {
    /// Takes a further descriptor of the main file into keeping; gives the first one.
    pub(super) fn keep(&self, file: File) -> Arc<File> {
        self.more.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        self.file.clone()
    }
}

/// Parks a reader in a database that is in use; nothing where it is not, where its file system is
/// not of this machine, or where SQLite would have to make a file.
///
/// # Errors
/// What SQLite says; the database is then copied in the hold like any other file.
pub(super) fn park(path: &Path, file: File) -> (Arc<File>, anyhow::Result<Option<Reader>>) {
    let file = Arc::new(file);
    let reader = try_park(path, &file);
    (file, reader)
}

fn try_park(path: &Path, file: &Arc<File>) -> anyhow::Result<Option<Reader>> {
    if !is_in_use(path) || !is_local(file)? {
        return Ok(None);
    }
    // First one that may not write, and so never plays back a journal, which is not ours to decide;
    // and whoever can write here could have made one up. As long as this one reads, no other can get
    // the lock that it takes to play one back.
    let reading = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reading.execute_batch("BEGIN").context("beginning to read")?;
    read_something(&reading)?;
    let other = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    for _ in 0..CHECKPOINTS {
        let (busy, in_log, moved) = other
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .context("writing its log back")?;
        if busy == 0 && moved >= in_log {
            break;
        }
    }
    // Somebody may have put another file there since this one was opened.
    let is_same = std::fs::metadata(path)?.ino() == file.metadata()?.ino();
    Ok(is_same.then(|| Reader { _connection: reading, file: file.clone(), more: Mutex::default() }))
}

/// Its log and the index of it are there, so nothing is made by opening it. Nor is there a journal,
/// which a database with a log has only while it becomes another one.
fn is_in_use(path: &Path) -> bool {
    let is_file = |end: &str| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(end);
        PathBuf::from(beside).symlink_metadata().map(|it| it.is_file())
    };
    is_file("-wal").is_ok_and(|it| it)
        && is_file("-shm").is_ok_and(|it| it)
        && is_file("-journal").is_err()
}

/// The index of a log is memory that all programs share, which a network cannot give.
fn is_local(file: &File) -> anyhow::Result<bool> {
    let kind = fstatfs(file).context("looking at its file system")?.filesystem_type();
    Ok(![NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, FUSE_SUPER_MAGIC].contains(&kind))
}

fn connect(path: &Path, access: OpenFlags) -> anyhow::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags).context("opening it")?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .context("keeping its log")?;
    connection.busy_timeout(PATIENCE).context("setting the patience")?;
    Ok(connection)
}

/// Begins the read transaction for good, without reading what the database calls its tables: they
/// are written by whoever can write the database.
fn read_something(connection: &Connection) -> anyhow::Result<()> {
    let version = connection.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0));
    version.map(drop).context("reading it")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// A journal as a crash leaves it, which names another file of its transaction (sqlite.org,
    /// "Database File Format", 3).
    fn journal(naming: &Path) -> Vec<u8> {
        const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        let name = naming.as_os_str().as_bytes();
        let sum: u32 = name.iter().map(|it| u32::from(*it)).sum();
        let mut journal = MAGIC.to_vec();
        for number in [0u32, 1, 1, 512, 4096] {
            journal.extend(number.to_be_bytes());
        }
        journal.resize(512, 0);
        journal.extend([0; 4]);
        journal.extend(name);
        journal.extend(u32::try_from(name.len()).expect("it is short").to_be_bytes());
        journal.extend(sum.to_be_bytes());
        journal.extend(MAGIC);
        journal
    }

    #[test]
    fn of_a_log_only_what_counts_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (db, log) = (folder.path().join("db"), folder.path().join("db-wal"));
        let writer = Connection::open(&db).expect("a database");
        let all = "PRAGMA journal_mode = WAL; PRAGMA page_size = 4096; CREATE TABLE t (n)";
        writer.execute_batch(all).expect("a log");
        let insert = || writer.execute("INSERT INTO t VALUES (randomblob(50000))", []);
        for _ in 0..10 {
            insert().expect("a row");
        }
        let sizes = || {
            let file = File::open(&log).expect("it is there");
            let size = file.metadata().expect("it is there").len();
            (log_size(&file, size).expect("it can be read"), size)
        };
        let (counts, whole) = sizes();
        assert_eq!(counts, whole);
        let answer = writer.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        answer.expect("it is written back");
        insert().expect("a row");
        let (counts, size) = sizes();
        assert!(size == whole && counts > 50_000 && counts < 100_000, "{counts} of {size}");
        // What counts is all that it takes.
        let copy = folder.path().join("copy");
        fs::copy(&db, &copy).expect("it is there");
        let copied = folder.path().join("copy-wal");
        fs::copy(&log, &copied).expect("it is there");
        let shortened = File::options().write(true).open(&copied).and_then(|it| it.set_len(counts));
        shortened.expect("it can be cut");
        let reader = Connection::open(&copy).expect("a database");
        let n: i64 =
            reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).expect("rows");
        assert_eq!(n, 11);
    }

    #[test]
    fn a_journal_is_never_played_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let writer = Connection::open(path("writer")).expect("a database");
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n)").expect("a log");
        for end in ["", "-wal", "-shm"] {
            let (from, to) = (path(&format!("writer{end}")), path(&format!("db{end}")));
            fs::copy(from, to).expect("it is there");
        }
        let (db, planted, victim) = (path("db"), path("db-journal"), path("victim"));
        let plant = || {
            for (path, content) in [(&victim, b"precious".to_vec()), (&planted, journal(&victim))] {
                let mut file = File::create(path).expect("a file");
                file.write_all(&content).expect("it can be written");
            }
        };
        plant();
        let (_, parked) = park(&db, File::open(&db).expect("it is there"));
        assert!(parked.expect("it is no error").is_none());
        // It may come between the look for it and the opening.
        let reading = connect(&db, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
        reading.execute_batch("BEGIN").expect("nothing is read yet");
        read_something(&reading).expect_err("it may not be played back");
        assert!(victim.exists() && planted.exists());
        drop(reading);
        // What would have happened. Older versions of SQLite would remove the victim as well.
        let writing = connect(&db, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("it opens");
        read_something(&writing).expect("it was played back");
        assert!(!planted.exists(), "the journal is not as SQLite wants it, and shows nothing");
    }
}
