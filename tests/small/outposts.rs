//! A sidecar that mounts the engine's socket, a folder for backups and its state, and nothing else:
//! what it cannot reach is done by job containers.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::home::{Home, bind, write};
use crate::support::{Run, docker};

/// An image in which the program under test runs.
const IMAGE: &str = "hearthkeep-lab/mosquitto:2";

/// The program in a container beside a home.
struct Sidecar {
    name: String,
    state: PathBuf,
}

impl Sidecar {
    fn beside(home: &Home) -> Sidecar {
        Sidecar::with(home, &[])
    }

    /// The same, with more words for `docker run`.
    fn with(home: &Home, options: &[&str]) -> Sidecar {
        let state = home.bench.folder("state");
        let program = format!("{}:/hearthkeep:ro", env!("CARGO_BIN_EXE_hearthkeep"));
        let of_home = format!("HEARTHKEEP_HOME={}", home.homeassistant());
        let mut all: Vec<String> =
            ["--entrypoint", "/bin/sleep", "--label", "org.opencontainers.image.title=hearthkeep"]
                .map(str::to_owned)
                .into();
        for volume in [
            program,
            "/var/run/docker.sock:/var/run/docker.sock".to_owned(),
            bind(&home.bench.folder("backups"), "/backups"),
            bind(&state, "/state"),
        ] {
            all.extend(["--volume".to_owned(), volume]);
        }
        for variable in ["HEARTHKEEP_STATE=/state", "HEARTHKEEP_STORE=/backups", &of_home] {
            all.extend(["--env".to_owned(), variable.to_owned()]);
        }
        all.extend(options.iter().map(|it| (*it).to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let name = home.run("hearthkeep", &all, IMAGE, &["infinity"]);
        Sidecar { name, state }
    }

    /// The program in it.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", &self.name, "/hearthkeep"]).args(arguments).stdin(Stdio::null());
        command
    }

    fn hearthkeep(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("docker is installed").into()
    }

    /// The names of the job containers that there are.
    fn jobs(&self) -> Vec<String> {
        let state = format!("label=hearthkeep.state={}", self.state.display());
        let names = docker(&["ps", "--all", "--filter", &state, "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // Nothing may panic in here. What a job container holds it lets go of when it is stopped.
        let state = format!("label=hearthkeep.state={}", self.state.display());
        let listed = Command::new("docker").args(["ps", "-aq", "--filter", &state]).output();
        let ids = listed.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        for id in ids.unwrap_or_default().lines() {
            _ = Command::new("docker").args(["stop", id]).output();
            _ = Command::new("docker").args(["rm", "--force", id]).output();
        }
    }
}

fn items(report: &Value) -> Vec<&str> {
    let items = report["items"].as_array().into_iter().flatten();
    items.filter_map(|it| it["item"].as_str()).collect()
}

#[test]
fn what_the_sidecar_does_not_reach_is_backed_up_all_the_same() {
    let home = Home::new("outpost");
    let data = home.volume("data");
    home.run("bridge", &["--volume", &format!("{data}:/data")], crate::support::home::IMAGE, &[]);
    let folder = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &data]);
    write(&PathBuf::from(folder).join("devices"), "in a volume");
    home.companion("broker", &[]);
    home.write("broker/file", "in a folder");
    let sidecar = Sidecar::beside(&home);

    let plan = sidecar.hearthkeep(&["--json", "plan"]).ends(0).json();
    assert_eq!(items(&plan), ["homeassistant", "bridge", "broker"], "{plan}");
    assert_eq!(plan["store"], "/backups");
    let run = sidecar.hearthkeep(&["--json", "backup"]).ends(0);
    assert!(run.stderr.contains("archiving homeassistant"), "{}", run.stderr);
    let report = run.json();
    let path = report["path"].as_str().expect("a report has a path");
    let name = path.strip_prefix("/backups/").expect("it is in the store");
    let file = home.bench.path().join("backups").join(name);
    for (path, content) in [
        ("bridge/mounts/data/devices", "in a volume"),
        ("broker/mounts/data/file", "in a folder"),
        ("homeassistant/data/configuration.yaml", "default_config:\n"),
    ] {
        let file = file.to_str().expect("a plain path");
        assert_eq!(home.hearthkeep(&["cat", file, path]).ends(0).stdout.trim(), content.trim());
    }
    assert_eq!(sidecar.jobs(), [""; 0]);
    // What it writes itself, it writes where the sidecar does.
    assert!(sidecar.state.join("journal.jsonl").exists());
    assert_eq!(fs::read_dir(home.config()).expect("it is there").count(), 2, "nothing was left");
    let mounted = home.inspect("hearthkeep", "{{range .Mounts}}{{.Destination}} {{end}}");
    assert!(!mounted.contains("/mounts") && !mounted.contains("/config"), "{mounted}");
}
