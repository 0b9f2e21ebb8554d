//! The boot test: copies of a home that come up, or do not, and of which nothing is left.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::crashes::{ABORT_AFTER, ABORT_BEFORE, BY_SIGNAL, MANY, NO_GUARDIAN, guardians};
use crate::disk::Disk;
use crate::nasty::noise;
use crate::signals::Running;
use crate::support::daemon::Daemon;
use crate::support::home::{Home, IMAGE, VERSION, bind, write};
use crate::support::{Bench, Run, docker, wait_until};
use crate::tree::{assert_same, look};

/// A value that has to stay between two containers.
const SECRET: &str = "hunter2-of-the-environment";

/// One boot test at a time, so that whatever is there is its own.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that a boot test has made and not removed.
fn left() -> Vec<String> {
    let filter = ["--quiet", "--filter", "label=hearthkeep.boot-test"];
    let list = |words: &[&str]| docker(&[words, &filter].concat());
    let all = [list(&["ps", "--all"]), list(&["network", "ls"]), list(&["volume", "ls"])];
    all.iter().flat_map(|it| it.lines()).map(str::to_owned).collect()
}

/// A home of many kinds of mounts, with a companion that needs what the backup holds of it.
struct Lived {
    home: Home,
    services: &'static [&'static str],
    started: Vec<String>,
}

impl Lived {
    fn new(what: &str) -> Lived {
        let home = Home::empty(what);
        home.write("config/.HA_VERSION", VERSION);
        home.write("config/configuration.yaml", "default_config:\n");
        home.write("share/file", "shared");
        let secrets = home.write("secrets.yaml", "one: two\n");
        let binds = [
            bind(&home.config(), "/config"),
            bind(&home.bench.folder("share"), "/share"),
            bind(&secrets, "/config/secrets.yaml"),
            "/etc/localtime:/etc/localtime:ro".to_owned(),
        ];
        let mut words =
            vec!["--tmpfs", "/cache", "--restart", "unless-stopped", "--publish", "8123"];
        let secret = format!("SECRET={SECRET}");
        words.extend(["--env", &secret, "--cap-add", "NET_ADMIN"]);
        words.extend(binds.iter().flat_map(|it| ["--volume", it]));
        home.run_homeassistant(&words);
        home.write("counter/sub/file", "kept");
        let data = bind(&home.bench.folder("counter"), "/data");
        let share = bind(&home.bench.folder("share"), "/share");
        let volume = format!("{}:/own", home.volume("own"));
        let words = ["--volume", &data, "--volume", &share, "--volume", &volume];
        home.run("counter", &words, IMAGE, &["tick=/data/sub/ticks"]);
        wait_until("it counts", || home.read("counter/sub/ticks").is_some());
        let services = &["homeassistant", "counter"];
        let started = services.iter().map(|it| home.started(it)).collect();
        Lived { home, services, started }
    }

    /// Nothing is left, and nobody of the home has noticed anything.
    fn assert_untouched(&self, when: &str) {
        assert_eq!(left(), [""; 0], "{when}");
        for (service, started) in self.services.iter().zip(&self.started) {
            assert_eq!(self.home.started(service), *started, "{service} {when}");
            assert_eq!(self.home.state(service), "running", "{service} {when}");
        }
    }

    fn boot(&self, backup: &Path) -> Run {
        let path = backup.display().to_string();
        self.home.hearthkeep(&["verify", "--boot", &path, "--json"])
    }

    /// Has it wait for an answer that never comes, on another port than the one that is served.
    fn deaf(what: &str) -> (Lived, PathBuf) {
        let lived = Lived::new(what);
        lived.home.write("config/configuration.yaml", "http:\n  server_port: 9\n");
        let backup = lived.home.backup(&[]);
        (lived, backup)
    }

    /// Starts a boot test, and waits until its copies run.
    fn start(&self, backup: &Path, with_guardian: bool) -> Running {
        let mut command = self.home.command(&["verify", "--boot", &backup.display().to_string()]);
        if !with_guardian {
            command.env(NO_GUARDIAN, "1");
        }
        let mut running = Running::start(command);
        running.wait_for("waiting for Home Assistant");
        running
    }
}

fn note(backup: &Path) -> Option<Value> {
    let text = fs::read_to_string(format!("{}.boot.json", backup.display())).ok()?;
    Some(serde_json::from_str(&text).expect("it is JSON"))
}

