//! Databases of SQLite: whole, of one instant, and never the worse for a backup.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::scene::{Memory, Scene};
use crate::support::home::tool;
use crate::support::process::{Process, script};
use crate::support::wait_until;
use crate::tree::{assert_same, look};

const BACKUPS: usize = 20;

/// `chain.py` at full speed, with no container around it.
struct Writer(Child);

impl Writer {
    fn start(database: &Path) -> Writer {
        let mut command = Command::new("python3");
        command.arg(script("chain.py")).arg("write").arg(database);
        let writer = Writer(command.spawn().expect("python3 is installed"));
        let acked = database.with_added_extension("acked");
        wait_until("the chain grows", || acked.metadata().is_ok_and(|it| it.len() > 0));
        writer
    }

    /// Holds it while something is done, as a pause of its container would.
    fn hold<T>(&self, deed: impl FnOnce() -> T) -> T {
        self.signal("STOP");
        wait_until("it stands still", || self.state() == Some('T'));
        let done = deed();
        self.signal("CONT");
        done
    }

    fn signal(&self, signal: &str) {
        tool("kill", &["-s", signal, &self.0.id().to_string()]);
    }

    fn state(&self) -> Option<char> {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        status.rsplit(')').next()?.trim_start().chars().next()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The number of rows in the chain that was archived, which must be sound and complete.
fn check_chain(folder: &Path) -> u64 {
    let mut command = Command::new("python3");
    command.arg(script("chain.py")).arg("check").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is installed");
    let question = format!("{}\n", folder.display());
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(question.as_bytes()).expect("it listens");
    drop(stdin);
    let mut answer = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    stdout.read_line(&mut answer).expect("it answers");
    child.wait().expect("it is ours");
    let answer: Value = serde_json::from_str(&answer).expect("it answers in JSON");
    assert_eq!(answer["problems"], Value::Array(Vec::new()));
    answer["rows"].as_u64().expect("it counts rows")
}

#[test]
fn a_database_that_is_written_at_full_speed_is_whole_and_loses_no_row() {
    let scene = Scene::new();
    // No name by which anybody would know it, nor what lies beside it.
    let database = scene.path("store.data");
    let writer = Writer::start(&database);
    let mut rows = 0;
    for _ in 0..BACKUPS {
        let mut capture = scene.warm();
        writer.hold(|| capture.settle(&|| Ok(()))).expect("it can be taken");
        capture.let_go();
        let archived = scene.archive(&capture);
        assert_eq!(archived.written.warnings, [""; 0]);
        let folder = archived.extract();
        assert!(!folder.join("store.data-shm").exists());
        rows = rows.max(check_chain(&folder));
    }
    assert!(rows > 1_000, "the writer hardly wrote: {rows} rows");
    for beside in ["-wal", "-shm"] {
        let beside = scene.path(&format!("store.data{beside}"));
        assert!(beside.exists(), "{} is gone under its writer", beside.display());
    }
}

const CHECKPOINT: &str = "list(db.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone())";

#[test]
fn no_checkpoint_passes_the_reader_until_it_is_let_go() {
    let scene = Scene::new();
    let process = Process::with_database(&scene.path("store.data"));
    process.does("db.execute('PRAGMA busy_timeout = 0') and None");
    let row = || process.does("db.execute('INSERT INTO t VALUES (1)') and None");
    row();
    let mut capture = scene.warm();
    row();
    assert_eq!(process.does(CHECKPOINT)[0], 1, "a checkpoint went past the reader");
    // It moves a time of the file, which is why it is looked at once more.
    let path = scene.path("store.data");
    fs::hard_link(&path, scene.path("link")).expect("it can be linked");
    capture.settle(&|| Ok(())).expect("it can be taken");
    assert_eq!(process.does(CHECKPOINT)[0], 1, "a checkpoint went past the reader");
    capture.let_go();
    assert_eq!(process.does(CHECKPOINT)[0], 0, "the reader is still there");
}

#[test]
fn a_home_that_closes_its_database_meanwhile_loses_nothing() {
    let scene = Scene::new();
    let path = scene.path("store.data");
    let process = Process::with_database(&path);
    process.does("db.execute('INSERT INTO t VALUES (1)') and None");
    let mut capture = scene.warm();
    process.does("db.execute('INSERT INTO t VALUES (2)') and None");
    process.does("import os; os.chmod(path, 0o600)");
    capture.settle(&|| Ok(())).expect("it can be taken");
    process.does("db.execute('INSERT INTO t VALUES (3)') and None");
    // It is not the last one, and must not take itself for that.
    process.does("db.close()");
    assert!(scene.path("store.data-wal").exists(), "it took itself for the last one");
    capture.let_go();
    assert_eq!(rows(&path), [1, 2, 3]);
    let archived = scene.archive(&capture);
    assert_eq!(rows(&archived.extract().join("store.data")), [1, 2]);
}

/// What Home Assistant's own backup does to its own lock, once in front of each step.
#[test]
fn a_home_that_has_lost_its_lock_keeps_its_files() {
    let scene = Scene::new();
    let path = scene.path("home.db");
    let process = Process::with_database(&path);
    let lose = |n: u64| {
        process.does(&format!("db.execute('INSERT INTO t VALUES ({n})') and None"));
        process.does("open(path, 'rb').close()");
        let deleted: Vec<_> =
            process.open_files().into_iter().filter(|it| it.ends_with("(deleted)")).collect();
        assert!(deleted.is_empty(), "{deleted:?}");
    };
    lose(1);
    let mut capture = scene.warm();
    lose(2);
    capture.settle(&|| Ok(())).expect("it can be taken");
    lose(3);
    capture.let_go();
    lose(4);
    let archived = scene.archive(&capture);
    assert_eq!(rows(&archived.extract().join("home.db")), [1, 2]);
    lose(5);
    let next = scene.through(|| (), || ());
    assert_eq!(rows(&next.extract().join("home.db")), [1, 2, 3, 4, 5]);
    assert_eq!(rows(&path), [1, 2, 3, 4, 5]);
}

#[test]
fn a_transaction_in_the_middle_is_of_one_instant_with_its_journal() {
    let scene = Scene::new();
    let path = scene.path("home.db");
    let process = Process::start();
    process.does(&format!("import sqlite3; path = {:?}", path.display().to_string()));
    process.does("db = sqlite3.connect(path, isolation_level=None)");
    // So little memory that it writes to the file in the middle of a transaction.
    process.does("db.execute('PRAGMA cache_size = 2') and None");
    process.does("db.execute('CREATE TABLE t (n INTEGER, b BLOB)') and None");
    let fill = "db.executemany('INSERT INTO t VALUES (1, zeroblob(3000))', [()] * 200) and None";
    process.does(fill);
    let mut wanted = None;
    let archived = scene.through(
        || {
            process.does("db.execute('BEGIN') and None");
            process.does("db.execute('UPDATE t SET n = 2') and None");
            process.does(fill);
        },
        || {
            wanted = Some(look(&scene.path("")));
            process.does("db.execute('COMMIT') and None");
        },
    );
    let folder = archived.extract();
    assert!(folder.join("home.db-journal").exists(), "the transaction was over");
    let bytes = |folder: &Path| fs::read(folder.join("home.db")).expect("it is there");
    assert_same(&wanted.expect("it was looked at"), &look(&folder));
    assert!(bytes(&folder) != bytes(&scene.path("")), "nothing was written in the middle");
    assert_eq!(rows(&folder.join("home.db")), [1; 200]);
}

#[test]
fn nothing_is_made_beside_a_database_that_is_not_in_use() {
    let scene = Scene::new();
    let path = scene.path("home.db");
    let process = Process::with_database(&path);
    process.does("db.execute('INSERT INTO t VALUES (1)') and None");
    process.does("db.close()");
    let before = look(&scene.path(""));
    let archived = scene.through(|| (), || ());
    assert_same(&before, &look(&scene.path("")));
    assert_eq!(rows(&archived.extract().join("home.db")), [1]);
}

/// Each file system numbers its files on its own.
#[test]
fn two_databases_of_one_number_on_two_file_systems_are_two() {
    let disks = [Memory::new(8), Memory::new(8)];
    let mut processes = Vec::new();
    for (n, disk) in disks.iter().enumerate() {
        let process = Process::with_database(&disk.path().join("home.db"));
        process.does(&format!("db.execute('INSERT INTO t VALUES ({n})') and None"));
        // Or the log would have every page, whatever lies below it.
        process.does(CHECKPOINT);
        processes.push(process);
    }
    let number = |disk: &Memory| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(disk.path().join("home.db")).expect("it is there").ino()
    };
    assert_eq!(number(&disks[0]), number(&disks[1]));
    let roots = vec![("one", disks[0].path().to_owned()), ("two", disks[1].path().to_owned())];
    let scene = Scene::of(roots);
    let archived = scene.through(|| (), || ());
    let folder = archived.extract();
    assert_eq!(rows(&folder.join("one/home.db")), [0]);
    assert_eq!(rows(&folder.join("two/home.db")), [1]);
}

/// The numbers in the table `t` of a sound database.
fn rows(database: &Path) -> Vec<i64> {
    let db = rusqlite::Connection::open(database).expect("it is a database");
    let verdict = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(verdict.expect("it can be read"), "ok");
    let mut statement = db.prepare("SELECT n FROM t ORDER BY n").expect("it has the table");
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).expect("it can be read");
    rows.map(|it| it.expect("it can be read")).collect()
}
