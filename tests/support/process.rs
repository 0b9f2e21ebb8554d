//! `process.py`: somebody else who writes the files of a home, with locks and mappings of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// The process; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Process {
    pub(crate) fn start() -> Process {
        let mut command = Command::new("python3");
        command.arg(script("process.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is installed");
        let words = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Process { child, pipes: Mutex::new((words, answers)) }
    }

    /// One that has a database with a write-ahead log open as `db`, with an empty table `t`.
    pub(crate) fn with_database(path: &Path) -> Process {
        let process = Process::start();
        process.does(&format!("import sqlite3; path = {:?}", path.display().to_string()));
        process.does("db = sqlite3.connect(path, isolation_level=None)");
        process.does("db.execute('PRAGMA journal_mode = WAL') and None");
        process.does("db.execute('CREATE TABLE t (n INTEGER)') and None");
        process
    }

    /// Does something; gives its value.
    pub(crate) fn does(&self, words: &str) -> Value {
        let mut pipes = self.pipes.lock().expect("no test panics while it holds this");
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "{}", Value::from(words)).expect("it listens");
        let mut answer = String::new();
        stdout.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).unwrap_or_else(|err| panic!("{words}: {err}: {answer:?}"))
    }

    /// The files that it has open, as the kernel names them.
    pub(crate) fn open_files(&self) -> Vec<String> {
        let links = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        let target = |it: fs::DirEntry| fs::read_link(it.path()).expect("it is open");
        links.map(|it| target(it.expect("it runs")).display().to_string()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A script beside this file.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}
