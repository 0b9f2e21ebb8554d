//! A sidecar that mounts the engine's socket, a folder for backups and its state, and nothing else:
//! what it cannot reach is done by job containers.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::holds::endless;
use crate::signals::Running;
use crate::support::home::{Home, bind, tool, write};
use crate::support::{Run, docker, wait_until};

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

    /// One that serves.
    fn serving(home: &Home) -> Sidecar {
        let socket = ["--env", "HEARTHKEEP_SOCKET=/tmp/hearthkeep.sock"];
        let sidecar = Sidecar::running(home, &socket, "/hearthkeep", "serve");
        sidecar.is_up();
        sidecar
    }

    fn is_up(&self) {
        let answers = || self.hearthkeep(&["--json", "status"]).json()["daemon"].is_object();
        wait_until("the daemon answers", answers);
    }

    /// The same, with more words for `docker run`.
    fn with(home: &Home, options: &[&str]) -> Sidecar {
        Sidecar::running(home, options, "/bin/sleep", "infinity")
    }

    fn running(home: &Home, options: &[&str], program: &str, word: &str) -> Sidecar {
        let entrypoint = program;
        let state = home.bench.folder("state");
        let program = format!("{}:/hearthkeep:ro", env!("CARGO_BIN_EXE_hearthkeep"));
        let of_home = format!("HEARTHKEEP_HOME={}", home.homeassistant());
        let mut all: Vec<String> =
            ["--entrypoint", entrypoint, "--label", "org.opencontainers.image.title=hearthkeep"]
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
        let name = home.run("hearthkeep", &all, IMAGE, &[word]);
        Sidecar { name, state }
    }

    /// The program in it.
    fn command(&self, arguments: &[&str]) -> Command {
        self.command_with(&[], arguments)
    }

    /// The same, with variables.
    fn command_with(&self, variables: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("exec").args(variables.iter().flat_map(|it| ["--env", it]));
        command.args([&self.name, "/hearthkeep"]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Sends a signal to the program that waits in the sidecar for its job container.
    fn signal(&self, signal: &str) {
        let table = docker(&["top", &self.name, "-eo", "pid,args"]);
        let is_relay = |it: &&str| it.contains("hearthkeep ") && !it.contains("serve");
        let relay = table.lines().find(is_relay);
        let pid = relay.and_then(|it| it.split_whitespace().next());
        tool("kill", &["-s", signal, pid.expect("it runs")]);
    }

    /// The one job container, once it is there.
    fn job(&self) -> String {
        wait_until("a job container is there", || !self.jobs().is_empty());
        self.jobs().remove(0)
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

/// A home whose backup takes some seconds before anything is held.
fn slow_home(what: &str) -> Home {
    let home = Home::new(what);
    let data = bind(&home.bench.folder("slow"), "/data");
    let options = ["--volume", &data, "--label", "hearthkeep.before=sleep 3"];
    let all = [&options[..], &["--entrypoint", "/bin/sleep"]].concat();
    home.run("slow", &all, IMAGE, &["infinity"]);
    home
}

const HOOKS: &str = "running the hooks of containers";

fn list(home: &Home) -> usize {
    let store = home.bench.path().join("backups").display().to_string();
    let list = home.hearthkeep(&["--json", "--store", &store, "list"]).ends(0).json();
    list["backups"].as_array().map_or(0, Vec::len)
}

fn is_over(container: &str) -> bool {
    docker(&["inspect", "--format", "{{.State.Status}}", container]) == "exited"
}

#[test]
fn a_job_container_sees_what_it_backs_up_and_cannot_write_it() {
    let home = slow_home("outpost-mounts");
    let sidecar = Sidecar::beside(&home);
    let mut backup = Running::start(sidecar.command(&["backup"]));
    backup.wait_for(HOOKS);
    let job = sidecar.job();
    let template = "{{range .Mounts}}{{.Source}} {{.Destination}} {{.RW}}\n{{end}}";
    let mounts = docker(&["inspect", "--format", template, &job]);
    let config = home.config().display().to_string();
    assert!(mounts.contains(&format!("{config} /mounts{config} false")), "{mounts}");
    let backups = home.bench.path().join("backups").display().to_string();
    assert!(mounts.contains(&format!("{backups} /backups true")), "{mounts}");
    let labels = docker(&["inspect", "--format", "{{json .Config.Labels}}", &job]);
    assert!(labels.contains("\"hearthkeep.enable\":\"false\""), "{labels}");
    // While it works, nothing else does, and whoever asks is told where.
    let busy = sidecar.hearthkeep(&["backup"]).ends(11);
    assert!(busy.error().contains(&job), "{busy:?}");
    let busy = sidecar.hearthkeep(&["resume"]).ends(11);
    assert!(busy.error().contains(&job), "{busy:?}");
    assert_eq!(backup.code(), 0);
    assert_eq!((list(&home), sidecar.jobs().len()), (1, 0));
}

#[test]
fn a_job_container_that_is_no_run_is_in_nobodys_way() {
    let home = Home::new("outpost-looks");
    let sidecar = Sidecar::beside(&home);
    // One that only looks, and one that somebody is about to start.
    let state = format!("hearthkeep.state={}", sidecar.state.display());
    let labels = ["--label", "hearthkeep.job=7", "--label", &state, "--label"];
    let all = [&labels[..], &["hearthkeep.enable=false", "--entrypoint", "/bin/sleep"]].concat();
    let looks = home.run("looks", &all, IMAGE, &["infinity"]);
    let about = format!("{looks}-about");
    let made = [&["create", "--name", &about], &all[..], &[IMAGE, "infinity"]].concat();
    docker(&made);
    sidecar.hearthkeep(&["backup"]).ends(0);
    sidecar.hearthkeep(&["resume"]).ends(0);
    assert_eq!((list(&home), sidecar.jobs().len()), (1, 2));
    assert_eq!(docker(&["inspect", "--format", "{{.State.Status}}", &about]), "created");
    assert!(!is_over(&looks));
}

#[test]
fn a_job_outlives_whoever_waits_for_it() {
    let home = slow_home("outpost-outlives");
    for (n, signal) in ["KILL", "TERM"].into_iter().enumerate() {
        let sidecar = Sidecar::beside(&home);
        let mut backup = Running::start(sidecar.command(&["backup"]));
        backup.wait_for(HOOKS);
        let job = sidecar.job();
        sidecar.signal(signal);
        assert_eq!(backup.code(), if signal == "KILL" { 137 } else { 130 });
        assert!(!is_over(&job), "after {signal}");
        wait_until("it has ended", || is_over(&job));
        assert_eq!((list(&home), home.state("homeassistant").as_str()), (n + 1, "running"));
        let recovered = sidecar.hearthkeep(&["--json", "resume"]).ends(0).json();
        let finished = &recovered["finished"][0];
        assert_eq!((&finished["container"], &finished["exit_code"]), (&job.into(), &0.into()));
        assert_eq!(sidecar.jobs(), [""; 0]);
        docker(&["rm", "--force", &sidecar.name]);
    }
    // And the sidecar itself.
    let sidecar = Sidecar::beside(&home);
    let mut backup = Running::start(sidecar.command(&["backup"]));
    backup.wait_for(HOOKS);
    let job = sidecar.job();
    docker(&["rm", "--force", &sidecar.name]);
    wait_until("it has ended", || is_over(&job));
    assert_eq!((list(&home), home.state("homeassistant").as_str()), (3, "running"));
    // Its next one finds what is left, and goes on.
    let sidecar = Sidecar::beside(&home);
    sidecar.hearthkeep(&["backup"]).ends(0);
    assert_eq!((list(&home), sidecar.jobs().len()), (4, 0));
}

/// Within this, whoever waits for a job container has released what it held.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn what_a_killed_job_container_held_goes_on() {
    let home = Home::new("outpost-killed");
    home.companion("stopper", &["--label", "hearthkeep.hold=stop"]);
    endless(&home);
    let sidecar = Sidecar::beside(&home);
    let staging = ["HEARTHKEEP_STAGING=/proc"];
    let deaths: [&[&str]; 2] = [&["kill"], &["rm", "--force"]];
    for death in deaths {
        let mut backup = Running::start(sidecar.command_with(&staging, &["backup"]));
        backup.wait_for("archiving homeassistant");
        assert_eq!(home.state("homeassistant"), "paused");
        let job = sidecar.job();
        let since = Instant::now();
        docker(&[death, &[job.as_str()]].concat());
        let (code, said) = backup.finish();
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(&job) && said.contains("released"), "{said}");
        assert_eq!(home.state("homeassistant"), "running");
        assert_eq!(home.state("stopper"), "running");
        assert_eq!(fs::read_dir(home.bench.path().join("backups")).expect("the store").count(), 0);
        assert_eq!(sidecar.jobs(), [""; 0]);
    }
}

#[test]
fn a_cancelled_job_container_ends_in_good_order() {
    let home = Home::new("outpost-cancelled");
    endless(&home);
    let sidecar = Sidecar::beside(&home);
    let staging = ["HEARTHKEEP_STAGING=/proc"];
    let mut backup = Running::start(sidecar.command_with(&staging, &["backup"]));
    backup.wait_for("archiving homeassistant");
    let status = sidecar.hearthkeep(&["--json", "status"]).json();
    assert_eq!(
        (&status["running_container"], &status["open"]),
        (&sidecar.job().into(), &true.into())
    );
    assert!(!status["findings"].to_string().contains("hearthkeep resume"), "{status}");
    let since = Instant::now();
    sidecar.signal("INT");
    let (code, said) = backup.finish();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("cancelled"), "{said}");
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(fs::read_dir(home.bench.path().join("backups")).expect("the store").count(), 0);
    assert_eq!(sidecar.jobs(), [""; 0]);
}

