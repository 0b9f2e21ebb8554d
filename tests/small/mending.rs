//! A restore that is killed: whatever the moment, the home is whole afterwards, old or new, and does
//! what it did before.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::{Duration, UNIX_EPOCH};

use crate::crashes::{
    ABORT_AFTER, ABORT_BEFORE, BY_SIGNAL, MANY, NO_GUARDIAN, NOTHING, guardians, resume,
};
use crate::signals::Running;
use crate::support::home::{Home, IMAGE, bind};
use crate::support::{Run, docker, wait_until};
use crate::tree::{Seen, assert_same, look};

/// Ends the program right before that rename of the exchange.
const ABORT_AT_RENAME: &str = "HEARTHKEEP_TEST_ABORT_AT_RENAME";

/// Each has one mount, and sees no other.
const SERVICES: [(&str, &str); 3] =
    [("homeassistant", "running"), ("frozen", "paused"), ("down", "exited")];

/// The folders of the bench that are their mounts.
const PLACES: [&str; 3] = ["config", "frozen", "down"];

/// Which append to the journal is the one that says that the restored home came up: behind the
/// beginning, the staging folders, the holds, two stops, the exchange and two releases.
const PROVED: usize = 9;

/// Appends of a restore that comes to its end: the old content is gone, and that is it.
const ALL: usize = PROVED + 2;

type Places = BTreeMap<&'static str, BTreeMap<Vec<u8>, Seen>>;

/// A home, its backup, and what the backup holds.
struct Scene {
    home: Home,
    backup: String,
    new: Places,
}

impl Scene {
    fn new(what: &str) -> Scene {
        Scene::with(what, "default_config:\n")
    }

    /// One whose backup cannot come up, since nothing answers on the port that it names.
    fn ruined(what: &str) -> Scene {
        Scene::with(what, "http:\n  server_port: 9\n")
    }

    fn with(what: &str, configuration: &str) -> Scene {
        let home = Home::new(what);
        home.companion("frozen", &[]);
        home.companion("down", &[]);
        docker(&["pause", &home.name("frozen")]);
        docker(&["stop", &home.name("down")]);
        home.write("config/configuration.yaml", configuration);
        home.write("config/www/deep/page", "backed up");
        home.write("config/.storage/core", "backed up");
        home.write("frozen/state", "backed up");
        home.write("down/only/backed/up", "backed up");
        let store = home.bench.folder("store").display().to_string();
        let backup = home.backup(&["--store", &store]).display().to_string();
        let new = places(&home);
        Scene { home, backup, new }
    }

    /// Changes everything; gives what it is now.
    fn change(&self) -> Places {
        let home = &self.home;
        home.write("config/configuration.yaml", "default_config:\n# came later\n");
        home.write("config/www/deep/page", "came later");
        home.write("config/www/later", "came later");
        home.write("frozen/state", "came later");
        let later = home.write("down/later", "came later");
        chown(&later, Some(1883), Some(70)).expect("these tests need root");
        fs::set_permissions(&later, Permissions::from_mode(0o6640)).expect("a mode");
        let long_ago = UNIX_EPOCH + Duration::new(1_000_000_000, 7);
        let www = home.config().join("www");
        chown(&www, Some(1000), Some(1001)).expect("these tests need root");
        for path in [later, www, home.config()] {
            File::open(path).and_then(|it| it.set_modified(long_ago)).expect("it is ours");
        }
        _ = fs::remove_dir_all(home.bench.path().join("down/only"));
        places(home)
    }

    fn restore(&self, words: &[&str], variables: &[(&str, String)]) -> Run {
        let mut command = self.home.command(&["restore", &self.backup, "--yes"]);
        // Hundreds of them: what stays up is shown elsewhere.
        command
            .args(["--settle", "0"])
            .args(words)
            .envs(variables.iter().map(|(key, value)| (key, value)));
        command.output().expect("the program can be started").into()
    }

    fn assert_is(&self, wanted: &Places, when: &str) {
        eprintln!("{when}");
        for (service, state) in SERVICES {
            assert_eq!(self.home.state(service), state, "{service} {when}");
        }
        let is = places(&self.home);
        PLACES.iter().for_each(|it| assert_same(&wanted[it], &is[it]));
        let nothing = resume(&self.home).to_string();
        assert_eq!(nothing, NOTHING, "{when}");
    }

    /// Crashes a restore; gives what was there before, or nothing where it came to its end.
    fn crash(&self, at: &str, n: usize) -> Option<Places> {
        let old = self.change();
        let run = self.restore(&[], &[(at, n.to_string()), (NO_GUARDIAN, "1".to_owned())]);
        if run.code == BY_SIGNAL {
            return Some(old);
        }
        run.ends(0);
        None
    }

    /// Runs `resume` and kills it after that append; gives whether it came so far.
    fn resume_killed(&self, n: usize) -> bool {
        let mut command = self.home.command(&["resume"]);
        command.env(ABORT_AFTER, n.to_string()).env(NO_GUARDIAN, "1");
        let run = Run::from(command.output().expect("the program can be started"));
        assert!([0, 3, BY_SIGNAL].contains(&run.code), "{run:?}");
        run.code == BY_SIGNAL
    }
}

