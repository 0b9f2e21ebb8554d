//! What speaks against a restore is found before anything is touched, and told with its cure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::foreign;
use crate::support::docker;
use crate::support::home::{Home, IMAGE, VERSION, bind, tool, write};
use crate::tree::{Seen, assert_same, look};

/// Targets and containers as they were, for a restore that must not touch them.
pub(crate) struct Untouched {
    targets: Vec<(PathBuf, BTreeMap<Vec<u8>, Seen>)>,
    containers: Vec<(String, String)>,
}

impl Untouched {
    pub(crate) fn look(targets: &[PathBuf], containers: &[&str]) -> Untouched {
        let targets = targets.iter().map(|it| (it.clone(), look(it))).collect();
        let containers = containers.iter().map(|it| ((*it).to_owned(), life(it))).collect();
        Untouched { targets, containers }
    }

    /// No name, no byte, no time of any target has changed; a staging folder would be a name. Every
    /// container has gone on.
    pub(crate) fn check(&self) {
        for (target, was) in &self.targets {
            assert_same(was, &look(target));
        }
        for (container, was) in &self.containers {
            assert_eq!(life(container), *was, "{container}");
        }
    }
}

/// What a container does, since when and as whom.
fn life(container: &str) -> String {
    let what = "{{.State.Status}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}";
    docker(&["inspect", "--format", what, container])
}

/// A mount of this test, unmounted when it is over.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn new(options: &[&str], at: &Path) -> Mounted {
        let at_text = at.display().to_string();
        tool("mount", &[options, &[&at_text]].concat());
        Mounted(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = Command::new("umount").arg(&self.0).output();
    }
}

