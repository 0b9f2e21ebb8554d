//! What a run tells where nobody watches: entries with fields, each thing once.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::home::{Home, write};
use crate::support::{Bench, Run, wait_until};

/// A backup by others; its password is `hunter2`.
fn archive(name: &str) -> String {
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    archives.join(name).display().to_string()
}

fn run(command: &mut Command) -> Run {
    command.stdin(Stdio::null()).output().expect("it can be started").into()
}

/// The entries, of which every line must be one.
fn entries(run: &Run) -> Vec<Value> {
    let read =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}: {run:?}"));
    run.stderr.lines().map(read).collect()
}

fn of_kind<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries.iter().filter(|it| it["kind"] == kind).collect()
}

#[test]
fn as_json_a_run_is_one_job_from_its_beginning_to_its_end() {
    let home = Home::new("log");
    let key = home.write("key", "hunter2\n");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("it is ours");
    let key = key.display();
    let settings = format!("log: json\nprofiles:\n  night:\n    password-file: {key}\n");
    let settings = home.write("config.yaml", &settings);
    let backup = |words: &[&str]| {
        let mut command = home.command(&[&["backup", "--profile", "night"], words].concat());
        run(command.env("HEARTHKEEP_CONFIG", &settings)).ends(0)
    };
    let told = backup(&[]);
    assert!(told.stdout.starts_with("backed up \"Full backup "), "{told:?}");
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    let entries = entries(&told);
    let job = entries[0]["job"].as_str().expect("a job").to_owned();
    for it in &entries {
        assert_eq!((&it["job"], &it["profile"]), (&job.as_str().into(), &"night".into()), "{it}");
        let time = it["time"].as_str().expect("a time");
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{it}");
    }
    assert_eq!(entries[0]["kind"], "job-began");
    assert_eq!(entries[0]["message"], "began backup --profile night");
    let steps = of_kind(&entries, "job-step");
    assert!(steps.iter().any(|it| it["message"] == "verifying"), "{entries:?}");
    // Whether others may read the key is told once, by whichever way.
    let warnings = of_kind(&entries, "job-warning");
    assert_eq!(warnings.len(), 1, "{entries:?}");
    assert_eq!(warnings[0]["level"], "warning");
    let last = entries.last().expect("there are some");
    assert_eq!((&last["kind"], &last["level"]), (&"job-done".into(), &"info".into()));
    assert_eq!(last["exit_code"], 0);
    let slug = last["slug"].as_str().expect("a slug");
    assert!(last["message"].as_str().is_some_and(|it| it.ends_with(&format!("{slug}, encrypted"))));

    // Of another run the job is another; with --json there is one object on standard output; and
    // where nothing but what matters shall be told, no steps are.
    let told = backup(&["--json", "--quiet"]);
    assert_eq!(told.json()["protected"], true);
    let entries = self::entries(&told);
    assert_ne!(entries[0]["job"], job);
    assert!(of_kind(&entries, "job-step").is_empty(), "{entries:?}");
    assert_eq!(of_kind(&entries, "job-warning").len(), 1, "{entries:?}");
    assert_eq!(of_kind(&entries, "job-done").len(), 1, "{entries:?}");
}

