//! The sidecar is killed, or replaced by a newer one, while a job of it is done.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::project::{Cast, HOME, NEVER, Project};
use crate::support::home::tool;
use crate::support::{docker, wait_until};

/// Enough to be met at any step of a backup.
const LARGE: u64 = 3 << 30;

/// Old enough not to be copied while everything runs.
const LONG_AGO: Duration = Duration::from_hours(24);

/// No room for copies: everything is held until the archive is written.
const HELD_LONG: &str = "HEARTHKEEP_STAGING=/proc";

/// Whether a job has come that far.
type IsReached = fn(&Project) -> bool;

/// A home whose backup takes some seconds.
fn large(what: &str) -> Project {
    let project = Project::up(what, Cast::Helpers, NEVER, &[]);
    let path = project.volume("homeassistant").join("large");
    let file = File::create(path).expect("a file can be made");
    // A hole is read as fast as memory, and takes no room.
    file.set_len(LARGE).expect("it can grow");
    file.write_all_at(b"end", LARGE - 3).expect("it can be written");
    let then = FileTimes::new().set_modified(SystemTime::now() - LONG_AGO);
    file.set_times(then).expect("it is ours");
    project
}

/// Somebody asks for something and does not wait for it.
fn begin(project: &Project, variables: &[&str], words: &[&str]) -> Child {
    let sidecar = project.container("hearthkeep");
    let mut command = Command::new("docker");
    command.arg("exec").args(variables.iter().flat_map(|it| ["--env", it]));
    command.args([&sidecar, "hearthkeep"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("docker is installed")
}

/// What everybody is doing.
fn states(project: &Project) -> [String; 4] {
    HOME.map(|(service, _)| project.home_state(service))
}

fn is_any(project: &Project, state: &str) -> bool {
    states(project).iter().any(|it| it == state)
}

fn is_writing(project: &Project) -> bool {
    let entries = fs::read_dir(project.home.bench.path().join("backups")).expect("a store");
    let mut names = entries.map(|it| it.expect("an entry").file_name());
    names.any(|it| it.to_string_lossy().contains(".partial"))
}

/// As the kernel does it where memory runs short. The engine starts it again by itself.
fn kill(project: &Project) {
    let pid = project.inspect("hearthkeep", "{{.State.Pid}}");
    tool("kill", &["-s", "KILL", &pid]);
}

/// The job came to its end, everybody runs, the daemon knows of it and nothing is left.
fn assert_is_over(project: &Project, when: &str) {
    wait_until(&format!("a daemon answers, {when}"), || project.answers());
    wait_until(&format!("nothing is left of the job, {when}"), || project.jobs().is_empty());
    assert_eq!(states(project), ["running"; 4], "{when}");
    assert!(!is_writing(project), "{when}");
    let status = project.try_hearthkeep(&["--json", "status"]).json();
    assert_eq!(status["open"], false, "{when}: {status}");
}

#[test]
fn a_backup_goes_on_whenever_the_sidecar_is_killed() {
    let project = large("killed");
    let phases: [(&str, &[&str], IsReached); 3] = [
        ("at its beginning", &[], |it| !it.jobs().is_empty()),
        ("in the hold", &[HELD_LONG], |it| is_any(it, "paused")),
        ("while the archive is written", &[], |it| is_writing(it) && !is_any(it, "paused")),
    ];
    for (n_before, (when, variables, is_reached)) in phases.into_iter().enumerate() {
        let mut asking = begin(&project, variables, &["backup"]);
        wait_until(when, || is_reached(&project));
        kill(&project);
        asking.wait().expect("it was started");
        assert_is_over(&project, when);
        assert_eq!(project.backups().len(), n_before + 1, "{when}");
    }
    for slug in project.backups() {
        project.try_hearthkeep(&["verify", &slug]).ends(0);
    }
}

#[test]
fn a_restore_goes_on_whenever_the_sidecar_is_killed() {
    let project = large("killed-restore");
    let slug = project.json(&["backup"])["slug"].as_str().expect("a slug").to_owned();
    let phases: [(&str, IsReached); 2] = [
        ("at its beginning", |it| !it.jobs().is_empty()),
        ("when all have stopped", |it| is_any(it, "exited")),
    ];
    for (when, is_reached) in phases {
        for (_, volume) in HOME {
            project.spoil(volume);
        }
        let mut asking = begin(&project, &[], &["restore", &slug, "--yes"]);
        wait_until(when, || is_reached(&project));
        kill(&project);
        asking.wait().expect("it was started");
        assert_is_over(&project, when);
        for (_, volume) in HOME {
            assert_eq!(project.note(volume).as_deref(), Some("kept"), "{volume}, {when}");
        }
    }
}

#[test]
fn an_update_in_the_middle_of_a_backup_changes_nothing() {
    let project = large("updated");
    let old = project.container("hearthkeep");
    let mut asking = begin(&project, &[HELD_LONG], &["backup"]);
    wait_until("it holds", || is_any(&project, "paused"));
    let job = project.jobs();
    project.compose(&["up", "-d", "--no-deps", "--force-recreate", "hearthkeep"]);
    asking.wait().expect("it was started");
    assert_ne!(project.container("hearthkeep"), old, "it was replaced");
    assert_eq!(job.len(), 1);
    assert_is_over(&project, "after the update");
    assert_eq!(project.backups().len(), 1);
    let mounts = "{{range .Mounts}}{{.Name}} {{end}}";
    let mounts = project.inspect("hearthkeep", mounts);
    assert_eq!(mounts.trim(), format!("{}_state", project.home.project));
    // What is asked for next is done as ever.
    docker(&["exec", &project.container("hearthkeep"), "hearthkeep", "backup"]);
}