/// A home of a volume, a folder and a file that is mounted on its own.
fn home_of_all_mounts(what: &str) -> (Home, PathBuf) {
    let home = Home::new(what);
    let data = home.volume("data");
    let file = bind(&home.write("broker-conf/mosquitto.conf", "old"), "/conf/mosquitto.conf");
    home.companion("broker", &["--volume", &format!("{data}:/log"), "--volume", &file]);
    home.write("broker/file", "old");
    let folder = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &data]);
    write(&PathBuf::from(&folder).join("log"), "old");
    (home, folder.into())
}

fn contents(home: &Home, volume: &std::path::Path) -> Vec<String> {
    let read = |it: PathBuf| fs::read_to_string(it).unwrap_or_default();
    let bench = home.bench.path();
    let paths = ["broker/file", "broker-conf/mosquitto.conf", "config/configuration.yaml"];
    let mut all: Vec<String> = paths.iter().map(|it| read(bench.join(it))).collect();
    all.push(read(volume.join("log")));
    all
}

fn change(home: &Home, volume: &std::path::Path) {
    // As a program does it that replaces nothing: another inode would not show in the container.
    for path in ["broker/file", "broker-conf/mosquitto.conf", "config/configuration.yaml"] {
        home.write(path, "new");
    }
    write(&volume.join("log"), "new");
}

