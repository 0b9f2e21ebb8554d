//! Whether a job lives, by what is seen of it from outside. A rule: whoever looks says when.
//!
//! A sign of life is a line, or that the kernel's counters of the job have moved. Between two signs
//! may lie what the job has announced ([`Line::Silence`](crate::lines::Line)), an hour in which it
//! waits for a disk, and else no more than the limit. Of a job that went on in a container only
//! lines are seen.

use std::time::{Duration, Instant};

use crate::pulse::Pulse;

/// The longest that a job may wait for its disk: a share that comes back by then is no reason to
/// end a backup.
const AT_DISK: Duration = Duration::from_hours(1);

/// The longest that a job in a container may say nothing. A database of many gigabytes is looked
/// through without a word.
const ELSEWHERE: Duration = Duration::from_mins(10);

/// What a job has said of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// When the last line came.
    pub(super) heard: Instant,
    /// Until when it may say nothing.
    pub(super) quiet_until: Option<Instant>,
    /// Whether the work goes on in a container.
    pub(super) is_elsewhere: bool,
}

/// What was seen of a job so far.
#[derive(Debug)]
pub(super) struct Life {
    /// How long it may show no sign.
    limit: Duration,
    pulse: Pulse,
    moved: Instant,
    at_disk_since: Option<Instant>,
}

impl Life {
    /// A job that has just begun.
    pub(super) fn new(limit: Duration, now: Instant) -> Life {
        Life { limit, pulse: Pulse::default(), moved: now, at_disk_since: None }
    }

    /// Looks at it once more; gives whether it lives.
    pub(super) fn look(&mut self, now: Instant, said: &Said, pulse: Pulse) -> bool {
        if pulse.count != self.pulse.count {
            self.moved = now;
        }
        if !pulse.is_at_disk {
            self.at_disk_since = None;
        } else if self.at_disk_since.is_none() {
            self.at_disk_since = Some(now);
        }
        self.pulse = pulse;
        let since = |it: Instant| now.saturating_duration_since(it);
        if said.quiet_until.is_some_and(|it| now < it) {
            return true;
        }
        if said.is_elsewhere {
            return since(said.heard) < self.limit.max(ELSEWHERE);
        }
        let is_at_disk = self.at_disk_since.is_some_and(|it| since(it) < AT_DISK);
        is_at_disk || since(self.moved.max(said.heard)) < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Looks at a job after so many seconds, with what it said and showed; `heard` in seconds.
    fn lives(life: &mut Life, begin: Instant, at: u64, heard: u64, count: u64) -> bool {
        let after = |it: u64| begin + Duration::from_secs(it);
        let said = Said { heard: after(heard), quiet_until: None, is_elsewhere: false };
        life.look(after(at), &said, Pulse { count, is_at_disk: false })
    }

    #[test]
    fn every_sign_counts_for_as_long_as_the_limit() {
        let begin = Instant::now();
        let mut life = Life::new(LIMIT, begin);
        assert!(lives(&mut life, begin, 20, 0, 1));
        assert!(lives(&mut life, begin, 49, 0, 1), "its counters moved at 20");
        assert!(!lives(&mut life, begin, 50, 0, 1));
        assert!(lives(&mut life, begin, 50, 21, 1), "a line came at 21");
        assert!(!lives(&mut life, begin, 60, 21, 1));
        assert!(lives(&mut life, begin, 70, 21, 2), "it goes on");
    }

    #[test]
    fn announced_silence_is_waited_for() {
        let begin = Instant::now();
        let after = |it: u64| begin + Duration::from_secs(it);
        let mut life = Life::new(LIMIT, begin);
        let quiet_until = Some(after(100));
        let said = Said { heard: begin, quiet_until, is_elsewhere: false };
        assert!(life.look(after(99), &said, Pulse::default()));
        assert!(!life.look(after(100), &said, Pulse::default()));
    }

    #[test]
    fn a_disk_is_waited_for_an_hour() {
        let begin = Instant::now();
        let after = |it: u64| begin + Duration::from_secs(it);
        let mut life = Life::new(LIMIT, begin);
        let said = Said { heard: begin, quiet_until: None, is_elsewhere: false };
        let waiting = Pulse { count: 0, is_at_disk: true };
        assert!(life.look(after(10), &said, waiting));
        assert!(life.look(after(3609), &said, waiting));
        assert!(!life.look(after(3610), &said, waiting));
    }

    #[test]
    fn in_a_container_only_lines_are_seen() {
        let begin = Instant::now();
        let after = |it: u64| begin + Duration::from_secs(it);
        let mut life = Life::new(LIMIT, begin);
        let said = Said { heard: begin, quiet_until: None, is_elsewhere: true };
        assert!(life.look(after(599), &said, Pulse { count: 1, is_at_disk: false }));
        assert!(!life.look(after(600), &said, Pulse { count: 2, is_at_disk: true }));
    }
}
