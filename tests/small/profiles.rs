//! Jobs of the settings: each with its own items, store and password, and with backups that go
//! when their time is over.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hearthkeep::archive::Metadata;
use serde_json::Value;

use crate::support::Run;
use crate::support::home::Home;

/// A home with a file of settings.
struct Jobs {
    home: Home,
    settings: PathBuf,
}

impl Jobs {
    fn new(what: &str, settings: impl Fn(&Home) -> String) -> Jobs {
        let home = Home::new(what);
        let settings = home.write("config.yaml", &settings(&home));
        Jobs { home, settings }
    }

    fn run(&self, words: &[&str]) -> Run {
        let mut command = self.home.command(words);
        command.env("HEARTHKEEP_CONFIG", &self.settings);
        command.output().expect("the program can be started").into()
    }

    fn json(&self, words: &[&str]) -> Value {
        self.run(&[&["--json"], words].concat()).ends(0).json()
    }

    /// Makes a backup of this job, and gives its slug.
    fn backup(&self, words: &[&str]) -> String {
        let report = self.json(&[&["backup"], words].concat());
        report["slug"].as_str().expect("a slug").to_owned()
    }

    /// The slugs of a job's store, oldest first.
    fn slugs(&self, words: &[&str]) -> Vec<String> {
        slugs(&self.json(&[&["list"], words].concat())["backups"])
    }
}

fn slugs(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|it| it["slug"].as_str().expect("a slug").to_owned()).collect()
}

fn secret(home: &Home, name: &str, content: &str) -> String {
    let path = home.write(name, content);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    path.display().to_string()
}

#[test]
fn two_profiles_differ_in_items_store_and_password() {
    let jobs = Jobs::new("profiles", |home| {
        home.companion("broker", &[]);
        let (one, two) = (secret(home, "one", "hunter1"), secret(home, "two", "hunter2"));
        let [full, small] = ["full", "small"].map(|it| home.bench.folder(it).display().to_string());
        format!(
            "password-file: {one}\nprofiles:\n  full:\n    store: {full}\n  small:\n    store: {small}\n    password-file: {two}\n    only: broker\n    name: The broker\n    level: 9\n"
        )
    });
    let full = jobs.json(&["backup", "--profile", "full"]);
    let small = jobs.json(&["--profile", "small", "backup"]);
    assert_eq!(small["name"], "The broker");
    for (report, profile, items) in
        [(&full, "full", &["homeassistant", "broker"][..]), (&small, "small", &["broker"])]
    {
        let shown = jobs.json(&["list", "--profile", profile]);
        let listed = &shown["backups"][0];
        assert_eq!(shown["backups"].as_array().map(Vec::len), Some(1), "{shown}");
        assert_eq!((&listed["slug"], &listed["profile"]), (&report["slug"], &profile.into()));
        assert_eq!(listed["items"], Value::from(items), "{listed}");
        assert_eq!(listed["protected"], true);
        let slug = report["slug"].as_str().expect("a slug");
        jobs.run(&["verify", slug, "--profile", profile]).ends(0);
    }
    // Each opens with its own password alone.
    let path = small["path"].as_str().expect("a path");
    jobs.run(&["verify", path, "--profile", "full"]).ends(12);
    jobs.run(&["verify", path, "--profile", "small"]).ends(0);

    let run = jobs.run(&["backup", "--profile", "fulll"]).ends(2);
    assert!(
        run.error().contains("no profile fulll") && run.error().contains("probably full"),
        "{run:?}"
    );
}