#[test]
fn a_restore_comes_back_in_every_mount_and_everything_runs() {
    let (home, volume) = home_of_all_mounts("outpost-restore");
    let sidecar = Sidecar::beside(&home);
    let was = contents(&home, &volume);
    let report = sidecar.hearthkeep(&["--json", "backup"]).ends(0).json();
    let slug = report["slug"].as_str().expect("a slug");
    change(&home, &volume);
    let now = contents(&home, &volume);
    assert_ne!(was, now);

    let refused = sidecar.hearthkeep(&["restore", slug]).ends(2);
    assert!(refused.error().contains("say --yes"), "{refused:?}");
    let preview = sidecar.hearthkeep(&["--json", "restore", slug, "--dry-run"]).ends(0).json();
    assert_eq!(preview["problems"].as_array().map(Vec::len), Some(0), "{preview}");
    assert_eq!(contents(&home, &volume), now);
    let started = home.started("homeassistant");
    let run = sidecar.hearthkeep(&["restore", slug, "--yes"]).ends(0);
    assert!(run.stdout.contains("restored homeassistant, broker"), "{run:?}");
    assert_eq!(contents(&home, &volume), was);
    assert_ne!(home.started("homeassistant"), started);
    assert_eq!(home.state("broker"), "running");
    assert_eq!(sidecar.jobs(), [""; 0]);
}

