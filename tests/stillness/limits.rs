//! What is short: descriptors, room for copies, and time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hearthkeep::capture::DEEP_STACK;
use rusqlite::Connection;
use serde_json::Value;

use crate::scene::{Memory, Scene, age};
use crate::support::chain;
use crate::support::home::{ENDLESS, Home, VERSION, bind, tool, write};
use crate::support::{DEADLINE, Run, wait_until};

const MEBIBYTE: u64 = 1 << 20;

/// A folder with no room for anything.
const NO_ROOM: &str = "/proc";

/// A file that takes no room on the disk.
fn hole(path: &Path, mebibytes: u64) {
    let file = File::create(path).expect("it can be made");
    file.set_len(mebibytes * MEBIBYTE).expect("a hole takes no room");
}

fn run(home: &Home, staging: &Path, arguments: &[&str]) -> Run {
    let mut command = home.command(arguments);
    command.env("HEARTHKEEP_STAGING", staging);
    command.output().expect("the program can be started").into()
}

fn warnings(report: &Value) -> Vec<&str> {
    let list = report["warnings"].as_array().expect("a list");
    list.iter().map(|it| it.as_str().expect("a sentence")).collect()
}

/// The names in the archive of Home Assistant in a backup.
fn names(backup: &str) -> Vec<String> {
    let list = format!("tar -xOf '{backup}' ./homeassistant.tar.gz | tar -tz");
    let list = String::from_utf8(tool("sh", &["-c", &list])).expect("plain names");
    list.lines().map(str::to_owned).collect()
}

#[test]
fn more_files_than_may_be_open_are_all_there() {
    let _alone = crate::alone();
    let home = Home::new("descriptors");
    let top = home.config().join("many");
    fs::create_dir(&top).expect("it can be made");
    for n in 0..5_000 {
        let path = top.join(format!("file-{n}"));
        write(&path, &vec![b'x'; n % 300]);
        age(&path);
    }
    let program = home.command(&["--json", "backup"]);
    let mut command = Command::new("prlimit");
    command.arg("--nofile=2000:2000").arg(program.get_program()).args(program.get_args());
    for (key, value) in program.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let report = Run::from(command.output().expect("prlimit is installed")).ends(0).json();
    let notes = report["notes"].as_array().expect("a list");
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    let note = note.as_str().expect("a sentence");
    assert!(note.contains("small files were copied") && note.contains("ulimit -n"), "{note}");
    let names = names(report["path"].as_str().expect("a path"));
    let n = names.iter().filter(|it| it.contains("/many/file-")).count();
    assert_eq!(n, 5_000);
}

#[test]
fn where_copies_have_no_room_the_plan_says_so_and_the_hold_lasts() {
    let _alone = crate::alone();
    let memory = Memory::new(80);
    let home = Home::new("no-room");
    // Recent, so that it is to be copied.
    hole(&home.config().join("recent"), 40);
    let plan = run(&home, memory.path(), &["--json", "plan"]).ends(0).json();
    let wanted = "the containers are held until the archive is written: there is no room";
    let [warning] = warnings(&plan)[..] else { panic!("{plan}") };
    assert!(warning.starts_with(wanted), "{warning}");
    let report = run(&home, memory.path(), &["--json", "backup"]).ends(3).json();
    let [warning] = warnings(&report)[..] else { panic!("{report}") };
    assert!(warning.starts_with(wanted), "{warning}");
    assert_held_through(&home, &report);
    assert_eq!(memory.used(), 0);
}

#[test]
fn where_room_runs_out_meanwhile_the_hold_lasts() {
    let _alone = crate::alone();
    let memory = Memory::new(80);
    let home = Home::new("room-runs-out");
    // A database, as only its content tells: nobody reckoned with it.
    let path = home.config().join("history");
    let database = Connection::open(&path).expect("it can be made");
    database.execute_batch("CREATE TABLE t (b BLOB)").expect("it can be written");
    database.execute("INSERT INTO t VALUES (zeroblob(?1))", [40 << 20]).expect("there is room");
    database.close().expect("nothing is under way"); // or it counts as being written
    age(&path);
    let plan = run(&home, memory.path(), &["--json", "plan"]).ends(0).json();
    assert_eq!(warnings(&plan), [""; 0]);
    let report = run(&home, memory.path(), &["--json", "backup"]).ends(3).json();
    let [warning] = warnings(&report)[..] else { panic!("{report}") };
    assert!(warning.contains("no room for copies"), "{warning}");
    assert_held_through(&home, &report);
    assert_eq!(memory.used(), 0);
}

