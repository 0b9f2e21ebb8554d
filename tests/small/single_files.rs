//! Single files of a backup.

use std::collections::BTreeSet;
use std::fs;
use std::io::{PipeReader, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::layout::full_home;
use crate::nasty::{self, noise};
use crate::support::home::{Home, write};
use crate::tree::{assert_same, look};

pub(crate) const PASSWORD: &str = "hunter2";

/// A home and a backup of it, which is asked for single files.
pub(crate) struct Asked {
    pub(crate) home: Home,
    pub(crate) file: String,
    password: &'static str,
}

impl Asked {
    /// Backs up a home, encrypted where there is a password.
    pub(crate) fn of(home: Home, password: &'static str) -> Asked {
        let mut asked = Asked { home, file: String::new(), password };
        asked.file = asked.backup();
        asked
    }

    pub(crate) fn backup(&self) -> String {
        let store = self.home.bench.folder("store").display().to_string();
        let run = self.ask(&["--json", "--store", &store, "backup"]);
        let report = read_json(&run);
        report["path"].as_str().unwrap_or_else(|| panic!("{run:?}")).to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.home.command(words);
        if !self.password.is_empty() {
            command.env("HEARTHKEEP_PASSWORD", self.password);
        }
        command
    }

    pub(crate) fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the program can be started")
    }

    /// Asks the file, for which no engine is needed.
    fn offline(&self, words: &[&str]) -> Output {
        let mut command = self.command(words);
        command.env("DOCKER_HOST", "unix:///nowhere.sock").output().expect("it can be started")
    }

    /// What `ls` lists, by path.
    fn ls(&self, words: &[&str]) -> Vec<Value> {
        let run = self.offline(&[&["--json", "ls", &self.file], words].concat());
        read_json(&run)["entries"].as_array().expect("a list").clone()
    }

    /// What a command that fails says, and how it ends.
    fn fails(&self, words: &[&str]) -> String {
        let run = self.offline(words);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(1), "{words:?}: {said}");
        let errors = said.lines().filter(|it| it.starts_with("error:")).count();
        assert_eq!((errors, run.stdout.as_slice()), (1, &b""[..]), "{words:?}: {said}");
        said
    }
}

/// What a run printed that went well.
pub(crate) fn printed(run: &Output) -> &[u8] {
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{:?}: {said}", run.status);
    &run.stdout
}

pub(crate) fn read_json(run: &Output) -> Value {
    let text = printed(run);
    let value = serde_json::from_slice(text);
    value.unwrap_or_else(|err| panic!("{err}: {}", String::from_utf8_lossy(text)))
}

fn paths(listed: &[Value]) -> BTreeSet<&str> {
    let paths: BTreeSet<&str> = listed.iter().filter_map(|it| it["path"].as_str()).collect();
    assert_eq!(paths.len(), listed.len(), "a path is missing or doubled: {listed:?}");
    paths
}

/// Content across several blocks of the inner tar, and things that are not files.
fn furnished(what: &str) -> Home {
    let home = full_home(what);
    let folder = home.config().join("things");
    let mut film = noise(1_700_000);
    film[..4].copy_from_slice(b"\0\r\n\xff");
    write(&folder.join("film"), &film);
    write(&folder.join("empty"), "");
    write(&folder.join("deep/down/note"), "a note\n");
    symlink("deep/down/note", folder.join("link")).expect("a link can be made");
    fs::hard_link(folder.join("film"), folder.join("second")).expect("a link can be made");
    write(&folder.join("bell\x07\x1b[31m"), "rings");
    home
}

#[test]
fn files_of_a_plain_backup_come_out_one_by_one() {
    one_by_one(&Asked::of(furnished("single"), ""));
}

#[test]
fn files_of_an_encrypted_backup_come_out_one_by_one() {
    one_by_one(&Asked::of(furnished("single-encrypted"), PASSWORD));
}

fn one_by_one(asked: &Asked) {
    lists(asked);
    prints(asked);
    extracts(asked);
}

