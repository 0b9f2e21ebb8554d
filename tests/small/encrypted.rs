//! Encrypted backups through the program: what they take to be read, and what they give away.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hearthkeep::archive::Archive;
use serde_json::{Value, json};

use crate::holds;
use crate::layout::{full_home, members, metadata};
use crate::nasty::noise;
use crate::routes::{Places, damage, places};
use crate::signals::{Running, TERM};
use crate::support::home::{Home, write};
use crate::support::{Run, docker, secured};
use crate::tree::{assert_same, look};

/// It looks like a key of Home Assistant's, and like nothing else that a test meets.
const PASSWORD: &str = "AB12-CD34-EF56-GH78-IJ90-KL12-MN34";

const VARIABLE: &str = "HEARTHKEEP_PASSWORD";

/// The services of [`full_home`].
const SERVICES: [&str; 3] = ["homeassistant", "broker", "bridge"];

/// A home with a part of every kind; its companion that nobody else knows has something that no
/// compression hides.
fn secretive_home(what: &str) -> (Home, Vec<u8>) {
    let home = full_home(what);
    // What Home Assistant's own backup leaves out does not come back.
    fs::remove_file(home.config().join("home-assistant.log")).expect("it is there");
    let treasure = noise(600_000);
    write(&home.bench.path().join("bridge/treasure"), &treasure);
    (home, treasure)
}

fn password_file(home: &Home, name: &str, password: &str) -> String {
    let path = home.bench.path().join("passwords").join(name);
    write(&path, password);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    path.display().to_string()
}

/// Runs a command, whose output must not tell the password.
fn run(command: &mut Command) -> Run {
    let run: Run = command.output().expect("it can be started").into();
    assert!(!format!("{run:?}").contains(PASSWORD), "{run:?}");
    run
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|it| it == what)
}

/// Whether some piece of the treasure can be seen.
fn shows(bytes: &[u8], treasure: &[u8]) -> bool {
    treasure.chunks_exact(64).step_by(500).any(|it| contains(bytes, it))
}

/// The home as [`places`] sees it, but for the empty log that every backup adds to the database.
fn places_but_log(home: &Home) -> Places {
    let mut places = places(home);
    if let Some(seen) = places.get_mut("config") {
        seen.remove(&b"home-assistant_v2.db-wal"[..]);
    }
    places
}

fn assert_same_places(was: &Places, is: &Places) {
    was.iter().zip(is).for_each(|((_, was), (_, is))| assert_same(was, is));
}

/// Backs up into a store beside the home; gives the path.
fn backup(home: &Home, words: &[&str]) -> PathBuf {
    let store = home.bench.folder("store").display().to_string();
    let words = [&["--json", "--store", &store, "backup"], words].concat();
    let report = run(&mut home.command(&words)).ends(0).json();
    assert_eq!(report["protected"], words.contains(&"--password-file"), "{report}");
    report["path"].as_str().expect("a report has a path").into()
}

#[test]
fn an_encrypted_home_comes_back_with_its_password_alone() {
    comes_back("encrypted-3", 3, &[]);
}

#[test]
fn and_so_does_one_for_an_older_home_assistant() {
    comes_back("encrypted-2", 2, &["--format-version", "2", "--uncompressed"]);
}

