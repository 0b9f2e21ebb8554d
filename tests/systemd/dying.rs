//! A service that is stopped, killed or hangs while it holds the home.

use std::fs::File;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::machine::{BACKUP, Machine, SERVICE};
use crate::support::docker;
use crate::support::home::{ENDLESS, Home};

/// From whatever happens until everything runs.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(2);

/// Short enough for a test, and long enough for a busy machine to show life.
const WATCHDOG: Duration = Duration::from_secs(6);

/// Makes a backup of the home endless, and with it the hold. It takes no room on the disk.
pub(crate) fn endless(home: &Home) {
    let file = File::create(home.config().join(ENDLESS)).expect("a file");
    file.set_len(16 << 30).expect("a hole takes no room");
}

fn held(what: &str) -> (Home, Machine) {
    held_by(what, Machine::new)
}

/// A home whose backup does not end, with a companion that is stopped for it, and its machine.
pub(crate) fn held_by(what: &str, machine: impl FnOnce(&Home) -> Machine) -> (Home, Machine) {
    let home = Home::new(what);
    home.companion("broker", &["--label", "hearthkeep.hold=stop"]);
    endless(&home);
    let machine = machine(&home);
    (home, machine)
}

pub(crate) fn runs(home: &Home) -> bool {
    home.state("homeassistant") == "running" && home.state("broker") == "running"
}

/// Fails where the engine let anything go on later than at once after this. By the engine's own
/// clock, since a busy machine takes its time to tell.
pub(crate) fn assert_at_once(home: &Home, since: SystemTime, what: &str) {
    let since = since.duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let form = |it: Duration| format!("{}.{:09}", it.as_secs(), it.subsec_nanos());
    let until = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let (from, to) = (form(since), form(until));
    let mut words = vec!["events", "--since", &from, "--until", &to];
    let names = ["homeassistant", "broker"].map(|it| format!("container={}", home.name(it)));
    words.extend(["--filter", &names[0], "--filter", &names[1]]);
    words.extend(["--filter", "event=unpause", "--filter", "event=start"]);
    words.extend(["--format", "{{.TimeNano}}"]);
    let times = docker(&words);
    let times: Vec<u64> = times.lines().map(|it| it.parse().expect("a number")).collect();
    assert_eq!(times.len(), 2, "{what}: {times:?}");
    let took = Duration::from_nanos(*times.iter().max().expect("two")) - since;
    assert!(took < AT_ONCE, "{what}: {took:?}");
}

#[test]
fn stopped_in_the_middle_it_releases_and_leaves_no_file() {
    let (home, machine) = held("stopped");
    machine.hold(&home);
    let since = SystemTime::now();
    machine.ok(&["systemctl", "stop", SERVICE]);
    assert!(runs(&home));
    assert_at_once(&home, since, "stop");
    assert_eq!(machine.stored(), Vec::<String>::new());
    // Who asked for it is told.
    machine.wait_until("the unit has ended", || machine.state(BACKUP) == "failed");
    assert_eq!(machine.state(SERVICE), "inactive");
    assert_eq!(machine.property(SERVICE, "Result"), "success");

    // The engine's end is its end, and the engine's return is its return.
    machine.ok(&["systemctl", "start", SERVICE]);
    machine.hold(&home);
    let since = SystemTime::now();
    machine.ok(&["systemctl", "stop", "docker"]);
    assert!(runs(&home));
    assert_at_once(&home, since, "stop of the engine");
    assert_eq!(machine.state(SERVICE), "inactive");
    machine.ok(&["systemctl", "start", "docker"]);
    machine.wait_until("it is back", || machine.state(SERVICE) == "active");
}

#[test]
fn killed_in_the_middle_everything_runs_and_it_comes_again() {
    let (home, machine) = held("killed");
    machine.hold(&home);
    let was = machine.main_process();
    let since = SystemTime::now();
    machine.ok(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", SERVICE]);
    machine.wait_until("everything runs", || runs(&home));
    assert_at_once(&home, since, "kill");
    machine.wait_until("it runs again", || {
        machine.state(SERVICE) == "active" && machine.main_process() != was
    });
    machine.wait_until("the draft is gone", || machine.stored().is_empty());
    assert_eq!(machine.property(SERVICE, "NRestarts"), "1");
    machine.ok(&["hearthkeep", "status", "--health"]);
    let incidents = machine.incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let released = format!("released {}", home.homeassistant());
    assert!(incidents[0]["closed"].to_string().contains(&released), "{incidents:?}");
}

#[test]
fn hung_it_is_killed_by_the_watchdog_and_comes_again() {
    let (home, machine) = held("hung");
    let seconds = WATCHDOG.as_secs();
    machine.edit(SERVICE, &format!("[Service]\nWatchdogSec={seconds}\n"));
    machine.ok(&["systemctl", "restart", SERVICE]);
    for who in ["main", "job"] {
        machine.ok(&["systemctl", "reset-failed"]);
        machine.hold(&home);
        let main = machine.main_process();
        let process = match who {
            "main" => main.clone(),
            _ => child_of(&machine, &main),
        };
        machine.ok(&["sh", "-c", &format!("kill -s STOP {process}")]);
        machine.wait_until(&format!("everything runs after {who}"), || runs(&home));
        machine.wait_until("it runs again", || {
            machine.state(SERVICE) == "active" && machine.main_process() != main
        });
        assert_eq!(machine.property(SERVICE, "NRestarts"), "1", "{who}");
        machine.wait_until("who asked was told", || machine.state(BACKUP) == "failed");
    }
    assert!(machine.ok(&["journalctl", "--unit", SERVICE]).contains("Watchdog timeout"));
}

/// The job that the service has started.
fn child_of(machine: &Machine, process: &str) -> String {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = machine.ok(&["cat", &children]);
    children.split_whitespace().next().expect("there is a job").to_owned()
}

#[test]
fn a_backup_goes_on_where_nothing_hangs() {
    // The other half of the watchdog: a job that takes longer than it is no reason to kill it.
    let (home, machine) = held("not-hung");
    machine.edit(SERVICE, &format!("[Service]\nWatchdogSec={}\n", WATCHDOG.as_secs()));
    machine.ok(&["systemctl", "restart", SERVICE]);
    let was = machine.main_process();
    machine.hold(&home);
    let since = Instant::now();
    machine.wait_until("it would have been killed", || since.elapsed() > 2 * WATCHDOG);
    assert_eq!(home.state("homeassistant"), "paused");
    assert_eq!(machine.main_process(), was);
    machine.ok(&["systemctl", "stop", BACKUP]);
    assert!(runs(&home), "who asked for it may cancel it");
    assert_eq!(machine.main_process(), was);
}