#[test]
fn a_restore_whose_job_container_dies_is_taken_back() {
    let (home, volume) = home_of_all_mounts("outpost-swap");
    let sidecar = Sidecar::beside(&home);
    let report = sidecar.hearthkeep(&["--json", "backup"]).ends(0).json();
    let slug = report["slug"].as_str().expect("a slug");
    change(&home, &volume);
    let now = contents(&home, &volume);
    for rename in ["1", "3", "6"] {
        let at = format!("HEARTHKEEP_TEST_ABORT_AT_RENAME={rename}");
        let mut command = sidecar.command_with(&[&at], &["restore", slug, "--yes"]);
        let run = Run::from(command.output().expect("docker is installed")).ends(1);
        assert!(run.error().contains(&format!("took back the restore of {slug}")), "{run:?}");
        assert_eq!(contents(&home, &volume), now, "at rename {rename}");
        assert_eq!(home.state("homeassistant"), "running");
        assert_eq!(home.state("broker"), "running");
        assert_eq!(sidecar.jobs(), [""; 0]);
    }
    sidecar.hearthkeep(&["restore", slug, "--yes"]).ends(0);
}

#[test]
fn a_password_reaches_its_job_and_nobody_else() {
    const PASSWORD: &str = "correct horse battery";
    let home = slow_home("outpost-password");
    // In the sidecar's own layer, where no job container sees it.
    let sidecar = Sidecar::with(&home, &["--env", "HEARTHKEEP_PASSWORD_FILE=/etc/password"]);
    let script = format!("umask 077; printf '%s' '{PASSWORD}' > /etc/password");
    docker(&["exec", &sidecar.name, "/bin/sh", "-c", &script]);
    let mut backup = Running::start(sidecar.command(&["backup"]));
    backup.wait_for(HOOKS);
    let inspected = docker(&["inspect", &sidecar.job()]);
    assert!(!inspected.contains(PASSWORD) && !inspected.contains("/etc/password"), "{inspected}");
    assert_eq!(backup.code(), 0);
    let list = sidecar.hearthkeep(&["--json", "list"]).ends(0).json();
    let slug = list["backups"][0]["slug"].as_str().expect("a slug").to_owned();
    assert_eq!(list["backups"][0]["protected"], true, "{list}");
    // By a variable, which the sidecar has and its job container does not get.
    let variable = format!("HEARTHKEEP_PASSWORD={PASSWORD}");
    let variables = ["HEARTHKEEP_PASSWORD_FILE=", &variable];
    let mut command = sidecar.command_with(&variables, &["restore", &slug, "--yes"]);
    Run::from(command.output().expect("docker is installed")).ends(0);
    let variables = ["HEARTHKEEP_PASSWORD_FILE="];
    let mut command = sidecar.command_with(&variables, &["restore", &slug, "--yes"]);
    Run::from(command.output().expect("docker is installed")).ends(12);
}

#[test]
fn what_would_be_lost_with_the_container_is_refused() {
    let home = Home::new("outpost-lost");
    let sidecar = Sidecar::beside(&home);
    let run = |variable: &str| {
        let mut command = sidecar.command_with(&[variable], &["backup"]);
        Run::from(command.output().expect("docker is installed")).ends(1)
    };
    let state = run("HEARTHKEEP_STATE=/var/lib/hearthkeep");
    assert!(state.error().contains("mount a volume at /var/lib/hearthkeep"), "{state:?}");
    let store = run("HEARTHKEEP_STORE=/var/backups");
    assert!(store.error().contains("mount a folder at /var/backups"), "{store:?}");
    assert_eq!(sidecar.jobs(), [""; 0]);
    // Without a store the home's own is one.
    let mut command = sidecar.command_with(&["HEARTHKEEP_STORE="], &["backup"]);
    Run::from(command.output().expect("docker is installed")).ends(0);
    assert_eq!(home.store().len(), 1);
}

