//! Behind a proxy that passes what the documentation lists and nothing else.

use std::process::Command;

use crate::crashes::{ABORT_AFTER, BY_SIGNAL, MANY, NO_GUARDIAN};
use crate::support::home::{Home, bind};
use crate::support::proxy::{Proxy, documented};
use crate::support::{Run, docker};

/// A lab image with a shell in it.
const WITH_SHELL: &str = "hearthkeep-lab/mosquitto:2";

/// The calls for jobs in a container of their own, which `tests/compose.rs` shows.
const OF_JOB_CONTAINERS: [&str; 3] =
    ["POST /containers/*/attach", "POST /containers/create", "POST /networks/*/connect"];

/// A home with a companion that wants commands run around the hold.
fn home(what: &str) -> Home {
    let home = Home::new(what);
    let data = bind(&home.bench.folder("broker"), "/data");
    let labels = ["--label", "hearthkeep.before=true", "--label", "hearthkeep.after=true"];
    let options = [&["--volume", data.as_str()][..], &labels].concat();
    home.run("broker", &options, WITH_SHELL, &["sleep", "infinity"]);
    home.write("broker/file", "kept");
    home
}

fn command(home: &Home, proxy: &Proxy, words: &[&str]) -> Command {
    let mut command = home.command(words);
    command.env("DOCKER_HOST", proxy.address());
    command
}

fn run(home: &Home, proxy: &Proxy, words: &[&str]) -> Run {
    command(home, proxy, words).output().expect("the program can be started").into()
}

#[test]
fn the_documented_calls_are_enough_and_each_is_used() {
    let home = home("proxied");
    let proxy = Proxy::passing(home.bench.path(), documented());

    run(&home, &proxy, &["check"]).ends(3);
    let report = run(&home, &proxy, &["--json", "backup"]).ends(0).json();
    let backup = report["path"].as_str().expect("a path").to_owned();
    let crashes_before_the_hold = |append: &usize| {
        let mut crash = command(&home, &proxy, &["backup"]);
        crash.env(ABORT_AFTER, append.to_string()).env(NO_GUARDIAN, "1");
        Run::from(crash.output().expect("it can be started")).ends(BY_SIGNAL);
        home.read("state/journal.jsonl").is_some_and(|it| it.contains("hold-intended"))
    };
    assert!((1..MANY).find(crashes_before_the_hold).is_some());
    // A moment later it would have been held.
    docker(&["pause", &home.name("broker")]);
    run(&home, &proxy, &["resume"]).ends(0);
    assert_eq!(home.state("broker"), "running");
    run(&home, &proxy, &["verify", "--boot", &backup]).ends(0);
    home.write("broker/file", "lost");
    run(&home, &proxy, &["restore", &backup, "--yes"]).ends(0);

    assert_eq!(home.read("broker/file").as_deref(), Some("kept"));
    assert_eq!(proxy.refused(), [""; 0]);
    let mut unused = documented();
    let passed = proxy.passed();
    unused.retain(|it| !passed.contains(it) && !OF_JOB_CONTAINERS.contains(&it.as_str()));
    assert_eq!(unused, [""; 0], "documented, and nobody needs them");
}

#[test]
fn where_nothing_may_be_done_nothing_is_held() {
    let home = home("looking-only");
    let backup = home.backup(&[]).display().to_string();
    let started = home.started("homeassistant");
    let mut looks = documented();
    looks.retain(|it| it.starts_with("GET "));
    let proxy = Proxy::passing(home.bench.path(), looks);

    for words in [&["backup"][..], &["restore", &backup, "--yes"]] {
        let failed = run(&home, &proxy, words).ends(1);
        let error = failed.error();
        assert!(error.contains("nothing was held") && error.contains("docs/docker.md"), "{error}");
    }
    let meant = |it: &String| !it.contains("hearthkeep-asks-whether-it-may");
    let refused: Vec<String> = proxy.refused().into_iter().filter(meant).collect();
    assert_eq!(refused, [""; 0], "only questions whether it may");
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(home.started("homeassistant"), started);
    assert_eq!(home.store().len(), 1, "no draft is left");
}
