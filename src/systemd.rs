//! What a service and systemd say to each other. Without systemd none of it does anything.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use anyhow::Context;
use listenfd::ListenFd;
use sd_notify::NotifyState;

/// What systemd sets for a service alone: a job that inherited it would speak in its name.
pub const VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_FDS_FIRST_FD",
];

/// The socket that systemd listens on for the service. To be asked once, before any thread runs.
pub fn listener() -> anyhow::Result<Option<UnixListener>> {
    ListenFd::from_env().take_unix_listener(0).context("taking the socket from systemd")
}

/// How long systemd waits for a sign of life; nothing where it does not.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|it| !it.is_zero())
}

/// The service can be used.
pub fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// What it does now, for a person.
pub fn status(status: &str) {
    say(&[NotifyState::Status(&line(status))]);
}

/// It reads its settings again, and will be [`ready`] afterwards.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0));
    say(&[NotifyState::Reloading, now]);
}

/// It ends.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// It lives.
pub fn alive() {
    say(&[NotifyState::Watchdog]);
}

/// To begin or to end takes at least so much longer.
pub fn extend(by: Duration) {
    let by = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    say(&[NotifyState::ExtendTimeoutUsec(by)]);
}

/// Each state is a line.
fn line(status: &str) -> String {
    status.replace('\n', " ")
}

fn say(states: &[NotifyState<'_>]) {
    // That systemd does not listen is no reason for anything: it will see for itself.
    let _ = sd_notify::notify(states);
}