fn lists(asked: &Asked) {
    let all = asked.ls(&[]);
    let all = paths(&all);
    for (item, place) in [
        ("homeassistant/data", "config"),
        ("share", "share"),
        ("bridge/mounts/data", "bridge"),
        ("core_mosquitto/data", "mosquitto"),
        ("addons/local", "addons/local"),
    ] {
        let below = |it: &Vec<u8>| match String::from_utf8_lossy(it) {
            it if it.is_empty() => item.to_owned(),
            it => format!("{item}/{it}"),
        };
        let is_kept = |it: &String| it != "homeassistant/data/home-assistant.log";
        for wanted in look(&asked.home.bench.path().join(place)).keys().map(below).filter(is_kept) {
            assert!(all.contains(wanted.as_str()), "{wanted} is not in {all:?}");
        }
    }
    assert!(all.contains("homeassistant/data/www/index.html"), "{all:?}");
    assert!(!all.contains("homeassistant/data/home-assistant.log"), "{all:?}");

    let things = asked.ls(&["homeassistant/data/things"]);
    let wanted: BTreeSet<&str> = all
        .iter()
        .filter(|it| it.split('/').take(3).eq(["homeassistant", "data", "things"]))
        .copied()
        .collect();
    assert_eq!(paths(&things), wanted);
    assert_eq!(wanted.len(), 9, "{wanted:?}");
    assert_eq!(paths(&asked.ls(&["./homeassistant/data/things/"])), wanted);
    let of = |name: &str| {
        let path = format!("homeassistant/data/things/{name}");
        let one = asked.ls(&[&path]);
        assert_eq!(one.len(), 1, "{one:?}");
        one[0].clone()
    };
    let status = fs::metadata(asked.home.config().join("things/film")).expect("it is there");
    let film = of("film");
    assert_eq!((&film["type"], &film["size"]), (&json!("file"), &json!(1_700_000)));
    assert_eq!(film["mode"], status.mode() & 0o7777);
    assert_eq!(film["mtime"], json!([status.mtime(), status.mtime_nsec()]));
    assert_eq!(
        (&of("link")["type"], &of("link")["target"]),
        (&json!("symlink"), &json!("deep/down/note"))
    );

    let text = asked.offline(&["ls", &asked.file, "homeassistant/data/things"]);
    let text = String::from_utf8(printed(&text).to_vec()).expect("it is text");
    assert_eq!(text.lines().count(), 9, "{text}");
    assert!(text.contains("things/link -> deep/down/note") && text.contains("1.6 MiB"), "{text}");
    // A name must not do anything to the terminal.
    assert!(!text.contains(['\x07', '\x1b']), "{text:?}");

    for missing in ["homeassistant/data/thing", "elsewhere", "homeassistant/things", "share/x/y"] {
        for json in [&[][..], &["--json"]] {
            let words = [json, &["ls", &asked.file, missing]].concat();
            let run = asked.offline(&words);
            let said = String::from_utf8_lossy(&run.stderr);
            assert_eq!(run.status.code(), Some(1), "{missing}: {said}");
            assert!(said.contains(&format!("{missing} is not in {}", asked.file)), "{said}");
        }
    }
}

fn prints(asked: &Asked) {
    let cat = |path: &str| asked.offline(&["cat", &asked.file, path]);
    let config = asked.home.config();
    for (path, place) in [
        ("homeassistant/data/things/film", "things/film"),
        ("homeassistant/data/things/second", "things/film"),
        ("homeassistant/data/things/empty", "things/empty"),
        ("./homeassistant/data/automations.yaml", "automations.yaml"),
        ("bridge/mounts/data/state", "../bridge/state"),
    ] {
        let wanted = fs::read(config.join(place)).expect("it is there");
        assert!(printed(&cat(path)) == wanted, "{path} is another");
    }
    let addon: Value = read_json(&cat("core_mosquitto/addon.json"));
    assert_eq!(addon["state"], "started");
    for (path, said) in [
        ("homeassistant/data/things", "homeassistant/data/things is a folder"),
        ("share", "share is a folder"),
        ("homeassistant/data/things/link", "things/link is a link to deep/down/note"),
        ("homeassistant/data/things/missing", "things/missing is not in"),
        ("elsewhere/x", "elsewhere/x is not in"),
    ] {
        let error = asked.fails(&["cat", &asked.file, path]);
        assert!(error.contains(said), "{error}");
    }
    // What cannot be written is told.
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut command = asked.command(&["cat", &asked.file, "homeassistant/data/things/film"]);
    let run = command.stdout(full).output().expect("it can be started");
    assert_eq!(run.status.code(), Some(1), "{run:?}");
}