#[test]
fn how_a_run_fails_is_one_entry_with_its_exit_code() {
    let bench = Bench::new();
    let fails = |path: &str, code: i32, said: &str| {
        let mut command = bench.command(&["verify", path]);
        let command = command.env("HEARTHKEEP_LOG", "json");
        let told = run(command.env("HEARTHKEEP_PASSWORD", "hunter3")).ends(code);
        let entries = entries(&told);
        let failed = of_kind(&entries, "job-failed");
        assert_eq!(failed.len(), 1, "{told:?}");
        assert_eq!((&failed[0]["level"], &failed[0]["exit_code"]), (&"error".into(), &code.into()));
        assert!(failed[0]["message"].as_str().is_some_and(|it| it.contains(said)), "{told:?}");
        assert!(of_kind(&entries, "job-done").is_empty(), "{told:?}");
        assert!(!told.stderr.contains("hunter3"), "{told:?}");
    };
    fails(&archive("core_sec3_gz.tar"), 12, "wrong password");
    fails("/nowhere/x.tar", 10, "no backup x.tar in /nowhere");
    // Its result is what is wrong, and no error.
    let plain = fs::read(archive("hearthkeep_plain_gz.tar")).expect("it is there");
    let bent = write(&bench.path().join("bent.tar"), &bent(plain));
    fails(&bent.display().to_string(), 14, "bent.tar");

    // Before the settings are known there is no job.
    let mut command = bench.command(&["backup"]);
    let settings = write(&bench.path().join("config.yaml"), "log: json\nstroe: /a\n");
    command.env("HEARTHKEEP_CONFIG", settings).env("HEARTHKEEP_LOG", "json");
    let told = run(&mut command).ends(78);
    let entries = entries(&told);
    assert_eq!(entries.len(), 1, "{told:?}");
    assert_eq!((&entries[0]["kind"], &entries[0]["job"]), (&"failed".into(), &Value::Null));
    let message = entries[0]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("line 2, column 1") && message.contains("probably store"),
        "{message}"
    );
}

/// The same with other bytes in the middle, where the data is.
fn bent(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    for it in &mut bytes[middle..middle + 64] {
        *it ^= 0x55;
    }
    bytes
}

#[test]
fn a_job_of_another_process_has_its_lines_alone() {
    let bench = Bench::new();
    let mut command = bench.command(&["verify", &archive("hearthkeep_plain_gz.tar")]);
    command.env("HEARTHKEEP_LOG", "json").env("HEARTHKEEP_JOB", "4f2a");
    let told = run(&mut command).ends(0);
    assert_eq!(told.stderr, "", "{told:?}");
    assert!(told.stdout.lines().all(|it| it.starts_with('{')), "{told:?}");
}

/// Stands where the journal listens, for a process that sees another `/run`.
struct Listener {
    bench: Bench,
    socket: UnixDatagram,
}

impl Listener {
    fn new() -> Listener {
        let bench = Bench::new();
        let socket = UnixDatagram::bind(bench.path().join("socket")).expect("a socket");
        socket.set_nonblocking(true).expect("it is ours");
        Listener { bench, socket }
    }

    /// Runs the program with standard error in a file that may be the journal's stream. Gives what
    /// went into that file, and what was sent to the journal.
    fn run(&self, words: &[&str], is_stream: bool) -> (String, Vec<Vec<(String, String)>>) {
        let path = self.bench.path().join("stderr");
        let file = File::create(&path).expect("it is ours");
        let status = file.metadata().expect("it is there");
        let stream = format!("{}:{}", status.dev(), status.ino() + u64::from(!is_stream));
        let inner = self.bench.command(words);
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && ln -s \"$0\" /run/systemd/journal/socket && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script]).arg(self.bench.path().join("socket"));
        command.arg(inner.get_program()).args(inner.get_args());
        for (key, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        let status =
            command.env("JOURNAL_STREAM", stream).stdout(Stdio::null()).stderr(file).status();
        status.expect("unshare is installed");
        (fs::read_to_string(&path).expect("it is there"), self.sent())
    }

    /// The entries that came, each with its fields. The first datagram of a process is empty.
    fn sent(&self) -> Vec<Vec<(String, String)>> {
        let mut bytes = [0; 65536];
        let next = || self.socket.recv(&mut bytes).ok().map(|it| fields(&bytes[..it]));
        std::iter::from_fn(next).filter(|it| !it.is_empty()).collect()
    }
}

/// The fields of a datagram: `NAME=value`, or a name, a length and as many bytes.
fn fields(mut bytes: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is UTF-8");
    let mut fields = Vec::new();
    while let Some(end) = bytes.iter().position(|it| *it == b'\n') {
        let line = &bytes[..end];
        bytes = &bytes[end + 1..];
        if let Some(equals) = line.iter().position(|it| *it == b'=') {
            fields.push((text(&line[..equals]), text(&line[equals + 1..])));
            continue;
        }
        let (length, rest) = bytes.split_first_chunk().expect("a length");
        let length = usize::try_from(u64::from_le_bytes(*length)).expect("it fits");
        fields.push((text(line), text(&rest[..length])));
        bytes = &rest[length + 1..];
    }
    fields
}

fn field<'a>(entry: &'a [(String, String)], name: &str) -> &'a str {
    let found: Vec<&str> = entry.iter().filter(|it| it.0 == name).map(|it| it.1.as_str()).collect();
    assert_eq!(found.len(), 1, "{name}: {entry:?}");
    found[0]
}