/// The names of files beside a backup.
fn beside(backup: &Path) -> Vec<String> {
    let entries = fs::read_dir(backup.parent().expect("it has a folder")).expect("it is there");
    let name = |it: fs::DirEntry| it.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|it| name(it.expect("an entry"))).collect();
    names.sort();
    names
}

#[test]
fn a_good_backup_boots_and_nothing_is_left() {
    let _alone = alone();
    let lived = Lived::new("boots");
    let home = &lived.home;
    let backup = home.backup(&[]);
    let was = look(&home.bench.folder("share"));
    let report = lived.boot(&backup).ends(0).json();
    lived.assert_untouched("after a boot test");
    let mut containers: Vec<String> =
        serde_json::from_value(report["containers"].clone()).expect("names");
    containers.sort();
    assert_eq!(containers, [home.name("counter"), home.homeassistant()]);
    assert_eq!((&report["boots"], &report["warnings"]), (&json!(true), &json!([])));

    // The note, and nothing else, lies beside it; nobody takes it for a backup.
    let name = backup.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(beside(&backup), [name.clone(), format!("{name}.boot.json")]);
    let noted = note(&backup).expect("it is noted");
    assert_eq!((&noted["passed"], &noted["slug"]), (&json!(true), &report["slug"]));
    assert_eq!(noted["hearthkeep"], env!("CARGO_PKG_VERSION"));
    assert!(noted["seconds"].as_f64().is_some_and(|it| it > 1.0), "{noted}");
    assert_eq!(noted.get("reason"), None);
    let list = home.hearthkeep(&["--json", "list"]).ends(0).json();
    assert_eq!(
        (list["backups"].as_array().map(Vec::len), &list["unreadable"]),
        (Some(1), &json!([]))
    );
    assert_eq!(list["backups"][0]["boot"], noted);
    let day = &noted["when"].as_str().expect("a date")[..10];
    for words in [&["list"][..], &["show", &name]] {
        let text = home.hearthkeep(words).ends(0).stdout;
        assert!(text.contains(&format!("boots, {day}")), "{text}");
    }

    // A second one takes the place of the note, and with the backup the note goes.
    lived.boot(&backup).ends(0);
    assert_ne!(note(&backup), Some(noted));
    assert_same(&was, &look(&home.bench.folder("share")));
    home.hearthkeep(&["remove", &name]).ends(0);
    assert_eq!(beside(&backup), [""; 0]);
}