fn extracts(asked: &Asked) {
    let out = asked.home.bench.path().join("out");
    let to = out.display().to_string();
    let extract = |paths: &[&str]| {
        asked.offline(&[&["extract", &asked.file], paths, &["--to", &to]].concat())
    };
    let said =
        extract(&["homeassistant/data/things", "share", "homeassistant/data/www/index.html"]);
    let said = String::from_utf8_lossy(printed(&said)).into_owned();
    assert!(said.contains(&format!("{to}/homeassistant/data/things")), "{said}");
    let config = asked.home.config();
    assert_same(&look(&config.join("things")), &look(&out.join("homeassistant/data/things")));
    assert_same(&look(&asked.home.bench.path().join("share")), &look(&out.join("share")));
    let www = out.join("homeassistant/data/www");
    assert_eq!(names(&www), ["index.html"]);
    assert_eq!(names(&out.join("homeassistant/data")), ["things", "www"]);

    // Nothing is replaced, and where one of several is there, none of the others comes.
    let was = look(&out);
    for paths in [&["share/shared"][..], &["share"], &["bridge", "homeassistant/data/things/film"]]
    {
        let words = [&["extract", &asked.file], paths, &["--to", &to]].concat();
        let error = asked.fails(&words);
        let there = format!("{to}/{}", paths[paths.len() - 1]);
        assert!(error.contains(&format!("{there} is there already")), "{error}");
        assert_same(&was, &look(&out));
    }
    let error = asked.fails(&["extract", &asked.file, "bridge", "share/x", "--to", &to]);
    assert!(error.contains("share/x is not in"), "{error}");
    assert_same(&was, &look(&out));

    // Of a file with several names each is the file.
    printed(&asked.offline(&[
        "extract",
        &asked.file,
        "homeassistant/data/things/second",
        "--to",
        &format!("{to}-2"),
    ]));
    let second = asked.home.bench.path().join("out-2/homeassistant/data/things/second");
    let film = config.join("things/film");
    assert!(fs::read(&second).expect("it is there") == fs::read(&film).expect("it is there"));
    let [new, old] = [&second, &film].map(|it| fs::metadata(it).expect("it is there"));
    assert_eq!((new.mode(), new.mtime_nsec()), (old.mode(), old.mtime_nsec()));

    // Without a folder it is the one where one stands.
    let here = asked.home.bench.folder("here");
    let mut command = asked.command(&["extract", &asked.file, "ssl/key.pem", "--json"]);
    let run = command.current_dir(&here).output().expect("it can be started");
    assert_eq!(read_json(&run), json!({ "to": ".", "paths": ["ssl/key.pem"], "warnings": [] }));
    assert_eq!(fs::read(here.join("ssl/key.pem")).expect("it is there"), b"ssl");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |it: fs::DirEntry| it.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|it| name(it.expect("it goes on"))).collect();
    names.sort();
    names
}

#[test]
fn a_nasty_tree_comes_out_as_it_was() {
    let home = Home::new("single-nasty");
    nasty::grow(&home.config());
    let was = look(&home.config());
    let store = home.bench.folder("store").display().to_string();
    let report = home.hearthkeep(&["--json", "--store", &store, "backup"]).ends(3).json();
    let file = report["path"].as_str().expect("a path");
    let listed = home.hearthkeep(&["--json", "ls", file]).ends(0).json();
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(was.len()));
    let out = home.bench.path().join("out");
    let to = out.display().to_string();
    home.hearthkeep(&["extract", file, "homeassistant/data", "--to", &to]).ends(0);
    assert_same(&was, &look(&out.join("homeassistant/data")));
}

#[test]
fn slips_of_the_finger_are_told() {
    let asked = Asked::of(Home::new("slips"), "");
    let file = asked.file.as_str();
    for words in [
        &["ls"][..],
        &["ls", file, "a", "b"],
        &["ls", file, "--jsno"],
        &["cat", file],
        &["extract", file],
        &["extract", file, "homeassistant", "--too", "/tmp/never"],
        &["diff", file],
        &["diff", file, "live", "live"],
        &["verify", file, "--depe"],
        &["backup", "--format-version", "1"],
        &["backup", "--level", "10"],
        &["lss", file],
    ] {
        let run = asked.ask(words);
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!((run.status.code(), run.stdout.len()), (Some(2), 0), "{words:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains("--help"), "{words:?}: {said}");
    }
    for words in [&["ls", "/no/such.tar"][..], &["diff", file, "0badcafe"], &["cat", "x", "y"]] {
        assert_eq!(asked.ask(words).status.code(), Some(10), "{words:?}");
    }
}

/// As `| head` does: a pipe of which somebody reads so many bytes and no more.
fn closed_after(n: usize, mut command: Command) -> Output {
    let (mut reader, writer): (PipeReader, _) = std::io::pipe().expect("a pipe can be made");
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn();
    // With it goes our end for writing.
    drop(command);
    reader.read_exact(&mut vec![0; n]).expect("there is so much");
    drop(reader);
    child.expect("it can be started").wait_with_output().expect("it ends")
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let home = Home::new("head");
    // Far more than a pipe holds.
    write(&home.config().join("film"), &noise(1_000_000));
    for n in 0..2_000 {
        home.write(&format!("config/many/a-name-that-is-not-short-{n:04}"), "");
    }
    let asked = Asked::of(home, "");
    // So that `diff` has as much to tell as `ls`.
    fs::remove_dir_all(asked.home.config().join("many")).expect("it is there");
    let film = "homeassistant/data/film";
    for words in [
        &["ls", &asked.file][..],
        &["ls", &asked.file, "--json"],
        &["cat", &asked.file, film],
        &["diff", &asked.file, "live"],
        &["list"],
        &["show", &asked.file],
        &["verify", &asked.file],
        &["plan"],
        &["--help"],
    ] {
        for n in [0, 1] {
            let run = closed_after(n, asked.command(words));
            let said = String::from_utf8_lossy(&run.stderr);
            assert_eq!(run.status.code(), Some(0), "{words:?}: {said}");
            assert!(!said.contains("error") && !said.contains("panic"), "{words:?}: {said}");
        }
    }
}
