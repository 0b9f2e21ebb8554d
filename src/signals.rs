//! The signals that ask the program to stop, turned into one token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tokio_util::sync::CancellationToken;

/// The run was asked to stop by a signal; everything it had begun was put back.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// What ends a run in good order. A suspended run (SIGTSTP) would hold the home for as long as
/// nobody thinks of it.
const STOPPING: [i32; 5] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP];

/// The exit code of a process that a signal has ended before its time.
const CANCELLED: i32 = 130;

/// Whether the signal that came first was that by which a service is ended.
static ENDS_SERVICE: AtomicBool = AtomicBool::new(false);

/// A token that is cancelled by each of the [`STOPPING`] signals. Later signals change nothing: the
/// release of held containers, which is what a cancelled run still has to do, is never cut short.
pub fn token() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut signals = Signals::new(STOPPING).context("watching for signals to stop")?;
    let on_signal = token.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in &mut signals {
                if signal == SIGTERM && !on_signal.is_cancelled() {
                    ENDS_SERVICE.store(true, Ordering::Relaxed);
                }
                on_signal.cancel();
            }
        })
        .context("starting the signal thread")?;
    Ok(token)
}

/// The same for a service: SIGHUP, which asks it to read its settings again, is handed on, and a
/// second signal to stop ends the process at once. What is held then is for the guardian of the run.
pub fn service(on_hangup: impl Fn() + Send + 'static) -> anyhow::Result<CancellationToken> {
    const WATCHING: &str = "watching for signals";
    let is_stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGQUIT] {
        // In this order, so that the first one only arms the second.
        flag::register_conditional_shutdown(signal, CANCELLED, is_stopping.clone())
            .context(WATCHING)?;
        flag::register(signal, is_stopping.clone()).context(WATCHING)?;
    }
    let token = CancellationToken::new();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT, SIGHUP]).context(WATCHING)?;
    let on_signal = token.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in &mut signals {
                match signal {
                    SIGHUP => on_hangup(),
                    _ => on_signal.cancel(),
                }
            }
        })
        .context(WATCHING)?;
    Ok(token)
}

/// Asks this process to stop when the one that started it ends, however that ends.
pub fn end_with_parent() -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM).context("preparing for the end of the service")
}

/// From here on the next of the [`STOPPING`] signals ends the process at once. For one that holds
/// nothing, and waits for another.
pub fn end_at_next() -> anyhow::Result<()> {
    for signal in STOPPING {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(signal, CANCELLED, always)
            .context("preparing for signals")?;
    }
    Ok(())
}

/// Whether only this process is to end (SIGTERM), rather than what it was asked for. It matters to
/// those alone whose work is done by another process.
pub fn ends_service() -> bool {
    ENDS_SERVICE.load(Ordering::Relaxed)
}

/// Lets this process go on through the [`STOPPING`] signals, and through a reader that has gone.
pub fn outlive() -> anyhow::Result<()> {
    for signal in STOPPING.into_iter().chain([SIGPIPE]) {
        // A flag that nobody reads: all that counts is that the signal has a handler.
        flag::register(signal, Arc::default()).context("preparing for signals")?;
    }
    Ok(())
}

/// The error that ends a run whose token was cancelled.
pub fn check(token: &CancellationToken) -> Result<(), Cancelled> {
    if token.is_cancelled() { Err(Cancelled) } else { Ok(()) }
}
