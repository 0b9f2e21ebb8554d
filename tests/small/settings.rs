//! Settings that mean nothing: told in one line with their place, and nothing is held.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::home::Home;
use crate::support::{Bench, Run};

/// Runs the program for a home with a file of settings and more variables.
fn run(home: &Home, settings: &str, variables: &[(&str, &str)], words: &[&str]) -> Run {
    let file = home.write("config.yaml", settings);
    let mut command = home.command(words);
    command.env("HEARTHKEEP_CONFIG", file).envs(variables.iter().copied());
    command.output().expect("the program can be started").into()
}

/// A file, variables, the exit code, and what has to be said.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i32, &'a [&'a str]);

#[test]
fn a_mistake_in_the_settings_is_told_before_anything_is_held() {
    let home = Home::new("settings");
    let key = home.write("key", "hunter2\n").display().to_string();
    let missing = home.bench.path().join("missing").display().to_string();
    let folder = home.bench.path().display().to_string();
    let both = [("HEARTHKEEP_PASSWORD", "hunter2"), ("HEARTHKEEP_PASSWORD_FILE", &key)];
    let was = home.started("homeassistant");
    let cases: &[Case] = &[
        ("stroe: /a\n", &[], 78, &["config.yaml, line 1, column 1", "probably store"]),
        ("level: 3\nmax-hold: [1\n", &[], 78, &["config.yaml, line 2, column "]),
        ("level: 12\n", &[], 78, &["line 1, column 8", "1 (fastest) to 9"]),
        ("schedule: soon\n", &[], 78, &["line 1, column 11", "soon: a schedule is a time"]),
        ("profiles:\n  a:\n    onyl: [ssl]\n", &[], 78, &["line 3, column 5", "probably only"]),
        ("", &both, 78, &["HEARTHKEEP_PASSWORD: ", "HEARTHKEEP_PASSWORD_FILE", &key]),
        ("", &[("HEARTHKEEP_LEVEL", "x")], 78, &["HEARTHKEEP_LEVEL: \"x\" must be a number"]),
        ("", &[("HEARTHKEEP_PASSWORD_FILE", &missing)], 78, &[&missing, "key generate"]),
        ("", &[("HEARTHKEEP_PASSWORD_FILE", &folder)], 78, &[&folder, "it is a folder"]),
        ("", &[("HEARTHKEEP_LOG", "syslog")], 78, &["HEARTHKEEP_LOG: ", "plain, json or journal"]),
        ("only: [nosuch]\n", &[], 2, &["unknown item \"nosuch\""]),
    ];
    for (settings, variables, code, said) in cases {
        let run = run(&home, settings, variables, &["backup"]).ends(*code);
        for it in *said {
            assert!(run.error().contains(it), "{settings:?}: {}", run.error());
        }
        assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    }
    // What was named has to be there; what closes an earlier run asks for none of it.
    let nowhere = [("HEARTHKEEP_CONFIG", missing.as_str())];
    for (words, code) in [(&["list"][..], 78), (&["resume", "--profile", "nosuch"], 0)] {
        let mut command = home.command(words);
        command.envs(nowhere);
        let run = Run::from(command.output().expect("it runs")).ends(code);
        assert_eq!(run.stderr.contains("there is no such file"), code == 78, "{run:?}");
    }
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(home.started("homeassistant"), was);
    assert_eq!(home.store(), Vec::<PathBuf>::new());
}

#[test]
fn a_file_that_is_none_is_named_and_a_variable_that_is_empty_is_not_set() {
    let bench = Bench::new();
    let list = |config: &str| {
        let mut command = bench.command(&["list", "--store", "/nowhere/store"]);
        command.env("HEARTHKEEP_CONFIG", config);
        Run::from(command.output().expect("it runs"))
    };
    let file = bench.path().join("config.yaml").display().to_string();
    let written = |bytes: &[u8]| {
        crate::support::home::write(Path::new(&file), bytes);
        list(&file).ends(78)
    };
    for (run, said) in [
        (written(b"level: \xff\n"), "it is not UTF-8: save it as text in UTF-8"),
        (written(&vec![b'#'; 1024 * 1024 + 1]), "it is longer than 1 MiB"),
        (list(&bench.path().display().to_string()).ends(78), "it is a folder: name a file"),
        (list("/nowhere/config.yaml").ends(78), "there is no such file"),
    ] {
        assert!(run.error().contains(said), "{said}: {run:?}");
    }
    // As Compose files often leave them.
    let mut command = bench.command(&["list", "--store", "/nowhere/store"]);
    command.env("HEARTHKEEP_CONFIG", "").env("HEARTHKEEP_STATE", "").env("HEARTHKEEP_LOG", "");
    let run = Run::from(command.output().expect("it runs")).ends(1);
    assert!(run.error().contains("/nowhere"), "{run:?}");
}

