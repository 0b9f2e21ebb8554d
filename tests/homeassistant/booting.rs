//! Whether Home Assistant would start from a backup, tried beside the one that runs.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::backup;
use super::home::Home;
use super::support::home::{tool, write};
use super::support::{Bench, Run, docker};

const SERVICES: [&str; 3] = ["homeassistant", "mosquitto", "clock"];
const DATABASE: &str = "home-assistant_v2.db";

/// A good backup boots; one with a broken database or configuration does not. The home goes on
/// counting.
pub(crate) fn tells_good_backups_from_bad_ones(home: &Home, bench: &Bench) {
    let started = SERVICES.map(|it| started(home, it));
    let good = backup(home, bench, "Good").path;
    let report = boot(home, bench, &good).ends(0).json();
    assert_eq!(report["containers"].as_array().map(Vec::len), Some(3), "{report}");
    println!("boot test: {} s", report["duration_seconds"]);

    let torn = altered(bench, &good, "torn", |config| {
        let file = File::options().write(true).open(config.join(DATABASE)).expect("a database");
        file.write_all_at(&[0x5a; 8192], 2 * 4096).expect("it can be written");
    });
    let run = boot(home, bench, &torn).ends(14);
    assert!(run.error().contains(&format!("the database data/{DATABASE}")), "{}", run.error());

    // What does not even look like a database is for Home Assistant to tell.
    let scribbled = altered(bench, &good, "scribbled", |config| {
        let mut file = File::create(config.join(DATABASE)).expect("a file");
        file.write_all(&[0x5a; 8192]).expect("it can be written");
        fs::remove_file(config.join(format!("{DATABASE}-wal"))).expect("it was written to");
    });
    let run = boot(home, bench, &scribbled).ends(1);
    let error = run.error();
    assert!(error.contains("aside") && error.contains("; its log ends: "), "{error}");

    let unreadable = altered(bench, &good, "unreadable", |config| {
        write(&config.join("configuration.yaml"), "http:\n  bad: [unclosed\n foo: : bar\n");
    });
    let run = boot(home, bench, &unreadable).ends(1);
    assert!(run.error().contains("it runs in recovery mode"), "{}", run.error());

    let filter = ["--quiet", "--filter", "label=hearthkeep.boot-test"];
    for what in [&["ps", "--all"], &["network", "ls"], &["volume", "ls"]] {
        assert_eq!(docker(&[&what[..], &filter].concat()), "", "{what:?}");
    }
    assert_eq!(SERVICES.map(|it| self::started(home, it)), started);
    let notes = [(&good, true), (&torn, false), (&scribbled, false), (&unreadable, false)];
    for (path, passed) in notes {
        let text = fs::read_to_string(format!("{}.boot.json", path.display())).expect("a note");
        let note: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(note["passed"], passed, "{note}");
    }
    // Home Assistant takes none of them for a backup.
    let info = &home.ask(&[json!({ "type": "backup/info" })])[0];
    let listed = info["backups"].as_array().expect("a list").len();
    let stored = fs::read_dir(home.config().join("backups")).expect("the store");
    let is_backup = |it: &Path| it.extension().is_some_and(|it| it == "tar");
    let stored = stored.filter(|it| is_backup(&it.as_ref().expect("an entry").path())).count();
    assert_eq!((listed, &info["agent_errors"]), (stored, &json!({})), "{info}");
}

fn started(home: &Home, service: &str) -> String {
    docker(&["inspect", "-f", "{{.State.StartedAt}}", &home.container(service)])
}

fn boot(home: &Home, bench: &Bench, backup: &Path) -> Run {
    let path = backup.display().to_string();
    bench.hearthkeep(&["verify", "--boot", &path, "--project", &home.project, "--json"])
}

/// The same backup with something else in Home Assistant's part, as others would write it: without
/// what we keep of it beside.
fn altered(bench: &Bench, backup: &Path, name: &str, alter: impl Fn(&Path)) -> PathBuf {
    let (outer, inner) = (bench.folder(name), bench.folder(&format!("{name}-inner")));
    let [outer_text, inner_text] = [&outer, &inner].map(|it| it.display().to_string());
    tool("tar", &["-xf", &backup.display().to_string(), "-C", &outer_text]);
    let part = outer.join("homeassistant.tar.gz").display().to_string();
    tool("tar", &["-xzf", &part, "-C", &inner_text]);
    alter(&inner.join("data"));
    tool("tar", &["-czf", &part, "-C", &inner_text, "."]);
    let json = outer.join("backup.json");
    let mut metadata: Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it is there")).expect("JSON");
    metadata.as_object_mut().expect("an object").remove("hearthkeep");
    write(&json, &metadata.to_string());
    let path = bench.path().join(format!("{name}.tar"));
    let path_text = path.display().to_string();
    tool("tar", &["-cf", &path_text, "-C", &outer_text, "./backup.json"]);
    for entry in fs::read_dir(&outer).expect("it is there") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name.ends_with(".tar.gz") {
            tool("tar", &["-rf", &path_text, "-C", &outer_text, &format!("./{name}")]);
        }
    }
    path
}
