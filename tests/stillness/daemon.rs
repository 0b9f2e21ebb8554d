//! What the Docker daemon makes of a paused container when it goes away and comes back.
//!
//! Nothing of hearthkeep runs in here: these are the facts on which its recovery is built.

use crate::support::daemon::Daemon;
use crate::support::home::IMAGE;
use crate::support::wait_until;

/// The options of the daemon, whether it is killed, and what becomes of a paused container without
/// a restart policy and of one with `unless-stopped`.
fn check(options: &[&str], deed: fn(&Daemon), states: [&str; 2]) {
    let daemon = Daemon::new(options);
    let names = ["plain", "restarting"];
    daemon.docker(&["run", "--detach", "--network", "none", "--name", "plain", IMAGE]);
    let policy = ["--restart", "unless-stopped", "--name", "restarting", IMAGE];
    daemon.docker(&[["run", "--detach", "--network", "none"].as_slice(), &policy].concat());
    daemon.docker(&["pause", "plain", "restarting"]);
    assert_eq!(names.map(|it| daemon.state(it)), ["paused", "paused"]);
    deed(&daemon);
    daemon.start();
    wait_until("they are so", || names.map(|it| daemon.state(it)) == states);
}

#[test]
fn a_daemon_that_is_stopped_ends_what_is_paused_and_only_the_policy_starts_it_again() {
    check(&[], Daemon::stop, ["exited", "running"]);
}

#[test]
fn a_daemon_that_is_killed_ends_what_is_paused_when_it_comes_back_whatever_the_policy() {
    check(&[], Daemon::kill, ["exited", "exited"]);
}

#[test]
fn with_live_restore_what_is_paused_stays_paused() {
    check(&["--live-restore"], Daemon::stop, ["paused", "paused"]);
    check(&["--live-restore"], Daemon::kill, ["paused", "paused"]);
}