fn comes_back(what: &str, format: u8, words: &[&str]) {
    let (home, treasure) = secretive_home(what);
    let was = places(&home);
    let right = password_file(&home, "right", &format!("{PASSWORD}\n"));
    let wrong = password_file(&home, "wrong", "ab12-cd34");
    let plain = fs::read(backup(&home, &[])).expect("it can be read");
    assert!(shows(&plain, &treasure), "compression hides it, encrypted or not");
    let path = backup(&home, &[words, &["--password-file", &right]].concat());
    let file = path.display().to_string();
    keeps_its_secrets(&path, format, &treasure);
    is_listed_as_encrypted(&home, &path);

    let by = |words: &[&str], password_file: Option<&str>| {
        let mut command = home.command(words);
        if let Some(password_file) = password_file {
            command.args(["--password-file", password_file]);
        }
        run(&mut command)
    };
    by(&["verify", &file], Some(&right)).ends(0);
    by(&["verify", "--deep", &file], Some(&right)).ends(0);
    damage(&home);
    let never = home.bench.path().join("never").display().to_string();
    let damaged = look(home.bench.path());
    let started = SERVICES.map(|it| home.started(it));
    for (password, said) in [
        (Some(wrong.as_str()), format!("wrong password for {file}")),
        (None, format!("{file} is encrypted: give its password with --password-file")),
    ] {
        for words in [
            &["verify", &file][..],
            &["verify", "--deep", &file],
            &["restore", &file, "--yes"],
            &["restore", &file, "--dry-run"],
            &["restore", &file, "--only", "bridge", "--yes"],
            &["ls", &file],
            &["cat", &file, "bridge/mounts/data/state"],
            &["extract", &file, "bridge", "--to", &never],
            &["diff", &file, "live"],
            &["diff", &file, &file],
        ] {
            let run = by(words, password).ends(12);
            assert!(run.error().contains(&said), "{words:?}: {run:?}");
            assert_eq!(run.stdout, "", "{words:?}");
        }
    }
    assert_same(&damaged, &look(home.bench.path()));
    assert_eq!(SERVICES.map(|it| home.started(it)), started, "somebody was stopped");

    by(&["restore", &file, "--yes"], Some(&right)).ends(0);
    assert_same_places(&was, &places_but_log(&home));
    // Given by the environment, too, and for one companion alone.
    write(&home.bench.path().join("bridge/treasure"), "lost");
    let only = ["restore", &file, "--yes", "--only", "bridge"];
    run(home.command(&only).env(VARIABLE, PASSWORD)).ends(0);
    assert_same_places(&was, &places_but_log(&home));
}

/// Home Assistant's own library reads all of it with the password; without, nothing but
/// `backup.json` can be.
fn keeps_its_secrets(path: &Path, format: u8, treasure: &[u8]) {
    let bytes = fs::read(path).expect("it can be read");
    assert!(!contains(&bytes, PASSWORD.as_bytes()));
    assert!(!shows(&bytes, treasure), "the treasure lies open");
    let mut inner = 0;
    for (name, content) in members(path).iter().filter(|(name, _)| name != "./backup.json") {
        assert!(content.starts_with(&[b"SecureTar", &[format][..]].concat()), "{name}");
        inner += usize::from(!name.starts_with("hearthkeep."));
    }
    let read = secured::read(path, PASSWORD);
    let read = read.as_object().unwrap_or_else(|| panic!("{read}"));
    assert_eq!(read.len(), inner);
    assert!(read.values().all(|it| it["format"] == format), "{read:?}");
    let end = if metadata(path)["compressed"] == true { "tgz" } else { "tar" };
    let bridge = &read[&*format!("bridge.companion.{end}")]["names"]["mounts/data/treasure"];
    assert_eq!((&bridge[0], &bridge[1]), (&json!("file"), &json!(treasure.len())));
    assert_eq!(secured::run(path, "another", "seekable").ends(0).json()["error"], "password");
}

fn is_listed_as_encrypted(home: &Home, path: &Path) {
    let store = path.parent().expect("it lies in a folder").display().to_string();
    let text = run(&mut home.command(&["--store", &store, "list"])).ends(0).stdout;
    let encrypted = text.lines().filter(|it| it.contains("(encrypted)")).count();
    assert_eq!((encrypted, text.lines().count()), (1, 3), "{text}");
    let list = run(&mut home.command(&["--store", &store, "list", "--json"])).ends(0).json();
    let backups = list["backups"].as_array().expect("a list");
    let protected = |it: &&Value| it["protected"] == true;
    let paths: Vec<&Value> = backups.iter().filter(protected).map(|it| &it["path"]).collect();
    assert_eq!(paths, [&json!(path.display().to_string())]);
    let slug = Archive::open(path).expect("it is whole").metadata.slug;
    let shown = run(&mut home.command(&["--store", &store, "show", &slug])).ends(0).stdout;
    assert!(shown.contains("encrypted"), "{shown}");
}

