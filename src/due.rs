//! What a schedule wants next: rules alone, asked anew whenever something has changed.
//!
//! ```text
//! start, a clock that was set ─► missed or interrupted? ── yes ─► now
//!                                        │ no
//! a run has begun, new settings ────────►└─► the next due time, put off by the jitter
//! ```

use jiff::{SignedDuration, Timestamp};

use crate::schedule::Schedule;

/// A daemon that was told to do so much in a row may well wait for the next due time.
const MOST_DUES: usize = 2_000;

/// A clock that is set back by no more brings no run twice. By more, it was wrong before.
const MOST_STEP: SignedDuration = SignedDuration::from_hours(1);

/// When a job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The moment; one that has passed means now.
    pub at: Timestamp,
    /// Whether it makes up for a run that was missed or interrupted.
    pub makes_up: bool,
}

/// What is known of a job's last runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When the last one began that came to an end, whoever began it.
    pub ended: Option<Timestamp>,
    /// When its schedule last began one.
    pub asked: Option<Timestamp>,
    /// Whether that one made up for another.
    pub made_up: bool,
}

impl Past {
    /// When the last one began.
    pub fn begun(&self) -> Option<Timestamp> {
        self.ended.max(self.asked)
    }

    /// Whether the last run that the schedule began never came to an end: the machine went down, or
    /// the daemon was killed with it. One that made up for such a run is not made up for again, or
    /// whatever brings the machine down would do so for ever.
    fn is_interrupted(&self) -> bool {
        self.asked > self.ended && !self.made_up
    }
}

/// What is next for a job that nobody works at, by somebody who was not there before `now`, or whom
/// the clock has deceived.
pub fn at_start(schedule: &Schedule, past: &Past, now: Timestamp, number: u64) -> Option<Next> {
    if let Some(at) = still_put_off(schedule, past.begun(), now, number) {
        return Some(Next { at, makes_up: false });
    }
    let is_missed = past.begun().is_some_and(|it| schedule.is_missed(it, now));
    if is_missed || past.is_interrupted() {
        return Some(Next { at: now, makes_up: true });
    }
    upcoming(schedule, past.begun(), now, number)
}

/// What is next after a run has begun, or with new settings: what lies behind is not made up for.
pub fn from_here(
    schedule: &Schedule,
    begun: Option<Timestamp>,
    now: Timestamp,
    number: u64,
) -> Option<Next> {
    match still_put_off(schedule, begun, now, number) {
        Some(at) => Some(Next { at, makes_up: false }),
        None => upcoming(schedule, begun, now, number),
    }
}

fn upcoming(
    schedule: &Schedule,
    begun: Option<Timestamp>,
    now: Timestamp,
    number: u64,
) -> Option<Next> {
    let just_now = begun.filter(|it| *it > now && it.duration_since(now) <= MOST_STEP);
    let due = schedule.next_after(just_now.unwrap_or(now))?;
    Some(Next { at: schedule.put_off(due, number), makes_up: false })
}

