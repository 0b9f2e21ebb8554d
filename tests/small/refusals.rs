//! Requests that cannot be met: one clear line, the right exit code, nothing changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use hearthkeep::model::State;
use hearthkeep::plan::{self, Pick, Refused};

use crate::holds;
use crate::signals::{Running, TERM};
use crate::support::facts::{container, facts};
use crate::support::home::{ENDLESS, Home};
use crate::support::{Run, docker};
use crate::tree::{assert_same, look};

#[test]
fn each_says_what_is_wrong_and_changes_nothing() {
    let home = Home::new("refused");
    home.companion("broker", &[]);
    let backup = home.bench.folder("store").display().to_string();
    let path = home.backup(&["--store", &backup]).display().to_string();
    let missing = home.bench.path().join("nowhere/store").display().to_string();
    let lost = home.bench.path().join("lost.tar").display().to_string();
    let was = look(&home.config());
    let started = home.started("broker");
    let long = "x".repeat(201);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["backup", "--name", &long], 2, "longer than 200 bytes"),
        (&["backup", "--only", "nosuch"], 2, "\"nosuch\""),
        (&["plan", "--only", "homeassistant", "nosuch"], 2, "\"nosuch\""),
        (&["backup", "--exclude", "a[b"], 2, "\"a[b\""),
        (&["plan", "--exclude", "*.mp4", "{a"], 2, "\"{a\""),
        (&["backup", "--name", "a/b"], 2, "\"a/b\""),
        (&["backup", "--name", "a\\b"], 2, "backup name"),
        (&["backup", "--name", ""], 2, "is empty"),
        (&["backup", "--name", "  "], 2, "is empty"),
        (&["backup", "--name", ".."], 2, "\"..\""),
        (&["backup", "--name", "."], 2, "\".\""),
        (&["backup", "--name", "line\nbreak"], 2, "control character"),
        (&["--home", "nosuch", "plan"], 2, "container nosuch"),
        (&["show", "0badcafe"], 10, "0badcafe"),
        (&["verify", "0badcafe"], 10, "0badcafe"),
        (&["export", "0badcafe", "/tmp"], 10, "0badcafe"),
        (&["remove", "0badcafe"], 10, "0badcafe"),
        (&["restore", "0badcafe", "--yes"], 10, "0badcafe"),
        (&["show", &lost], 10, "lost.tar"),
        (&["restore", &lost, "--yes"], 10, "lost.tar"),
        (&["restore", &path], 2, "--yes"),
        (&["restore", &path, "--yes", "--only", "nosuch"], 2, "\"nosuch\""),
        (&["restore", &path, "--yes", "--only", "share"], 2, "\"share\""),
        (&["--store", &missing, "backup"], 1, &missing),
        (&["--store", &missing, "list"], 1, &missing),
        (&["--store", &path, "list"], 1, &path),
    ];
    for (words, code, said) in cases {
        let run = home.hearthkeep(words).ends(*code);
        assert!(run.error().contains(said), "{words:?}: {}", run.error());
        assert_eq!(run.stdout, "", "{words:?}");
        // The same as one object, for a program.
        let json = home.hearthkeep(&[&["--json"], *words].concat()).ends(*code).json();
        assert_eq!(json["exit_code"], *code, "{words:?}");
        assert!(json["error"].as_str().is_some_and(|it| it.contains(said)), "{json}");
    }
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("broker"), started, "it was stopped");
}

#[test]
fn without_an_engine_the_address_is_named() {
    let home = Home::new("no-engine");
    let was = look(&home.config());
    for words in [&["plan"][..], &["backup"], &["list"]] {
        for address in ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1"] {
            let mut command = home.command(words);
            let run: Run = command.env("DOCKER_HOST", address).output().expect("it runs").into();
            let run = run.ends(1);
            assert!(run.error().contains(address), "{}", run.error());
        }
    }
    assert_same(&was, &look(&home.config()));
}

#[test]
fn of_two_homes_one_has_to_be_picked() {
    let (one, other) = (Home::new("two"), Home::new("two"));
    let command = |words: &[&str]| -> Run {
        let mut command = one.bench.command(words);
        command.output().expect("the program can be started").into()
    };
    let run = command(&["plan"]).ends(2);
    let error = run.error();
    for said in [&one.homeassistant(), &other.homeassistant(), "--project", "--home"] {
        assert!(error.contains(said), "{error}");
    }
    let run = command(&["--project", "nosuch", "plan"]).ends(2);
    assert!(run.error().contains("project nosuch"), "{}", run.error());
    for home in [&one, &other] {
        let by_project = command(&["--json", "--project", &home.project, "plan"]).ends(0).json();
        assert_eq!(by_project["homeassistant"], home.homeassistant());
        assert_eq!(by_project["project"], home.project);
        let id = home.inspect("homeassistant", "{{.Id}}");
        for name in [&home.homeassistant(), &id, &id[..12]] {
            let by_name = command(&["--json", "--home", name, "plan"]).ends(0).json();
            assert_eq!(by_name["homeassistant"], home.homeassistant());
        }
    }
}