/// The backup is whole, and was written while the home stood still.
fn assert_held_through(home: &Home, report: &Value) {
    assert_eq!(report["held_bytes"], report["content_bytes"]);
    assert!(report["held_bytes"].as_u64() > Some(40 * MEBIBYTE));
    home.hearthkeep(&["verify", report["path"].as_str().expect("a path")]).ends(0);
    assert_eq!(home.state("homeassistant"), "running");
}

#[test]
fn nothing_of_the_copies_outlives_the_program() {
    let _alone = crate::alone();
    let memory = Memory::new(200);
    let home = Home::new("killed");
    write(&home.config().join("recent"), &vec![b'x'; 8 << 20]);
    // It takes far longer to archive than this test looks at it, with everything running.
    let path = home.config().join("cold");
    hole(&path, 16 << 10);
    age(&path);
    let mut command = home.command(&["backup"]);
    command.env("HEARTHKEEP_STAGING", memory.path()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program can be started");
    wait_until("it copies", || memory.used() >= 8 * MEBIBYTE);
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    // What the guardian has inherited goes with it, once everything runs.
    wait_until("the room is free again", || memory.used() == 0);
    wait_until("the home runs", || home.state("homeassistant") == "running");
}

#[test]
fn a_hold_that_lasts_too_long_is_given_up() {
    let _alone = crate::alone();
    let home = Home::new("too-long");
    hole(&home.config().join(ENDLESS), 16 << 10);
    let run = home.hearthkeep(&["backup", "--max-hold", "0.2"]).ends(1);
    let wanted = "error: the containers were held for 0.2 s and not everything was copied";
    assert!(run.error().starts_with(wanted), "{}", run.error());
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(home.store(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_hold_that_lasts_too_long_goes_on_without_the_hold_where_that_is_wanted() {
    let _alone = crate::alone();
    let home = Home::new("continued");
    hole(&home.config().join("large"), 600);
    let words = ["--json", "backup", "--max-hold", "0.2", "--on-max-hold", "continue"];
    let report = run(&home, Path::new(NO_ROOM), &words).ends(3).json();
    let told = warnings(&report);
    assert!(told.iter().any(|it| it.starts_with("the containers went on after 0.2 s")), "{told:?}");
    let held = report["longest_hold_seconds"].as_f64().expect("a number");
    let took = report["duration_seconds"].as_f64().expect("a number");
    assert!(0.2 <= held && held < took && took < DEADLINE.as_secs_f64(), "{held} of {took} s");
    let path = report["path"].as_str().expect("a path");
    home.hearthkeep(&["verify", path]).ends(0);
    assert!(names(path).iter().any(|it| it == "data/large"));
    assert_eq!(home.state("homeassistant"), "running");
}

#[test]
fn where_a_hook_uses_up_the_room_the_hold_lasts() {
    let _alone = crate::alone();
    let memory = Memory::new(80);
    let home = Home::empty("hook-fills");
    home.write("config/.HA_VERSION", VERSION);
    home.write("config/configuration.yaml", "default_config:\n");
    let config = bind(&home.config(), "/config");
    let version = format!("io.hass.version={VERSION}");
    let before = "hearthkeep.before=truncate --size=40M /config/grown";
    let labels =
        ["--label", "hearthkeep.role=homeassistant", "--label", &version, "--label", before];
    let rest = ["--network", "none", "--entrypoint", "sleep", "--volume", &config];
    home.run("homeassistant", &[labels.as_slice(), &rest].concat(), chain::IMAGE, &["infinity"]);
    let report = run(&home, memory.path(), &["--json", "backup"]).ends(3).json();
    let [warning] = warnings(&report)[..] else { panic!("{report}") };
    assert!(warning.contains("no room for copies"), "{warning}");
    assert_held_through(&home, &report);
}

#[test]
fn folders_in_folders_as_deep_as_a_path_can_be_are_taken() {
    let scene = Scene::new();
    let deepest: PathBuf = std::iter::repeat_n("d", DEEP).collect();
    scene.cold(deepest.join("x").to_str().expect("a plain path"), b"deep down");
    // As the program's own threads are.
    let walk = move || {
        let mut capture = scene.warm();
        capture.settle(&|| Ok(())).expect("it can be copied");
        capture.extents()[0].entries
    };
    let walker = std::thread::Builder::new().stack_size(DEEP_STACK).spawn(walk);
    let entries = walker.expect("a thread").join().expect("its stack is large enough");
    assert_eq!(usize::try_from(entries), Ok(DEEP + 2));
}

/// With the folder of the test around it, about as long as a path may be.
const DEEP: usize = 1900;