/// When a run begins that has been due, has not begun, and waits only because it is put off.
fn still_put_off(
    schedule: &Schedule,
    begun: Option<Timestamp>,
    now: Timestamp,
    number: u64,
) -> Option<Timestamp> {
    let jitter = SignedDuration::try_from(schedule.jitter()).ok()?;
    let from = now.checked_sub(jitter).ok()?.max(begun.unwrap_or(Timestamp::MIN));
    let dues = std::iter::successors(schedule.next_after(from), |it| schedule.next_after(*it));
    dues.take(MOST_DUES)
        .take_while(|it| *it <= now)
        .map(|it| schedule.put_off(it, number))
        .find(|it| *it > now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        let zone = TimeZone::get(zone).expect("everybody knows it");
        Schedule::parse(text, zone).unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    fn past(ended: &str, asked: &str) -> Past {
        let time = |it: &str| (!it.is_empty()).then(|| at(it));
        Past { ended: time(ended), asked: time(asked), made_up: false }
    }

    #[test]
    fn who_comes_late_makes_up_once() {
        let daily = schedule("04:45", "UTC");
        let check = |past: &Past, now: &str, wanted: &str, makes_up: bool| {
            let wanted = Some(Next { at: at(wanted), makes_up });
            assert_eq!(at_start(&daily, past, at(now), 7), wanted, "{past:?} at {now}");
        };
        let now = "2026-11-25T05:00:00Z";
        let next = "2026-11-26T04:45:00Z";
        // A job that is new is not late.
        check(&past("", ""), now, next, false);
        check(&past("2026-11-25T04:45:02Z", "2026-11-25T04:45:00Z"), now, next, false);
        check(&past("2026-11-24T04:45:02Z", "2026-11-24T04:45:00Z"), now, now, true);
        // A week of them is one.
        check(&past("2026-11-17T04:45:02Z", ""), now, now, true);
        check(&past("2026-11-24T04:45:02Z", "2026-11-25T05:00:00Z"), now, now, true);
        check(&past("", "2026-11-25T04:45:00Z"), now, now, true);
        let again = Past { made_up: true, ..past("", "2026-11-25T04:50:00Z") };
        check(&again, now, next, false);
        // By hand a moment before it was due.
        check(&past("2026-11-25T04:44:00Z", ""), now, now, true);
        // A clock that was set back, or was wrong before.
        let done = past("2026-11-25T04:45:02Z", "2026-11-25T04:45:00Z");
        check(&done, "2026-11-25T04:44:59Z", next, false);
        check(&done, "2026-11-25T03:00:00Z", "2026-11-25T04:45:00Z", false);
        check(&past("2030-01-01T00:00:00Z", ""), now, next, false);
        check(&past("1970-01-01T04:45:00Z", ""), now, now, true);
    }

    #[test]
    fn new_settings_make_up_for_nothing() {
        let check = |text: &str, begun: &str, now: &str, wanted: &str| {
            let next = from_here(&schedule(text, "UTC"), Some(at(begun)), at(now), 7);
            assert_eq!(next, Some(Next { at: at(wanted), makes_up: false }), "{text} at {now}");
        };
        let begun = "2026-11-25T04:45:00Z";
        check("04:45", begun, begun, "2026-11-26T04:45:00Z");
        check("06:00", begun, "2026-11-25T12:00:00Z", "2026-11-26T06:00:00Z");
        check("* * * * *", begun, "2026-11-25T04:45:59Z", "2026-11-25T04:46:00Z");
    }

    #[test]
    fn daylight_saving_takes_no_run_and_gives_no_second_one() {
        let check = |start: &str, wanted: &[&str]| {
            let night = schedule("02:30", "Europe/Berlin");
            let mut now = at(start);
            for it in wanted {
                let next = from_here(&night, Some(now), now, 7).expect("it goes on");
                assert_eq!(next.at, at(it));
                // The daemon wakes a little late.
                now = next.at + SignedDuration::from_millis(3);
            }
        };
        check("2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        check("2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // Down through the gap, and through the hour that there is twice.
        let night = schedule("02:30", "Europe/Berlin");
        let late = |ended: &str, now: &str| {
            at_start(&night, &past(ended, ""), at(now), 7).is_some_and(|it| it.makes_up)
        };
        assert!(late("2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z"));
        assert!(!late("2026-10-25T00:30:01Z", "2026-10-25T01:30:01Z"));
    }

    #[test]
    fn what_is_put_off_stays_so_through_a_restart() {
        let night = schedule("04:45", "UTC").with_jitter(Duration::from_hours(2));
        let due = at("2026-11-25T04:45:00Z");
        let begins = night.put_off(due, 7);
        assert!(begins > due, "this number waits");
        let before = begins - SignedDuration::from_secs(1);
        let yesterday = past("2026-11-24T05:00:00Z", "2026-11-24T05:00:00Z");
        let wanted = Some(Next { at: begins, makes_up: false });
        assert_eq!(at_start(&night, &yesterday, before, 7), wanted);
        assert_eq!(at_start(&night, &past("", ""), before, 7), wanted);
        assert_eq!(from_here(&night, yesterday.begun(), before, 7), wanted);
        // After it, only whoever has missed it has something to make up for.
        let after = begins + SignedDuration::from_secs(1);
        let late = at_start(&night, &yesterday, after, 7).expect("it goes on");
        assert_eq!((late.at, late.makes_up), (after, true));
        let done = Past { asked: Some(begins), ended: Some(begins), made_up: false };
        let next = at_start(&night, &done, after, 7).expect("it goes on");
        assert!(next.at >= at("2026-11-26T04:45:00Z") && !next.makes_up, "{next:?}");
    }
}