/// On an engine of one's own, which no test here has.
#[test]
fn none_and_several_homes_are_told_from_each_other() {
    let homeassistant = "ghcr.io/home-assistant/home-assistant:stable";
    let with = |containers: &[(&str, &str)]| {
        facts(containers.iter().map(|(name, image)| container(name, image)).collect())
    };
    let none = with(&[("web", "nginx"), ("broker", "eclipse-mosquitto")]);
    let found = plan::find(&none, &Pick::default());
    assert_eq!(found, Err(Refused::NoHome { n_containers: 2 }));
    let pick = Pick { container: Some("web".to_owned()), project: None };
    assert_eq!(plan::find(&none, &pick), Err(Refused::NoHome { n_containers: 2 }));

    let two = with(&[("a", homeassistant), ("b", homeassistant), ("web", "nginx")]);
    let found = plan::find(&two, &Pick::default());
    assert_eq!(found, Err(Refused::SeveralHomes { names: "a, b".to_owned() }));
    let pick = Pick { container: Some("b".to_owned()), project: None };
    assert_eq!(plan::find(&two, &pick).map(|it| it.homeassistant.name), Ok("b".to_owned()));

    // One that is stopped gives way to one that runs.
    let mut two = two;
    two.containers[0].state = State::Stopped;
    let found = plan::find(&two, &Pick::default());
    assert_eq!(found.map(|it| it.homeassistant.name), Ok("b".to_owned()));

    // A wrong label of a stranger is no reason to refuse a home.
    two.containers[2].labels.insert("hearthkeep.role".to_owned(), "star".to_owned());
    assert!(plan::find(&two, &Pick::default()).is_ok());
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let home = Home::new("unreadable");
    let secret = home.write("config/secret", "for root alone");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a mode");
    let bench = home.bench.path();
    // Where another user can reach it, and what that user needs to write.
    fs::set_permissions(bench, Permissions::from_mode(0o755)).expect("a mode");
    let program = bench.join("hearthkeep");
    fs::copy(env!("CARGO_BIN_EXE_hearthkeep"), &program).expect("a copy");
    let store = home.bench.folder("store");
    let state = home.bench.folder("state");
    for folder in [&store, &state] {
        std::os::unix::fs::chown(folder, Some(65_534), Some(65_534)).expect("an owner");
    }
    let socket = "/var/run/docker.sock";
    let group = std::os::unix::fs::MetadataExt::gid(&fs::metadata(socket).expect("a socket"));
    let run: Run = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--groups", &group.to_string()])
        .arg(&program)
        .args(["--home", &home.homeassistant(), "backup", "--store"])
        .arg(&store)
        .arg("--state")
        .arg(&state)
        .output()
        .expect("setpriv is installed")
        .into();
    let run = run.ends(1);
    let error = run.error();
    assert!(error.contains(&secret.display().to_string()), "{error}");
    assert!(error.contains("Permission denied"), "{error}");
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(fs::read_dir(&store).expect("the store").count(), 0);
}

#[test]
fn a_container_that_disappears_in_the_middle_is_named() {
    let home = Home::new("disappears");
    let gone = home.companion("gone", &[]);
    home.companion("broker", &[]);
    holds::endless(&home);
    // Large enough to be in the middle of, small enough to come to its end.
    let file = fs::File::options().write(true).open(home.config().join(ENDLESS));
    file.and_then(|it| it.set_len(1 << 30)).expect("a length");
    let mut backup = Running::start(home.command(&["backup"]));
    backup.wait_for("archiving homeassistant");
    docker(&["rm", "--force", &gone]);
    let (code, error) = backup.finish();
    assert_eq!(code, 1, "{error}");
    let lines: Vec<&str> = error.lines().filter(|it| it.starts_with("error:")).collect();
    assert_eq!(lines.len(), 1, "{error}");
    assert!(lines[0].contains(&gone) && lines[0].contains("disappeared"), "{error}");
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(home.state("broker"), "running");
    assert_eq!(home.store(), Vec::<PathBuf>::new());
}

#[test]
fn a_second_run_is_told_that_the_first_is_busy() {
    let home = Home::new("busy");
    let store = home.bench.folder("store").display().to_string();
    let path = home.backup(&["--store", &store]).display().to_string();
    holds::endless(&home);
    let mut first = Running::start(home.command(&["backup"]));
    first.wait_for("archiving homeassistant");
    for words in [&["backup"][..], &["restore", &path, "--yes"]] {
        let run = home.hearthkeep(words).ends(11);
        assert!(run.error().contains("running"), "{}", run.error());
    }
    // What only looks is not kept waiting.
    home.hearthkeep(&["plan"]).ends(0);
    home.hearthkeep(&["list"]).ends(0);
    home.bench.hearthkeep(&["verify", &path]).ends(0);
    assert_eq!(home.state("homeassistant"), "paused", "the first was disturbed");
    first.end(TERM);
    assert_eq!(first.code(), 130);
    // The lock is gone with who had it.
    fs::remove_file(home.config().join(ENDLESS)).expect("it is there");
    home.backup(&[]);
}

#[test]
fn a_configuration_that_would_be_lost_is_told_with_its_reason() {
    let home = Home::empty("memory");
    let name = home.run_homeassistant(&["--tmpfs", "/config"]);
    let store = home.bench.folder("store").display().to_string();
    let run = home.hearthkeep(&["--store", &store, "backup"]).ends(1);
    let error = run.error();
    assert!(error.contains(&name) && error.contains("/config cannot be backed up"), "{error}");
    assert!(error.contains("memory, gone with the container anyway"), "{error}");
    assert_eq!(fs::read_dir(&store).expect("the store").count(), 0);
}
