//! A timer of the wall clock: it goes on through a suspend, and tells when somebody sets the clock.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::read;
use tokio::io::unix::AsyncFd;

/// Why it woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The time has come.
    Due,
    /// Somebody has set the clock, and every plan is to be made anew.
    ClockSet,
}

/// The timer.
#[derive(Debug)]
pub(super) struct Timer {
    timer: TimerFd,
    /// The same one, as the runtime wants it.
    waits: AsyncFd<OwnedFd>,
}

impl Timer {
    pub(super) fn new() -> anyhow::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags).context("making a timer")?;
        let same = timer.as_fd().try_clone_to_owned().context("making a timer")?;
        #[expect(
            deprecated,
            reason = "sound for a descriptor that is owned; the new way is unsafe"
        )]
        let waits = AsyncFd::new(same).context("making a timer")?;
        Ok(Timer { timer, waits })
    }

    /// Sets it; without a time it never wakes. Gives whether somebody has set the clock since it was
    /// last looked at.
    pub(super) fn set(&self, at: Option<Timestamp>) -> anyhow::Result<bool> {
        const SETTING: &str = "setting the timer";
        let Some(at) = at else { return self.timer.unset().map(|()| false).context(SETTING) };
        // Zero would mean never, and what lies before it is as late.
        let since = Duration::try_from(at.as_duration()).unwrap_or_default();
        let since = TimeSpec::from_duration(since.max(Duration::from_nanos(1)));
        let flags =
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        match self.timer.set(Expiration::OneShot(since), flags) {
            // It is set nevertheless.
            Err(Errno::ECANCELED) => Ok(true),
            set => set.map(|()| false).context(SETTING),
        }
    }

    /// Waits until it wakes.
    pub(super) async fn wait(&self) -> anyhow::Result<Woken> {
        loop {
            let mut guard = self.waits.readable().await.context("waiting for the timer")?;
            match read(self.waits.get_ref(), &mut [0; 8]) {
                Ok(_) => return Ok(Woken::Due),
                Err(Errno::ECANCELED) => return Ok(Woken::ClockSet),
                Err(Errno::EAGAIN | Errno::EINTR) => guard.clear_ready(),
                Err(err) => return Err(err).context("waiting for the timer"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn it_wakes_when_the_time_has_come_and_not_before() {
        let timer = Timer::new().expect("a timer");
        let at = Timestamp::now() + SignedDuration::from_millis(200);
        timer.set(Some(at)).expect("it is set");
        assert_eq!(timer.wait().await.expect("it wakes"), Woken::Due);
        assert!(Timestamp::now() >= at);
        // What has passed is due at once, also from before there was a clock.
        for past in [Timestamp::UNIX_EPOCH, Timestamp::MIN, at] {
            timer.set(Some(past)).expect("it is set");
            assert_eq!(timer.wait().await.expect("it wakes"), Woken::Due);
        }
        timer.set(Some(Timestamp::now() + SignedDuration::from_millis(50))).expect("it is set");
        timer.set(None).expect("it is set");
        let waited = tokio::time::timeout(Duration::from_millis(200), timer.wait()).await;
        assert!(waited.is_err(), "nothing was due");
    }
}