#[test]
fn when_everybody_is_killed_the_next_sidecar_puts_the_old_home_back() {
    let (home, volume) = home_of_all_mounts("outpost-both");
    let sidecar = Sidecar::beside(&home);
    let report = sidecar.hearthkeep(&["--json", "backup"]).ends(0).json();
    let slug = report["slug"].as_str().expect("a slug");
    change(&home, &volume);
    let now = contents(&home, &volume);
    // Long enough to be killed before anything is proved.
    let words = ["restore", slug, "--yes", "--settle", "60"];
    for next in ["resume", "backup"] {
        let mut restore = Running::start(sidecar.command(&words));
        restore.wait_for("waiting for Home Assistant");
        let job = sidecar.job();
        sidecar.signal("KILL");
        docker(&["kill", &job]);
        assert_eq!(restore.code(), 137);
        assert_ne!(contents(&home, &volume), now);
        let run = sidecar.hearthkeep(&["--json", next]).ends(3);
        assert!(run.stdout.contains(slug), "{run:?}");
        assert_eq!(contents(&home, &volume), now, "{next}");
        assert_eq!(home.state("homeassistant"), "running");
        assert_eq!(home.state("broker"), "running");
        assert_eq!(sidecar.jobs(), [""; 0]);
    }
}

#[test]
fn a_job_that_goes_on_can_be_followed_again() {
    let home = slow_home("outpost-follow");
    let sidecar = Sidecar::beside(&home);
    let mut backup = Running::start(sidecar.command(&["backup"]));
    backup.wait_for(HOOKS);
    let job = sidecar.job();
    sidecar.signal("KILL");
    assert_eq!(backup.code(), 137);
    let run = sidecar.hearthkeep(&["follow", &job]).ends(0);
    assert!(run.stdout.contains("backed up"), "{run:?}");
    assert!(run.stderr.contains("looking at the home"), "from its first line on: {run:?}");
    assert_eq!((list(&home), sidecar.jobs().len()), (1, 0));
    sidecar.hearthkeep(&["follow", &job]).ends(1);
}

