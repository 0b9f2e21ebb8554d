//! The newest Home Assistant, which can read every format. It is only made to restore, by itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{LABEL, Run, secured};

pub(crate) const IMAGE: &str = "hearthkeep-lab/homeassistant:2026.11.0";

/// Files by their paths in the configuration, with the SHA-256 of what they hold.
pub(crate) type Files = BTreeMap<PathBuf, String>;

/// Where Home Assistant looks for an order to restore, and says how that went.
const ORDER: &str = ".HA_RESTORE";
const RESULT: &str = ".HA_RESTORE_RESULT";

/// What is there before.
const OLD: &str = "old.yaml";

/// Restores a backup and finds in it what its own library does.
pub(crate) fn restores_all(file: &Path, password: &str) {
    let read = secured::read(file, password);
    let names = read["homeassistant.tar.gz"]["names"].as_object().expect("Home Assistant is in it");
    let entry = |(name, it): (&String, &Value)| {
        let path = name.strip_prefix("data/")?;
        Some((path.into(), it[2].as_str()?.to_owned()))
    };
    let wanted: Files = names.iter().filter_map(entry).collect();
    assert!(wanted.contains_key(Path::new("configuration.yaml")), "{wanted:?}");
    assert_eq!(restores(file, Some(password)), wanted);
}

/// What a configuration holds when a backup was restored into it. Home Assistant leaves symbolic
/// links out, and whatever is called `backups`.
pub(crate) fn restores(file: &Path, password: Option<&str>) -> Files {
    let (run, result, files) = restore(file, password);
    // It asks to be started again.
    run.ends(100);
    assert_eq!(result, json!({ "success": true, "error": null, "error_type": null }));
    files
}

/// A wrong password is noticed while everything is still as it was.
pub(crate) fn refuses(file: &Path, password: Option<&str>) {
    let (run, result, files) = restore(file, password);
    let run = run.ends(1);
    assert_eq!(result["success"], false, "{}", run.stderr);
    let error = result["error_type"].as_str().expect("a text");
    assert!(
        ["InvalidPasswordError", "SecureTarReadError", "ReadError"].contains(&error),
        "{error}"
    );
    assert!(files.keys().eq([Path::new(OLD)]), "{files:?}");
}

/// Runs a script beside this file with its Python and its libraries, on files in one folder; gives
/// the JSON that it prints.
pub(crate) fn python(script: &str, folder: &Path, arguments: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/homeassistant").join(script);
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "none", "--label", LABEL]);
    command.arg("--volume").arg(format!("{}:/script.py:ro", script.display()));
    command.arg("--volume").arg(format!("{0}:{0}", folder.display()));
    command.args(["--entrypoint", "python3", IMAGE, "/script.py"]).args(arguments);
    Run::from(command.output().expect("docker is installed")).ends(0).json()
}

/// Starts it once, with the order to restore.
fn restore(file: &Path, password: Option<&str>) -> (Run, Value, Files) {
    let config = tempfile::tempdir().expect("a temporary folder can be made");
    let config = config.path();
    put(&config.join(OLD), "old");
    let order = json!({
        "path": "/backup.tar",
        "password": password,
        "remove_after_restore": false,
        "restore_database": true,
        "restore_homeassistant": true,
    });
    put(&config.join(ORDER), &order.to_string());

    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "none", "--label", LABEL]);
    command.arg("--volume").arg(format!("{}:/config", config.display()));
    command.arg("--volume").arg(format!("{}:/backup.tar:ro", file.display()));
    command.args(["--entrypoint", "python3", IMAGE, "-m", "homeassistant", "-c", "/config"]);
    let run = Run::from(command.output().expect("docker is installed"));

    let result = fs::read(config.join(RESULT));
    let result = result.unwrap_or_else(|err| panic!("no result: {err}: {}", run.stderr));
    fs::remove_file(config.join(RESULT)).expect("it is there");
    assert!(!config.join(ORDER).exists(), "it would restore again");
    let mut files = Files::new();
    add(&mut files, config, Path::new(""));
    (run, serde_json::from_slice(&result).expect("it is JSON"), files)
}

fn put(path: &Path, text: &str) {
    let mut file = File::create(path).expect("the file can be written");
    file.write_all(text.as_bytes()).expect("the file can be written");
}

fn add(files: &mut Files, root: &Path, below: &Path) {
    for entry in fs::read_dir(root.join(below)).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let name = below.join(entry.file_name());
        if entry.file_type().expect("it is there").is_dir() {
            add(files, root, &name);
            continue;
        }
        let content = fs::read(entry.path()).expect("the file can be read");
        let digest = Sha256::digest(&content).iter().map(|it| format!("{it:02x}")).collect();
        files.insert(name, digest);
    }
}