#[test]
fn an_import_reads_what_it_has_the_password_of() {
    let home = Home::new("encrypted-import");
    let right = password_file(&home, "right", PASSWORD);
    let wrong = password_file(&home, "wrong", "another");
    let made = backup(&home, &["--password-file", &right]);
    let whole = fs::read(&made).expect("it can be read");
    let mut damaged = whole.clone();
    let member = Archive::open(&made).expect("it is whole").members[0].clone();
    damaged[(member.offset + member.size / 2) as usize] ^= 1;
    let whole_file = write(&home.bench.path().join("whole.tar"), &whole).display().to_string();
    let damaged_file = write(&home.bench.path().join("hit.tar"), &damaged).display().to_string();
    let import = |file: &str, password: &[&str]| {
        let run = run(&mut home.command(&[&["import", file], password].concat()));
        let there = home.store();
        for it in &there {
            fs::remove_file(it).expect("it is there");
        }
        (run.code, run.stderr, there.len())
    };
    let (code, said, n) = import(&whole_file, &["--password-file", &wrong]);
    assert_eq!((code, n), (12, 0), "{said}");
    assert!(said.contains(&format!("wrong password for {whole_file}")), "{said}");
    let (code, said, n) = import(&damaged_file, &["--password-file", &right]);
    assert_eq!((code, n), (14, 0), "{said}");
    // Without it nobody can tell.
    for (file, password) in
        [(&whole_file, &["--password-file", &right][..]), (&whole_file, &[]), (&damaged_file, &[])]
    {
        let (code, said, n) = import(file, password);
        assert_eq!((code, n), (0, 1), "{file} {password:?}: {said}");
    }
}

#[test]
fn a_password_stays_where_it_was_given() {
    let home = full_home("encrypted-silent");
    holds::endless(&home);
    let file = password_file(&home, "right", PASSWORD);
    for by_variable in [true, false] {
        let mut command = home.command(&["backup"]);
        match by_variable {
            true => command.env(VARIABLE, PASSWORD),
            false => command.args(["--password-file", &file]),
        };
        let mut backup = Running::start(command);
        backup.wait_for("archiving homeassistant");
        let ours = processes(&home);
        let is_guardian = |it: &&Process| contains(&it.words, b"guardian");
        let (guardians, others): (Vec<&Process>, _) = ours.iter().partition(is_guardian);
        assert_eq!((guardians.len(), others.len()), (1, 1), "a run and its guardian");
        // Where it was given by the environment, that of the run has it: so this sees it.
        assert_eq!(contains(&others[0].environment, PASSWORD.as_bytes()), by_variable);
        assert!(!contains(&guardians[0].environment, PASSWORD.as_bytes()));
        assert!(!anywhere_in_words(), "a process was given it as a word");
        for service in SERVICES {
            assert!(!docker(&["inspect", &home.name(service)]).contains(PASSWORD), "{service}");
        }
        tells_nothing(&home.bench.path().join("state"));
        tells_nothing(&home.config().join("backups"));
        backup.end(TERM);
        let (code, said) = backup.finish();
        assert_eq!(code, 130);
        assert!(!said.contains(PASSWORD), "{said}");
    }
    fs::remove_file(home.config().join(crate::support::home::ENDLESS)).expect("it is there");
    for words in [&["backup"][..], &["backup", "--json"], &["list", "--json"], &["plan"]] {
        run(home.command(words).env(VARIABLE, PASSWORD)).ends(0);
    }
    tells_nothing(&home.bench.path().join("state"));
    tells_nothing(&home.config());
}

struct Process {
    words: Vec<u8>,
    environment: Vec<u8>,
}

/// The program's processes for a home, found by the state folder that they were given.
fn processes(home: &Home) -> Vec<Process> {
    let state = format!("HEARTHKEEP_STATE={}", home.bench.path().join("state").display());
    all_processes(|folder| {
        let environment = fs::read(folder.join("environ")).ok()?;
        let words = fs::read(folder.join("cmdline")).ok()?;
        contains(&environment, state.as_bytes()).then_some(Process { words, environment })
    })
}

fn anywhere_in_words() -> bool {
    let words = all_processes(|folder| fs::read(folder.join("cmdline")).ok());
    assert!(words.len() > 10, "others cannot be seen");
    words.iter().any(|it| contains(it, PASSWORD.as_bytes()))
}

/// What may come and go is passed over.
fn all_processes<T>(look: impl Fn(&Path) -> Option<T>) -> Vec<T> {
    let all = fs::read_dir("/proc").expect("this is Linux");
    all.filter_map(|it| look(&it.ok()?.path())).collect()
}

/// No file below a folder holds the password.
fn tells_nothing(folder: &Path) {
    for entry in fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("it goes on").path();
        if path.is_dir() {
            tells_nothing(&path);
        // The home's own endless file is nothing that anybody wrote.
        } else if path.metadata().is_ok_and(|it| it.len() < 1 << 30) {
            let bytes = fs::read(&path).expect("it can be read");
            assert!(!contains(&bytes, PASSWORD.as_bytes()), "{}", path.display());
        }
    }
}