#[test]
fn a_person_is_asked_before_a_job_container_restores() {
    let (home, volume) = home_of_all_mounts("outpost-asked");
    let sidecar = Sidecar::beside(&home);
    let was = contents(&home, &volume);
    sidecar.hearthkeep(&["backup"]).ends(0);
    change(&home, &volume);
    let now = contents(&home, &volume);
    for (answer, code, wanted) in [("n\n", 130, &now), ("y\n", 0, &was)] {
        // A terminal by `script`, which `docker exec` passes on.
        let line = format!("docker exec -it {} /hearthkeep --quiet restore newest", sidecar.name);
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is installed");
        let mut stdin = child.stdin.take().expect("it is piped");
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains("[y/N]") {
            let mut piece = [0; 4096];
            let n = std::io::Read::read(&mut stdout, &mut piece).expect("it talks");
            assert!(n > 0, "it ended: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&piece[..n]);
        }
        let text = String::from_utf8_lossy(&said).into_owned();
        assert!(text.contains("replaces"), "{text}");
        if code == 0 {
            // The one that was shown is meant, and not this one.
            sidecar.hearthkeep(&["backup"]).ends(0);
        }
        std::io::Write::write_all(&mut stdin, answer.as_bytes()).expect("it listens");
        std::io::Read::read_to_end(&mut stdout, &mut said).expect("it talks");
        let ended = child.wait().expect("it is ours").code();
        assert_eq!(ended, Some(code), "{}", String::from_utf8_lossy(&said));
        assert_eq!(&contents(&home, &volume), wanted);
    }
    assert_eq!(sidecar.jobs(), [""; 0]);
}

#[test]
fn a_backup_is_booted_and_compared_and_checked_from_a_sidecar() {
    let home = Home::new("outpost-boot");
    home.companion("broker", &[]);
    home.write("broker/file", "as backed up");
    let sidecar = Sidecar::beside(&home);
    let report = sidecar.hearthkeep(&["--json", "backup"]).ends(0).json();
    let slug = report["slug"].as_str().expect("a slug");
    home.write("broker/file", "another");
    let diff = sidecar.hearthkeep(&["diff", slug, "live"]).ends(0);
    assert!(diff.stdout.contains("~ ") && diff.stdout.contains("file"), "{diff:?}");
    let check = sidecar.hearthkeep(&["--json", "check"]);
    let findings = check.json()["findings"].to_string();
    assert!(!findings.contains("out of reach"), "{findings}");
    let boot = sidecar.hearthkeep(&["verify", slug, "--boot"]);
    assert!(boot.stdout.contains("boots"), "{boot:?}");
    assert_eq!(sidecar.jobs(), [""; 0]);
}

#[test]
fn a_daemon_listens_again_to_what_goes_on_without_it() {
    let home = slow_home("outpost-served");
    let sidecar = Sidecar::serving(&home);
    // Its listener is killed: another one takes its place.
    let mut backup = Running::start(sidecar.command(&["backup"]));
    backup.wait_for(HOOKS);
    let table = docker(&["top", &sidecar.name, "-eo", "pid,args"]);
    let words = |it: &str| it.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut relays = table.lines().map(words).filter(|it| it[1] == "hearthkeep");
    let relay = relays.next().expect("it waits for its job container");
    tool("kill", &["-s", "KILL", &relay[0]]);
    let (code, said) = backup.finish();
    assert_eq!(code, 0, "{said}");
    assert_eq!((list(&home), sidecar.jobs().len()), (1, 0));

    // The daemon itself is killed, and comes back.
    let mut backup = Running::start(sidecar.command(&["backup"]));
    backup.wait_for(HOOKS);
    let job = sidecar.job();
    docker(&["kill", &sidecar.name]);
    assert_ne!(backup.code(), 0);
    docker(&["start", &sidecar.name]);
    sidecar.is_up();
    wait_until("its job container is gone", || sidecar.jobs().is_empty());
    assert_eq!((list(&home), home.state("homeassistant").as_str()), (2, "running"));
    let log = docker(&["logs", &sidecar.name]);
    assert!(log.is_empty() || !log.contains("panicked"), "{log}");
    assert!(!job.is_empty());
    sidecar.hearthkeep(&["backup"]).ends(0);
    assert_eq!((list(&home), sidecar.jobs().len()), (3, 0));
}

/// The folder of backups may lie in what is backed up, and be mounted on its own.
#[test]
fn a_store_inside_the_home_is_neither_backed_up_nor_replaced() {
    let home = Home::new("outpost-inside");
    home.write("config/kept/notes.txt", "a note");
    let sidecar = Sidecar::with(&home, &["--volume", &bind(&home.config().join("kept"), "/kept")]);
    let run = |words: &[&str], code| {
        let mut command = sidecar.command_with(&["HEARTHKEEP_STORE=/kept"], words);
        Run::from(command.output().expect("docker is installed")).ends(code)
    };
    run(&["backup"], 0);
    let report = run(&["--json", "backup"], 0).json();
    let slug = report["slug"].as_str().expect("a slug");
    let files = run(&["ls", slug], 0).stdout;
    assert!(files.contains("kept/notes.txt") && !files.contains(".tar"), "{files}");
    home.write("config/kept/notes.txt", "another");
    run(&["restore", slug, "--yes"], 0);
    assert_eq!(home.read("config/kept/notes.txt").as_deref(), Some("another"));
    let list = run(&["--json", "list"], 0).json();
    assert_eq!(list["backups"].as_array().map(Vec::len), Some(2), "{list}");
}