#[test]
fn a_copy_has_nothing_of_the_home() {
    let _alone = alone();
    let (lived, backup) = Lived::deaf("apart");
    let mut running = lived.start(&backup, true);
    let ids = docker(&["ps", "--quiet", "--filter", "label=hearthkeep.boot-test"]);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    let all = docker(&[&["inspect"], &ids[..]].concat());
    let all: Vec<Value> = serde_json::from_str(&all).expect("JSON");
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", "label=hearthkeep.boot-test"]);
    assert_eq!(volumes.lines().count(), 1, "what the backup holds needs no other: {volumes}");
    let folder = docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", &volumes]);
    for it in &all {
        for mount in it["Mounts"].as_array().expect("a list") {
            let source = mount["Source"].as_str().expect("a path");
            assert!(source.starts_with(&folder), "{mount}");
        }
        let host = &it["HostConfig"];
        assert_eq!(host["RestartPolicy"]["Name"], "no");
        assert_eq!((&host["Privileged"], &host["CapAdd"]), (&json!(false), &Value::Null));
        assert_eq!(it["NetworkSettings"]["Ports"], json!({}));
        let networks = it["NetworkSettings"]["Networks"].as_object().expect("an object");
        let names: Vec<&String> = networks.keys().collect();
        let internal = docker(&["network", "inspect", "-f", "{{.Internal}}", names[0]]);
        assert_eq!((names.len(), internal.as_str()), (1, "true"));
        assert_eq!(it["Config"]["Labels"]["com.docker.compose.project"], Value::Null);
    }
    let copy = |what: &str| {
        let named = |it: &&Value| it["Name"].as_str().is_some_and(|it| it.ends_with(what));
        all.iter().find(named).expect("it is copied")
    };
    let (ha, counter) = (copy("homeassistant"), copy("counter"));
    assert!(ha["Config"]["Env"].to_string().contains(SECRET));
    assert_eq!(ha["HostConfig"]["Tmpfs"], json!({ "/cache": "" }));
    let places = |it: &Value| {
        let mounts = it["Mounts"].as_array().expect("a list").iter();
        let mut places: Vec<String> =
            mounts.map(|it| it["Destination"].as_str().expect("a path").to_owned()).collect();
        places.sort();
        places
    };
    assert_eq!(places(ha), ["/config", "/config/secrets.yaml", "/share"]);
    assert_eq!(places(counter), ["/data", "/own", "/share"]);
    let aliases = counter["NetworkSettings"]["Networks"].to_string();
    assert!(aliases.contains(r#""counter""#), "{aliases}");
    // While it runs, nobody takes a copy for a home.
    lived.home.hearthkeep(&["plan", "--quiet"]).ends(0);
    running.end("INT");
    assert_eq!(running.code(), 130);
    lived.assert_untouched("after it was cancelled");
    assert_eq!(note(&backup), None, "that says nothing of the backup");
}

#[test]
fn copies_share_a_network_where_the_home_does() {
    let _alone = alone();
    let home = Home::empty("joined");
    home.write("config/.HA_VERSION", VERSION);
    let config = bind(&home.config(), "/config");
    let owner = home.run("owner", &["--hostname", "owner"], IMAGE, &["http=9000"]);
    let network = format!("container:{owner}");
    home.run("guest", &["--network", &network], IMAGE, &["http=9001"]);
    let depends = "com.docker.compose.depends_on=owner:service_healthy:false";
    home.run_homeassistant(&["--volume", &config, "--label", depends]);
    let backup = home.backup(&[]);
    let path = backup.display().to_string();
    let report = home.hearthkeep(&["verify", "--boot", &path, "--json"]).ends(0).json();
    assert_eq!(report["containers"].as_array().map(Vec::len), Some(3), "{report}");
    assert_eq!(left(), [""; 0]);
}

#[test]
fn what_does_not_start_is_told_with_its_log() {
    let _alone = alone();
    let lived = Lived::new("falls");
    // The copy cannot count where the folder for it is missing.
    let backup = lived.home.backup(&["--exclude", "/data/sub"]);
    let run = lived.boot(&backup).ends(1);
    let error = run.error();
    let counter = lived.home.name("counter");
    let told = format!("does not boot: {counter}: it does not stay up; its log ends: ");
    assert!(error.contains(&told), "{error}");
    assert!(error.contains("tick=PATH can be opened"), "{error}");
    lived.assert_untouched("after a failed boot test");
    let noted = note(&backup).expect("it is noted");
    assert_eq!(noted["passed"], json!(false));
    let reason = noted["reason"].as_str().expect("it says why");
    assert!(reason.contains("does not stay up") && !reason.contains("tick=PATH"), "{reason}");
    let text = lived.home.hearthkeep(&["list"]).ends(0).stdout;
    assert!(text.contains("does not boot, "), "{text}");
}

#[test]
fn who_does_not_answer_in_time_does_not_boot() {
    let _alone = alone();
    let (lived, backup) = Lived::deaf("silent");
    let path = backup.display().to_string();
    let run = lived.home.hearthkeep(&["verify", "--boot", &path, "--patience", "1"]).ends(1);
    assert!(run.error().contains("does not answer on port 9 after 1 s"), "{}", run.error());
    for text in [&run.stdout, &run.stderr, &note(&backup).expect("a note").to_string()] {
        assert!(!text.contains(SECRET), "{text}");
    }
    lived.assert_untouched("after nobody answered");
}

#[test]
fn a_broken_database_is_found_before_anything_starts() {
    let _alone = alone();
    let lived = Lived::new("broken");
    let path = lived.home.config().join("home-assistant_v2.db");
    let database = Connection::open(&path).expect("a database");
    let fill = "CREATE TABLE t (x); INSERT INTO t SELECT hex(randomblob(200)) FROM generate_series";
    let fill = fill.replace(
        "FROM generate_series",
        "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n)",
    );
    database.execute_batch(&fill).expect("it is filled");
    drop(database);
    let file = File::options().write(true).open(&path).expect("it is there");
    file.write_all_at(&noise(4096), 5 * 4096).expect("it can be written");
    let backup = lived.home.backup(&[]);
    let run = lived.boot(&backup).ends(14);
    assert!(run.error().contains("the database data/home-assistant_v2.db"), "{}", run.error());
    lived.assert_untouched("after a damaged backup");
    let noted = note(&backup).expect("it is noted");
    assert_eq!(noted["passed"], json!(false));
}

#[test]
fn without_home_assistant_nothing_is_tried() {
    let _alone = alone();
    let lived = Lived::new("partial");
    let backup = lived.home.backup(&["--only", "counter"]);
    let run = lived.boot(&backup).ends(1);
    assert!(run.error().contains("holds no Home Assistant"), "{}", run.error());
    assert_eq!(note(&backup), None);
    lived.assert_untouched("after nothing was tried");
}

#[test]
fn a_boot_test_that_is_killed_leaves_nothing() {
    let _alone = alone();
    let (lived, backup) = Lived::deaf("killed");
    let mut running = lived.start(&backup, true);
    running.end("KILL");
    wait_until("the guardian has removed everything", || left().is_empty());
    wait_until("the guardian is gone", || guardians(&lived.home).is_empty());
    lived.assert_untouched("after the guardian");

    let mut running = lived.start(&backup, false);
    running.end("KILL");
    assert!(!left().is_empty(), "nobody was there to remove it");
    let told = lived.home.hearthkeep(&["--json", "resume"]).ends(0).json();
    assert_eq!(told["boot_tests"].as_array().map(Vec::len), Some(1), "{told}");
    lived.assert_untouched("after resume");
    let text = lived.home.hearthkeep(&["resume"]).ends(0).stdout;
    assert_eq!(text.trim(), "nothing was left open");
    assert_eq!(beside(&backup).len(), 1, "{:?}", beside(&backup));
}

#[test]
fn a_boot_test_may_crash_at_every_event() {
    let _alone = alone();
    let lived = Lived::new("crash-boot");
    let backup = lived.home.backup(&[]);
    let path = backup.display().to_string();
    for at in [ABORT_AFTER, ABORT_BEFORE] {
        let mut n_crashes = 0;
        for n in 1..MANY {
            let mut command = lived.home.command(&["verify", "--boot", &path]);
            command.env(at, n.to_string()).env(NO_GUARDIAN, "1");
            let run = Run::from(command.output().expect("the program can be started"));
            if run.code != BY_SIGNAL {
                run.ends(0);
                break;
            }
            n_crashes += 1;
            let when = format!("after a crash at append {n}, {at}");
            lived.home.hearthkeep(&["resume"]).ends(0);
            lived.assert_untouched(&when);
            let is_draft = |it: &String| it.ends_with(".partial");
            assert!(!beside(&backup).iter().any(is_draft), "{:?} {when}", beside(&backup));
        }
        // Began, what may be made, that it is gone, the draft of the note, and the end.
        assert_eq!(n_crashes, 5, "{at}");
    }
    lived.assert_untouched("after a boot test");
}

#[test]
fn without_room_nothing_is_extracted() {
    let disk = Disk::new(300);
    let bench = Bench::new();
    let root = disk.path().display().to_string();
    let daemon = Daemon::new(&["--data-root", &root]);
    let config = bench.folder("config");
    write(&config.join(".HA_VERSION"), VERSION);
    File::create(config.join("large")).and_then(|it| it.set_len(100_000_000)).expect("a hole");
    let volume = bind(&config, "/config");
    let role = "hearthkeep.role=homeassistant";
    daemon.docker(&[
        "run",
        "--detach",
        "--network",
        "none",
        "--volume",
        &volume,
        "--label",
        role,
        "--name",
        "ha",
        IMAGE,
    ]);
    let run = |words: &[&str]| {
        let mut command = bench.command(words);
        command.env("DOCKER_HOST", daemon.host());
        Run::from(command.output().expect("the program can be started"))
    };
    let backup = run(&["backup", "--json"]).ends(0).json();
    let backup = backup["path"].as_str().expect("a path").to_owned();
    let started = daemon.docker(&["inspect", "-f", "{{.State.StartedAt}}", "ha"]);
    let refused = run(&["verify", "--boot", &backup]).ends(1);
    let error = refused.error();
    assert!(error.contains("no room for a boot test in"), "{error}");
    assert!(error.contains("free, 351.4 MiB needed, 95.4 MiB of it"), "{error}");
    for what in [["ps", "--all"], ["network", "ls"], ["volume", "ls"]] {
        let filter = ["--quiet", "--filter", "label=hearthkeep.boot-test"];
        assert_eq!(daemon.docker(&[&what[..], &filter].concat()), "");
    }
    assert_eq!(daemon.docker(&["inspect", "-f", "{{.State.StartedAt}}", "ha"]), started);
    assert_eq!(note(Path::new(&backup)), None);
}