/// A flag of a file, taken away when the test is over.
struct Flag(&'static str, PathBuf);

impl Flag {
    fn set(flag: &'static str, path: PathBuf) -> Flag {
        tool("chattr", &[format!("+{flag}"), path.display().to_string()]);
        Flag(flag, path)
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = Command::new("chattr").arg(format!("-{}", self.0)).arg(&self.1).output();
    }
}

/// Two containers with a backup of them.
struct Scene {
    home: Home,
    backup: String,
}

impl Scene {
    fn new(what: &str) -> Scene {
        let home = Home::new(what);
        home.companion("bridge", &[]);
        home.write("config/deep/er/note", "as backed up");
        home.write("config/home-assistant_v2.db", "as backed up");
        home.write("bridge/state", "as backed up");
        let store = home.bench.folder("store").display().to_string();
        let backup = home.backup(&["--store", &store]).display().to_string();
        home.write("config/deep/er/note", "newer");
        home.write("bridge/state", "newer");
        Scene { home, backup }
    }

    fn targets(&self) -> Vec<PathBuf> {
        ["config", "bridge"].map(|it| self.home.bench.path().join(it)).into()
    }

    /// The restore says why it cannot be, and what helps; a dry run says the same beside the plan.
    fn is_refused(&self, words: &[&str], said: &[&str], containers: &[&str]) {
        let there: Vec<PathBuf> = self.targets().into_iter().filter(|it| it.exists()).collect();
        let untouched = Untouched::look(&there, containers);
        let words = [&["restore", &self.backup], words].concat();
        let run = self.home.hearthkeep(&[&words[..], &["--yes"]].concat()).ends(1);
        let error = run.error().to_owned();
        let dry = self.home.hearthkeep(&[&["--json"], &words[..], &["--dry-run"]].concat());
        let json = dry.ends(1).json();
        let text = self.home.hearthkeep(&[&words[..], &["--dry-run"]].concat()).ends(1).stdout;
        untouched.check();
        let problems: Vec<&str> = json["problems"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it.as_str().expect("a sentence"))
            .collect();
        assert!(json["moves"].is_array() && json["room"].is_array(), "{json}");
        assert_eq!(error.contains("--dry-run shows all"), problems.len() > 1, "{error}");
        for said in said {
            assert!(problems.iter().any(|it| it.contains(said)), "{said}: {problems:?}");
        }
        assert!(error.contains(problems[0]), "{error}: {problems:?}");
        for problem in problems {
            assert!(text.contains(&format!("problem: {problem}\n")), "{problem}: {text}");
        }
    }
}

#[test]
fn a_backup_of_a_newer_home_assistant_is_refused_unless_somebody_insists() {
    let Scene { home, .. } = Scene::new("newer");
    let version = |it: &str| home.write("config/.HA_VERSION", it);
    version("2026.11.0");
    let store = home.bench.folder("store").display().to_string();
    let backup = home.backup(&["--store", &store]).display().to_string();
    version(VERSION);
    let scene = Scene { home, backup: backup.clone() };
    let home = &scene.home;
    let all = [home.homeassistant(), home.name("bridge")];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let said =
        ["2026.11.0", VERSION, "ghcr.io/home-assistant/home-assistant:2026.11.0", "--allow-newer"];
    scene.is_refused(&[], &said, &all);
    scene.is_refused(&["--database-only"], &said, &all);
    // It is nothing to others.
    home.hearthkeep(&["restore", &backup, "--only", "bridge", "--yes"]).ends(0);
    // The next beta but one is newer, too; older ones are told.
    for (version, problems, notes) in
        [("2026.11.0b3", 1, 0), ("2026.12.0b0", 0, 1), ("2026.11.0", 0, 0), ("0.0.0", 0, 1)]
    {
        home.write("config/.HA_VERSION", version);
        let run = home.hearthkeep(&["--json", "restore", &backup, "--dry-run"]);
        let json = run.ends(i32::from(problems > 0)).json();
        assert_eq!(json["problems"].as_array().map(Vec::len), Some(problems), "{json}");
        assert_eq!(json["notes"].as_array().map(Vec::len), Some(notes), "{json}");
        assert_eq!(json["versions"]["backup"], "2026.11.0");
        assert_eq!(json["versions"]["home"], version);
    }
    home.write("config/.HA_VERSION", VERSION);
    let run = home.hearthkeep(&["restore", &backup, "--allow-newer", "--yes"]).ends(0);
    assert!(run.stdout.contains("may not be able to read it"), "{}", run.stdout);
    assert_eq!(home.read("config/.HA_VERSION").as_deref(), Some("2026.11.0"));
}

#[test]
fn a_target_that_cannot_be_written_is_refused() {
    let scene = Scene::new("hindered");
    let home = &scene.home;
    let names = [home.homeassistant(), home.name("bridge")];
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let bridge = home.bench.path().join("bridge");
    let at = bridge.display().to_string();
    let config = home.config();
    {
        let _mount = Mounted::new(&["--bind", &at], &bridge);
        tool("mount", &["-o", "remount,ro,bind", &at]);
        scene.is_refused(&[], &[&format!("{at} is read-only: mount it for writing")], &all);
    }
    for (flag, path, said) in [
        ("i", bridge.join("state"), "immutable; `chattr -i`"),
        ("i", bridge.clone(), "immutable; `chattr -i`"),
        ("a", bridge.join("state"), "append-only; `chattr -a`"),
        ("a", bridge.clone(), "append-only; `chattr -a`"),
        ("i", config.join("deep"), "immutable; `chattr -i`"),
        ("i", config.join("deep/er/note"), "immutable; `chattr -i`"),
    ] {
        let said = format!("{} cannot be replaced: it is {said}", path.display());
        let _flag = Flag::set(flag, path);
        scene.is_refused(&[], &[&said], &all);
    }
    // What stays may be as it likes.
    let _flag = Flag::set("i", home.write("config/backups/old.tar", "x"));
    home.hearthkeep(&["restore", &scene.backup, "--yes"]).ends(0);
    assert_eq!(home.read("bridge/state").as_deref(), Some("as backed up"));
}

#[test]
fn more_than_one_problem_is_told() {
    let scene = Scene::new("hindrances");
    let home = &scene.home;
    let names = [home.homeassistant(), home.name("bridge")];
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let _flags = ["one", "other"].map(|it| Flag::set("i", home.write(&format!("config/{it}"), "")));
    let many = (0..12).map(|n| home.write(&format!("bridge/{n}"), ""));
    let _many: Vec<Flag> = many.map(|it| Flag::set("i", it)).collect();
    scene.is_refused(&[], &["config/one", "config/other", "2 more in"], &all);
}

#[test]
fn a_missing_container_or_target_is_refused() {
    let scene = Scene::new("missing-places");
    let home = &scene.home;
    let (homeassistant, bridge) = (home.homeassistant(), home.name("bridge"));
    let folder = home.bench.path().join("bridge");
    let away = home.bench.path().join("away");
    fs::rename(&folder, &away).expect("it is there");
    let said = format!("{}, which {bridge} has at /data, is missing", folder.display());
    scene.is_refused(&[], &[&said], &[&homeassistant, &bridge]);
    fs::rename(&away, &folder).expect("it is there");

    docker(&["rm", "--force", &bridge]);
    let said = format!("make {bridge} with a mount at /data, or name what to restore with --only");
    scene.is_refused(&[], &[&said], &[&homeassistant]);
    scene.is_refused(&["--only", "bridge"], &[&said], &[&homeassistant]);
    let words = ["restore", &scene.backup, "--only", "homeassistant", "--yes"];
    home.hearthkeep(&words).ends(0);

    // A stop would be its end.
    let data = bind(&folder, "/data");
    home.run("bridge", &["--rm", "--volume", &data], IMAGE, &[]);
    let said = format!("{bridge} was started with --rm");
    scene.is_refused(&["--only", "bridge"], &[&said], &[&homeassistant, &bridge]);
}

#[test]
fn what_the_host_has_mounted_deep_inside_is_neither_moved_nor_removed() {
    let scene = Scene::new("deep-mount");
    let home = &scene.home;
    // As a share of another machine would be, and as a folder of the same disk.
    let at = home.bench.folder("config/deep/nas");
    let _nas = Mounted::new(&["-t", "tmpfs", "none"], &at);
    let film = write(&at.join("film"), "theirs");
    let other = home.bench.folder("other");
    write(&other.join("file"), "theirs");
    let bound = home.bench.folder("config/bound");
    let _bound = Mounted::new(&["--bind", &other.display().to_string()], &bound);

    let json = home.hearthkeep(&["--json", "restore", &scene.backup, "--dry-run"]).ends(0).json();
    let keep = json["moves"][0]["keep"].to_string();
    assert!(keep.contains("deep/nas") && keep.contains("bound"), "{keep}");
    home.hearthkeep(&["restore", &scene.backup, "--yes"]).ends(0);
    assert_eq!(home.read("config/deep/er/note").as_deref(), Some("as backed up"));
    assert_eq!(fs::read_to_string(&film).ok().as_deref(), Some("theirs"));
    assert_eq!(home.read("other/file").as_deref(), Some("theirs"));

    // And so it is when the restored home does not come up.
    let files = [("configuration.yaml", "http:\n  server_port: 9\n"), ("deep/new", "new")];
    let bad = foreign::write(home, &foreign::of_core(), &files);
    home.hearthkeep(&["restore", &bad, "--yes", "--patience", "1"]).ends(13);
    assert_eq!(home.read("config/deep/er/note").as_deref(), Some("as backed up"));
    assert_eq!(fs::read_to_string(&film).ok().as_deref(), Some("theirs"));

    // What the backup has for such a place cannot be put there.
    let files = [("deep/", ""), ("deep/nas/", ""), ("deep/nas/film", "of the backup")];
    let backup = foreign::write(home, &foreign::of_core(), &files);
    let (home, name) = (scene.home, at.display().to_string());
    let homeassistant = home.homeassistant();
    let scene = Scene { home, backup };
    scene.is_refused(&[], &[&format!("{name} is mounted by the host")], &[&homeassistant]);
}