#[test]
fn where_standard_error_is_the_journal_entries_go_there_with_their_fields() {
    let listener = Listener::new();
    let sound = archive("hearthkeep_plain_gz.tar");
    let (stderr, sent) = listener.run(&["verify", &sound], true);
    assert_eq!(stderr, "");
    let kinds: Vec<&str> = sent.iter().map(|it| field(it, "HEARTHKEEP_KIND")).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("job-began", "job-done"), "{sent:?}");
    assert!(kinds[1..kinds.len() - 1].iter().all(|it| *it == "job-step"), "{sent:?}");
    let job = field(&sent[0], "HEARTHKEEP_JOB").to_owned();
    for it in &sent {
        assert_eq!((field(it, "SYSLOG_IDENTIFIER"), field(it, "PRIORITY")), ("hearthkeep", "6"));
        assert_eq!(field(it, "HEARTHKEEP_JOB"), job);
    }
    let last = &sent[sent.len() - 1];
    assert_eq!(field(last, "MESSAGE_ID"), "d3f87069d92a4940924b34a0455ebe05");
    assert_eq!(field(last, "HEARTHKEEP_EXIT_CODE"), "0");
    assert!(field(last, "MESSAGE").contains("sound, read to the end"), "{last:?}");

    // What is wrong has the priority of an error.
    let (stderr, sent) = listener.run(&["verify", "/nowhere/x.tar"], true);
    assert_eq!(stderr, "");
    let failed = &sent[sent.len() - 1];
    assert_eq!((field(failed, "PRIORITY"), field(failed, "HEARTHKEEP_EXIT_CODE")), ("3", "10"));
    assert_eq!(field(failed, "MESSAGE_ID"), "9a52b9407b564634b0ffc60c77f40219");

    // The variable is inherited by what writes elsewhere.
    let (stderr, sent) = listener.run(&["verify", &sound], false);
    assert!(stderr.contains("verifying\n") && sent.is_empty(), "{stderr}: {sent:?}");
}

#[test]
fn a_journal_that_is_asked_for_and_missing_is_told_and_lines_are_written() {
    let bench = Bench::new();
    let mut command = Command::new("unshare");
    let inner = bench.command(&[]);
    command.args(["--mount", "sh", "-c", "mount -t tmpfs none /run && exec \"$0\" \"$@\""]);
    command.arg(inner.get_program()).args(["verify", "/nowhere/x.tar"]);
    command.env("HEARTHKEEP_LOG", "journal").env("HEARTHKEEP_CONFIG", "/dev/null");
    let told = run(&mut command).ends(10);
    let warnings: Vec<&str> =
        told.stderr.lines().filter(|it| it.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{told:?}");
    assert!(warnings[0].contains("journal") && warnings[0].contains("set log to"), "{told:?}");
    assert!(told.error().contains("/nowhere"), "{told:?}");
}

/// The service, with its log in a file.
struct Service<'a> {
    home: &'a Home,
    child: Child,
    log: PathBuf,
}