#[test]
fn labels_that_are_unknown_or_contradict_each_other_hold_nobody() {
    let home = Home::new("labels");
    let store = home.bench.folder("store").display().to_string();
    let path = home.backup(&["--store", &store]).display().to_string();
    home.companion("broker", &["--label", "hearthkeep.hodl=stop"]);
    let was = home.started("broker");
    for words in [&["plan"][..], &["backup"], &["restore", &path, "--yes"]] {
        let run = home.hearthkeep(words).ends(78);
        let error = run.error();
        assert!(error.contains(&home.name("broker")), "{error}");
        assert!(
            error.contains("hearthkeep.hodl") && error.contains("probably hearthkeep.hold"),
            "{error}"
        );
    }
    assert_eq!((home.state("broker").as_str(), home.started("broker")), ("running", was));
    // What holds nobody needs no labels.
    home.hearthkeep(&["list"]).ends(0);

    let home = Home::new("labels");
    let both = ["--label", "hearthkeep.enable=false", "--label", "hearthkeep.role=companion"];
    home.companion("broker", &both);
    let run = home.hearthkeep(&["backup"]).ends(78);
    assert!(run.error().contains("contradicts hearthkeep.enable=false"), "{}", run.error());
}

#[test]
fn a_bad_label_outside_the_home_is_a_warning() {
    let home = Home::new("stranger");
    let other = Home::empty("other");
    let label = ["--label", "hearthkeep.enabel=true"];
    let stranger = other.companion("blog", &label);
    let run = home.hearthkeep(&["backup"]).ends(3);
    let warning =
        run.stderr.lines().find(|it| it.starts_with("warning:") && it.contains(&stranger));
    assert!(warning.is_some_and(|it| it.contains("probably hearthkeep.enable")), "{run:?}");
}

#[test]
fn each_place_goes_before_the_next() {
    let home = Home::new("places");
    let key = home.write("key", "hunter2\n");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("it is ours");
    let [file, variable, word] = ["file", "variable", "word"].map(|it| home.bench.folder(it));
    let settings = format!(
        "store: {}\npassword-file: {}\nname: From the file\n",
        file.display(),
        key.display()
    );
    let backup = |variables: &[(&str, &str)], words: &[&str]| {
        let words = [&["--json", "backup"], words].concat();
        run(&home, &settings, variables, &words).ends(0).json()
    };
    let report = backup(&[], &[]);
    assert_eq!(
        (report["name"].as_str(), report["protected"].as_bool()),
        (Some("From the file"), Some(true))
    );
    assert!(report["path"].as_str().is_some_and(|it| it.starts_with(&file.display().to_string())));
    let set = variable.display().to_string();
    let report = backup(&[("HEARTHKEEP_STORE", &set)], &[]);
    assert!(report["path"].as_str().is_some_and(|it| it.starts_with(&set)), "{report}");
    let said = word.display().to_string();
    let report = backup(&[("HEARTHKEEP_STORE", &set)], &["--store", &said, "--name", "By hand"]);
    assert!(report["path"].as_str().is_some_and(|it| it.starts_with(&said)), "{report}");
    assert_eq!(report["name"], "By hand");
    // Labels say how a container is treated, whatever the file says.
    let run = run(&home, "profile: x\n", &[], &["plan"]).ends(78);
    assert!(run.error().contains("unknown key profile, probably profiles"), "{}", run.error());
}

#[test]
fn a_secret_that_others_may_read_is_a_warning() {
    let home = Home::new("open-key");
    let key = home.write("key", "hunter2\n");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("it is ours");
    let settings = format!("password-file: {}\n", key.display());
    let run = run(&home, &settings, &[], &["backup"]).ends(0);
    let said = format!("warning: {0} is open to others (644): chmod 600 {0}", key.display());
    assert!(run.stderr.contains(&said), "{run:?}");
}

#[test]
fn a_credential_of_systemd_is_the_password_where_nothing_else_is() {
    let bench = Bench::new();
    let archives = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    let backup = archives.join("core_sec3_gz.tar").display().to_string();
    let credentials = bench.folder("credentials");
    crate::support::home::write(&credentials.join("password"), "hunter2");
    let verify = |password: Option<&str>| {
        let mut command = bench.command(&["verify", &backup]);
        command.env("CREDENTIALS_DIRECTORY", &credentials).stdin(std::process::Stdio::null());
        command.envs(password.map(|it| ("HEARTHKEEP_PASSWORD", it)));
        Run::from(command.output().expect("it runs"))
    };
    verify(None).ends(0);
    verify(Some("another")).ends(12);
    fs::remove_file(credentials.join("password")).expect("it is there");
    verify(None).ends(12);
}