fn places(home: &Home) -> Places {
    PLACES.map(|it| (it, look(&home.bench.path().join(it)))).into()
}

#[test]
fn a_restore_may_be_killed_at_every_event() {
    let scene = Scene::new("mend-restore");
    for (at, first_new) in [(ABORT_AFTER, PROVED), (ABORT_BEFORE, PROVED + 1)] {
        let n = (1..MANY).find(|n| {
            let Some(old) = scene.crash(at, *n) else { return true };
            let run = scene.home.hearthkeep(&["--json", "resume"]);
            let when = format!("{at} {n}");
            let is_new = *n >= first_new;
            // From the append on that says what it takes to undo it.
            let is_told = !is_new && *n >= first_new - 3;
            let warnings = run.ends(if is_told { 3 } else { 0 }).json()["warnings"].to_string();
            assert_eq!(warnings.contains("taken back"), is_told, "{when}: {warnings}");
            scene.assert_is(if is_new { &scene.new } else { &old }, &when);
            false
        });
        assert_eq!(n, Some(ALL + 1), "{at}");
        scene.assert_is(&scene.new, "after a restore");
    }
}

#[test]
fn a_resume_may_be_killed_at_every_event_too() {
    let scene = Scene::new("mend-resume");
    for n in 1..=ALL {
        let old = scene.crash(ABORT_AFTER, n).expect("it does not come to its end");
        // Each comes a little further than the one before.
        let n_resumes = (1..MANY).find(|m| !scene.resume_killed(*m));
        assert!(n_resumes.is_some(), "{n}: it never came to its end");
        let wanted = if n >= PROVED { &scene.new } else { &old };
        scene.assert_is(wanted, &format!("killed at {n}, {n_resumes:?} resumes"));
    }
    // And each from the beginning, of a restore that was killed just before it was proved.
    for m in 1..MANY {
        let old = scene.crash(ABORT_AFTER, PROVED - 1).expect("it does not come to its end");
        let is_killed = scene.resume_killed(m);
        if is_killed {
            let told = scene.home.hearthkeep(&["resume"]);
            assert!([0, 3].contains(&told.code), "{told:?}");
        }
        scene.assert_is(&old, &format!("resume killed at {m}"));
        if !is_killed {
            // The holds, the stops, three releases, of which one starts nothing, and the end.
            assert_eq!(m, 7);
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn a_guardian_mends_it_at_once() {
    let scene = Scene::new("mend-guardian");
    for n in 2..ALL {
        let old = scene.change();
        let run = scene.restore(&[], &[(ABORT_AFTER, n.to_string())]);
        assert_eq!(run.code, BY_SIGNAL, "{}", run.stderr);
        wait_until("the guardian has done its duty", || guardians(&scene.home).is_empty());
        // Before there is one, nothing has been touched, and the next run closes it.
        if n == 2 {
            assert_eq!(scene.home.hearthkeep(&["--json", "resume"]).code, 0);
        }
        let wanted = if n >= PROVED { &scene.new } else { &old };
        scene.assert_is(wanted, &format!("killed at {n}"));
    }
    // And in the middle of the exchange, of the first mount and of others.
    for n in [1, 3, 6, 9, 12, 15] {
        let old = scene.change();
        let run = scene.restore(&[], &[(ABORT_AT_RENAME, n.to_string())]);
        assert_eq!(run.code, BY_SIGNAL, "{}", run.stderr);
        wait_until("the guardian has done its duty", || guardians(&scene.home).is_empty());
        scene.assert_is(&old, &format!("killed at rename {n}"));
    }
}

#[test]
fn a_restore_that_is_killed_at_its_gate_is_taken_back() {
    let scene = Scene::ruined("mend-kill");
    let old = scene.change();
    let command = || {
        let mut command = scene.home.command(&["restore", &scene.backup, "--yes"]);
        command.args(["--patience", "600"]);
        command
    };
    let mut restore = Running::start(command());
    restore.wait_for("waiting for Home Assistant");
    assert_eq!(scene.home.read("frozen/state").as_deref(), Some("backed up"));
    restore.end("KILL");
    wait_until("the guardian has done its duty", || guardians(&scene.home).is_empty());
    scene.assert_is(&old, "killed at the gate");

    // Where the guardian went with it, and the engine has let the home run meanwhile, the next run
    // does it, and says so.
    let mut alone = command();
    alone.env(NO_GUARDIAN, "1");
    let mut restore = Running::start(alone);
    restore.wait_for("waiting for Home Assistant");
    restore.end("KILL");
    docker(&["start", &scene.home.name("down")]);
    scene.home.write("down/made", "by somebody who should not run");
    let store = scene.home.bench.folder("store").display().to_string();
    let run = scene.home.hearthkeep(&["--store", &store, "backup"]).ends(3);
    assert!(run.stderr.contains("was taken back"), "{}", run.stderr);
    scene.assert_is(&old, "after the next backup");
}

#[test]
fn what_cannot_be_put_back_yet_stays_down_until_it_can() {
    let scene = Scene::new("mend-away");
    let old = scene.crash(ABORT_AFTER, PROVED - 1).expect("it does not come to its end");
    let folder = scene.home.bench.path().join("frozen");
    let away = scene.home.bench.path().join("away");
    fs::rename(&folder, &away).expect("it can be moved");
    for _ in 0..2 {
        let told = scene.home.hearthkeep(&["--json", "resume"]).ends(3).json();
        let warnings = told["warnings"].to_string();
        for said in [folder.to_str().expect("a plain path"), "hearthkeep resume", "is not where"] {
            assert!(warnings.contains(said), "{said}: {warnings}");
        }
        for (service, _) in SERVICES {
            assert_eq!(scene.home.state(service), "exited", "{service}");
        }
    }
    let refused = scene.home.hearthkeep(&["backup"]).ends(1);
    assert!(refused.error().contains("hearthkeep resume"), "{}", refused.error());
    // What could be put back is the home's own again, and left alone from then on.
    scene.home.write("config/made", "by hand");
    fs::rename(&away, &folder).expect("it is back");
    scene.home.hearthkeep(&["resume"]).ends(3);
    assert_eq!(scene.home.read("config/made").as_deref(), Some("by hand"));
    fs::remove_file(scene.home.config().join("made")).expect("it is there");
    let long_ago = UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    let config = File::open(scene.home.config());
    config.and_then(|it| it.set_modified(long_ago)).expect("it is ours");
    scene.assert_is(&old, "put back in the end");
}

#[test]
fn a_wreck_stays_until_a_person_says_what_becomes_of_it() {
    let scene = Scene::ruined("wreck");
    let home = &scene.home;
    for (word, is_kept) in [("resume", false), ("resume", true)] {
        let old = scene.change();
        let run = scene.restore(&["--patience", "1", "--no-rollback"], &[]).ends(1);
        let staging = home.config().join(".hearthkeep-restore").display().to_string();
        for said in [&staging, "port 9", "hearthkeep resume", "--keep-restored"] {
            assert!(run.error().contains(said), "{said}: {}", run.error());
        }
        assert_eq!(home.read("frozen/state").as_deref(), Some("backed up"));
        for words in [&["backup"][..], &["restore", &scene.backup, "--yes"]] {
            let refused = home.hearthkeep(words).ends(1);
            for said in ["`hearthkeep resume`", "`hearthkeep resume --keep-restored`"] {
                assert!(refused.error().contains(said), "{}", refused.error());
            }
        }
        // Nobody asked for it.
        home.hearthkeep(&["resume", "--automatic"]).ends(3);
        assert_eq!(home.read("frozen/state").as_deref(), Some("backed up"));

        let words: &[&str] = if is_kept { &[word, "--keep-restored"] } else { &[word] };
        home.hearthkeep(words).ends(0);
        scene.assert_is(if is_kept { &scene.new } else { &old }, &words.join(" "));
    }
}

#[test]
fn a_way_back_from_a_wreck_that_is_killed_is_gone_on_with() {
    let scene = Scene::ruined("wreck-killed");
    let old = scene.change();
    scene.restore(&["--patience", "1", "--no-rollback"], &[]).ends(1);
    assert!(scene.resume_killed(1), "after it has said that there is no way but back");
    let store = scene.home.bench.folder("store").display().to_string();
    scene.home.hearthkeep(&["--store", &store, "backup"]).ends(3);
    scene.assert_is(&old, "after the next backup");
    scene.restore(&["--patience", "1", "--no-rollback"], &[]).ends(1);
    let mut command = scene.home.command(&["resume", "--keep-restored"]);
    command.env(ABORT_AFTER, "1");
    assert_eq!(Run::from(command.output().expect("it starts")).code, BY_SIGNAL);
    scene.home.hearthkeep(&["resume"]).ends(0);
    scene.assert_is(&scene.new, "kept");
}

#[test]
fn whoever_sees_a_mount_sees_the_new_content_without_a_restart() {
    let scene = Scene::new("shared-bind");
    let home = &scene.home;
    let seen = bind(&home.config(), "/seen:ro");
    home.run("reader", &["--volume", &seen], IMAGE, &[]);
    // Somebody outside of the home, whom nobody stops.
    let other = "com.docker.compose.project=elsewhere";
    home.run("outsider", &["--label", other, "--volume", &seen], IMAGE, &[]);
    let started = home.started("outsider");
    let reads = |service: &str| {
        let process = home.inspect(service, "{{.State.Pid}}");
        let read = |it: &str| fs::read_to_string(format!("/proc/{process}/root/seen/{it}")).ok();
        (read("www/deep/page"), read("www/later").is_some())
    };
    let inode = || fs::metadata(home.config()).expect("it is there").ino();
    scene.change();
    let was = inode();
    for service in ["reader", "outsider"] {
        assert_eq!(reads(service), (Some("came later".to_owned()), true), "{service}");
    }
    scene.restore(&["--only", "homeassistant"], &[]).ends(0);
    for service in ["reader", "outsider"] {
        assert_eq!(reads(service), (Some("backed up".to_owned()), false), "{service}");
    }
    assert_eq!(inode(), was);
    assert_eq!(home.started("outsider"), started);
}