#[test]
fn a_backup_makes_room_for_itself_and_takes_nobody_elses() {
    let jobs = Jobs::new("keeps", |home| {
        let store = home.bench.folder("store").display().to_string();
        format!(
            "store: {store}\nprofiles:\n  short:\n    keep: {{ last: 2 }}\n  other:\n    keep: {{ last: 1 }}\n"
        )
    });
    let store = jobs.home.bench.path().join("store");
    let short = ["--profile", "short"];
    // None of these is of the job: another's, the one without a name, by hand, foreign, damaged.
    let mut stay = vec![jobs.backup(&["--profile", "other"]), jobs.backup(&[])];
    stay.push(jobs.backup(&["--profile", "short", "--name", "Before the change"]));
    stay.push(jobs.backup(&["--profile", "short", "--only", "homeassistant"]));
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    fs::copy(archives.join("core_plain_gz.tar"), store.join("foreign.tar")).expect("a copy");
    fs::copy(archives.join("hearthkeep_plain_gz.tar"), store.join("older.tar")).expect("a copy");
    File::create(store.join("damaged.tar")).expect("a file");

    let first = jobs.backup(&short);
    let second = jobs.backup(&short);
    let report = jobs.json(&[&["backup"], &short[..]].concat());
    let third = report["slug"].as_str().expect("a slug").to_owned();
    assert_eq!(report["pruned"].as_array().map(Vec::len), Some(1), "{report}");
    let left = jobs.slugs(&[]);
    assert!(!left.contains(&first), "{left:?}");
    for it in [&stay[..], &[second.clone(), third.clone()]].concat() {
        assert!(left.contains(&it), "{it}: {left:?}");
    }
    for it in ["foreign.tar", "older.tar", "damaged.tar"] {
        assert!(store.join(it).exists(), "{it}");
    }

    // Pinned it stays, and takes nobody's place but its own.
    let run = jobs.run(&["pin", &second]).ends(0);
    assert!(run.stdout.contains(&format!("pinned {second}")), "{run:?}");
    jobs.run(&["pin", &second]).ends(0);
    assert!(jobs.run(&["list"]).ends(0).stdout.contains("(pinned)"));
    let fourth = jobs.backup(&short);
    let fifth = jobs.backup(&short);
    let left = jobs.slugs(&[]);
    assert!(left.contains(&second) && left.contains(&fourth) && left.contains(&fifth), "{left:?}");
    assert!(!left.contains(&third), "{left:?}");
    jobs.run(&["unpin", &second]).ends(0);

    // On its own it does the same: first it only says so.
    let dry = jobs.json(&["prune", "--dry-run"]);
    assert_eq!(slugs(&dry["removed"]), std::slice::from_ref(&second));
    assert_eq!(dry["kept"].as_array().map(Vec::len), Some(3), "{dry}");
    assert_eq!(dry["kept"][0]["reasons"], Value::from(vec!["newest", "last"]), "{dry}");
    assert_eq!(jobs.slugs(&[]), left);
    let run = jobs.run(&["prune", "--profile", "other"]).ends(0);
    assert!(run.stdout.contains("nothing to remove; 1 kept"), "{run:?}");
    // What a boot test has shown of it goes with it.
    let path = dry["removed"][0]["path"].as_str().expect("a path");
    let note = format!("{path}.boot.json");
    File::create(&note).expect("it is ours");
    let run = jobs.run(&["prune"]).ends(0);
    assert!(!Path::new(&note).exists());
    assert!(run.stdout.contains(&format!("removed  {second}")), "{run:?}");
    assert!(!jobs.slugs(&[]).contains(&second));
    for it in [stay, vec![fourth, fifth]].concat() {
        assert!(jobs.slugs(&[]).contains(&it), "{it}");
    }
    // What the settings do not say is not guessed.
    let run = jobs.home.hearthkeep(&["prune"]).ends(2);
    assert!(run.error().contains("do not say what is kept"), "{run:?}");
}

#[test]
fn a_home_beside_this_one_keeps_its_backups() {
    let jobs = Jobs::new("mine", |home| {
        format!("store: {}\nkeep: {{ last: 1 }}\n", home.bench.folder("store").display())
    });
    let theirs = Home::new("theirs");
    let mut command = theirs.command(&["--json", "backup"]);
    command.env("HEARTHKEEP_CONFIG", &jobs.settings);
    let report = Run::from(command.output().expect("it runs")).ends(0).json();
    let slug = report["slug"].as_str().expect("a slug").to_owned();
    jobs.backup(&[]);
    jobs.backup(&[]);
    let left = jobs.slugs(&[]);
    assert!(left.len() == 2 && left.contains(&slug), "{left:?}");
}

#[test]
fn a_pin_goes_with_its_backup_and_with_nothing_else() {
    let jobs = Jobs::new("pin", |_| "keep: { last: 1 }\n".to_owned());
    let slug = jobs.backup(&[]);
    jobs.run(&["pin", &slug]).ends(0);
    let pin = jobs.home.config().join("backups").join(format!("{slug}.pinned"));
    let text = fs::read_to_string(&pin).expect("it lies beside the backup");
    assert!(text.contains(&format!("hearthkeep unpin {slug}")), "{text}");
    jobs.run(&["pin", "0badcafe"]).ends(10);
    let shown = jobs.run(&["show", &slug]).ends(0);
    assert!(shown.stdout.contains("stays until it is unpinned"), "{shown:?}");
    // Whoever removes it means it.
    jobs.run(&["remove", &slug]).ends(0);
    assert!(!pin.exists());
}

#[test]
fn what_cannot_be_pruned_is_a_warning_of_a_backup_that_is_made() {
    let jobs = Jobs::new("stuck", |_| "keep: { last: 1 }\n".to_owned());
    let first = jobs.json(&["backup"]);
    let path = first["path"].as_str().expect("a path");
    // Not even root removes such a file.
    let flag = |flag: &str| {
        let status = std::process::Command::new("chattr").args([flag, path]).status();
        assert!(status.expect("chattr is installed").success(), "chattr {flag} {path}");
    };
    flag("+i");
    let run = jobs.run(&["--json", "backup"]);
    flag("-i");
    let report = run.ends(3).json();
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("older backups were not pruned") && warnings.contains(path),
        "{report}"
    );
    assert!(Path::new(report["path"].as_str().expect("a path")).exists());
    // The next one makes up for it.
    assert_eq!(jobs.json(&["backup"])["pruned"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_backup_says_which_job_made_it() {
    let jobs = Jobs::new("says", |_| "profiles:\n  night:\n".to_owned());
    let report = jobs.json(&["backup", "--profile", "night"]);
    let shown = jobs.json(&["show", report["slug"].as_str().expect("a slug")]);
    let text = shown["metadata"].to_string();
    let job = Metadata::parse(&text).expect("metadata").hearthkeep.and_then(|it| it.job);
    let job = job.expect("a job");
    let home = format!("{}/homeassistant", jobs.home.project);
    assert_eq!((job.profile.as_str(), job.home.as_str()), ("night", home.as_str()));
}