impl Service<'_> {
    fn start<'a>(home: &'a Home, settings: &str, variables: &[(&str, &str)]) -> Service<'a> {
        let log = home.bench.path().join("log");
        let mut command = home.command(&["serve"]);
        command
            .env("HEARTHKEEP_CONFIG", home.write("config.yaml", settings))
            .env("HEARTHKEEP_SOCKET", home.bench.path().join("socket"))
            .envs(variables.iter().copied())
            .stderr(File::create(&log).expect("it is ours"));
        let service = Service { home, child: command.spawn().expect("it starts"), log };
        service.wait_for("\"ready\"");
        service
    }

    fn wait_for(&self, said: &str) {
        wait_until(said, || self.text().contains(said));
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).expect("it is there")
    }

    /// Asks for a job.
    fn ask(&self, words: &[&str]) {
        let body = serde_json::json!({ "words": words, "by": "socket" }).to_string();
        let socket = self.home.bench.path().join("socket");
        let mut socket = UnixStream::connect(socket).expect("it listens");
        let head = "POST /hearthkeep/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json";
        let length = body.len();
        write!(socket, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").expect("it hears");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    /// The entries up to its end.
    fn stop(mut self) -> Vec<Value> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().expect("it is installed");
        assert!(self.child.wait().expect("it is ours").success(), "{}", self.text());
        let read = |it: &str| serde_json::from_str(it).unwrap_or_else(|_| panic!("{it}"));
        self.text().lines().map(read).collect()
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn the_service_tells_of_itself_and_of_each_job_once() {
    let home = Home::new("service-log");
    let settings = "log: json\nprofiles:\n  night:\n    name: At night\n";
    let service = Service::start(&home, settings, &[("HEARTHKEEP_STROE", "/x")]);
    service.ask(&["backup", "--profile", "night"]);
    service.wait_for("job-done");
    service.ask(&["backup", "--only", "nosuch"]);
    service.wait_for("job-failed");
    // Who asks for it tells where the rest is, and how it ended.
    let mut command = home.command(&["backup", "--profile", "night"]);
    let socket = home.bench.path().join("socket");
    let config = home.bench.path().join("config.yaml");
    let told =
        run(command.env("HEARTHKEEP_SOCKET", socket).env("HEARTHKEEP_CONFIG", config)).ends(0);
    let asked = self::entries(&told);
    let kinds: Vec<&str> = asked.iter().filter_map(|it| it["kind"].as_str()).collect();
    assert_eq!(kinds, ["job-began", "job-step", "job-done"], "{told:?}");
    let elsewhere = asked[1]["message"].as_str().unwrap_or_default().to_owned();

    let entries = service.stop();
    let kinds: Vec<&str> = entries.iter().filter_map(|it| it["kind"].as_str()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("warned", "stopping"), "{entries:?}");
    let remark = entries[0]["message"].as_str().unwrap_or_default();
    assert!(
        remark.contains("HEARTHKEEP_STROE is no setting, probably HEARTHKEEP_STORE"),
        "{remark}"
    );

    let done = of_kind(&entries, "job-done");
    assert_eq!(done.len(), 2, "{entries:?}");
    assert_eq!(done[1]["slug"], asked[2]["slug"]);
    let job = done[1]["job"].as_str().expect("a job");
    assert_eq!(elsewhere, format!("the service does it as job {job}"));
    let slug = done[0]["slug"].as_str().expect("a slug");
    let message = done[0]["message"].as_str().unwrap_or_default();
    assert_eq!(message, format!("backed up \"At night\" as {slug}"));
    assert_eq!((&done[0]["profile"], &done[0]["exit_code"]), (&"night".into(), &0.into()));
    let of_job: Vec<&Value> = entries.iter().filter(|it| it["job"] == done[0]["job"]).collect();
    assert_eq!(of_job[0]["kind"], "job-began");
    assert!(of_job.iter().any(|it| it["message"] == "verifying"), "{of_job:?}");

    let failed = of_kind(&entries, "job-failed");
    assert_eq!(failed.len(), 1, "{entries:?}");
    assert_eq!(failed[0]["exit_code"], 2);
    assert!(failed[0]["message"].as_str().is_some_and(|it| it.contains("\"nosuch\"")));
    assert_ne!(failed[0]["job"], done[0]["job"]);
}
