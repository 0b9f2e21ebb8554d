//! The daemon of a test's own, and who asks it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::home::{Home, tool};
use super::{DEADLINE, wait_until};

/// `hearthkeep serve`; told to stop when it is dropped.
pub(crate) struct Served {
    child: Child,
    folder: PathBuf,
    said: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Served {
    /// Starts it for a home, and waits until it says that it is ready.
    pub(crate) fn start(home: &Home) -> Served {
        Served::with(home.command(&["serve"]), home.bench.path())
    }

    /// The same with a command of the caller's; its socket and its log lie in `folder`.
    pub(crate) fn with(command: Command, folder: &Path) -> Served {
        let served = Served::begin(command, folder);
        wait_until("it is ready", || {
            assert!(served.is_alive(), "{}", served.log());
            served.has_said("READY=1")
        });
        served
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn begin(mut command: Command, folder: &Path) -> Served {
        let notify = folder.join("notify.sock");
        _ = fs::remove_file(&notify);
        let systemd = UnixDatagram::bind(&notify).expect("a socket can be made");
        let said: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let heard = said.clone();
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(n) = systemd.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..n]).into_owned();
                heard.lock().expect("no test panics in here").push((Instant::now(), text));
            }
        });
        let log = File::options().create(true).append(true).open(folder.join("log"));
        let child = command
            .env("HEARTHKEEP_SOCKET", folder.join("served.sock"))
            .env("NOTIFY_SOCKET", notify)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log can be written"))
            .spawn()
            .expect("the program can be started");
        Served { child, folder: folder.to_owned(), said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("served.sock")
    }

    /// What it said on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What it said to systemd, each message with its time.
    pub(crate) fn said(&self) -> Vec<(Instant, String)> {
        self.said.lock().expect("no test panics while it holds this").clone()
    }

    pub(crate) fn has_said(&self, what: &str) -> bool {
        self.said().iter().any(|(_, it)| it.contains(what))
    }

    /// When it last said something to systemd.
    pub(crate) fn last(&self, what: &str) -> Option<Instant> {
        self.said().iter().rev().find(|(_, it)| it.contains(what)).map(|(at, _)| *at)
    }

    pub(crate) fn is_alive(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.pid())).is_ok_and(|it| !it.contains(") Z"))
    }

    pub(crate) fn signal(&self, signal: &str) {
        tool("kill", &["-s", signal, &self.pid().to_string()]);
    }

    /// Waits for the end; gives the exit code, or -1 where a signal has ended it.
    pub(crate) fn code(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code().unwrap_or(-1);
            }
            assert!(since.elapsed() < DEADLINE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks; gives the status code and the body.
    pub(crate) fn http(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let mut stream = self.send(method, path, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
        let code = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("it has a status");
        (code, body.to_owned())
    }

    /// Asks, and leaves the answer to be read.
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> UnixStream {
        let mut stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("it can be set");
        let body = body.map(Value::to_string).unwrap_or_default();
        // By the older protocol an answer ends with the connection, without chunks.
        let head = format!(
            "{method} /hearthkeep/{path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it listens");
        stream.write_all(body.as_bytes()).expect("it listens");
        stream
    }

    pub(crate) fn status(&self) -> Value {
        let (code, body) = self.http("GET", "status", None);
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("it answers in JSON")
    }

    /// Asks for a job; gives the status code and the answer.
    pub(crate) fn try_ask(&self, request: &Value) -> (u16, Value) {
        let (code, body) = self.http("POST", "jobs", Some(request));
        (code, serde_json::from_str(&body).expect("it answers in JSON"))
    }

    /// Asks for a job that has to be taken; gives its identifier.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let (code, answer) = self.try_ask(&json!({ "words": words }));
        assert_eq!(code, 202, "{answer}");
        answer["id"].as_str().expect("it has an identifier").to_owned()
    }

    /// Cancels a job; gives the status code.
    pub(crate) fn cancel(&self, id: &str) -> u16 {
        self.http("DELETE", &format!("jobs/{id}"), None).0
    }

    /// All that a job tells, to its end.
    pub(crate) fn lines(&self, id: &str) -> Vec<Value> {
        let (code, body) = self.http("GET", &format!("jobs/{id}/lines"), None);
        assert_eq!(code, 200, "{body}");
        let lines = body.lines().map(|it| serde_json::from_str(it).expect("a line is JSON"));
        lines.collect()
    }

    /// Waits for the end of a job; gives its exit code.
    pub(crate) fn ended(&self, id: &str) -> u64 {
        let lines = self.lines(id);
        lines.last().and_then(|it| it["ended"].as_u64()).expect("the last line tells")
    }

    /// Waits until the running job is at this step.
    pub(crate) fn wait_for(&self, step: &str, part: Option<&str>) {
        wait_until(&format!("{step} {part:?}: {}", self.log()), || {
            let running = &self.status()["running"];
            running["step"] == step && part.is_none_or(|it| running["part"] == it)
        });
    }

    /// The process of the job that runs.
    pub(crate) fn job(&self) -> u32 {
        let found = tool("pgrep", &["--parent", &self.pid().to_string()]);
        let found = String::from_utf8(found).expect("pgrep says numbers");
        let all: Vec<u32> = found.lines().map(|it| it.parse().expect("a number")).collect();
        assert_eq!(all.len(), 1, "one job is one process");
        all[0]
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing may panic in here. It is asked, since containers may be held.
        let pid = self.pid().to_string();
        for signal in ["CONT", "TERM"] {
            _ = Command::new("kill").args(["-s", signal, &pid]).output();
        }
        let since = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if since.elapsed() > DEADLINE {
                _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
