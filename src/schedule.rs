//! When a job is due: days and a time, or a cron line, in a time zone.
//!
//! A time that daylight saving leaves out counts as the first moment after the gap, one that it
//! repeats as its first. A day never goes without its run, and never has two.

use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, errors::CronError};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// The days of a week as people write them, with cron's numbers.
const DAYS: [(&str, &str); 7] = [
    ("sun", "0"),
    ("mon", "1"),
    ("tue", "2"),
    ("wed", "3"),
    ("thu", "4"),
    ("fri", "5"),
    ("sat", "6"),
];

/// Daylight saving comes and goes once in it.
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A day is the longest that a run may be put off: the next one would overtake it.
const MAX_JITTER: Duration = Duration::from_hours(24);

/// When a job is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    jitter: Duration,
}

/// Why a text is no schedule, to be read after the text and a colon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSchedule(String);

impl Schedule {
    /// Reads a schedule as a person writes it: `04:45`, `mon,fri 04:45`, `mon-fri 04:45`, or the
    /// five fields of a cron line, such as `45 4 * * 1-5`. Times are those of `zone`.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Schedule, NoSchedule> {
        let line = match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            [time] if time.contains(':') => weekly("*", time)?,
            [days, time] if time.contains(':') => weekly(days, time)?,
            [word] if word.starts_with('@') => (*word).to_owned(),
            fields if fields.len() == 5 => fields.join(" "),
            _ => {
                return Err(NoSchedule(
                    "a schedule is a time (04:45), days and a time (mon-fri 04:45) or a cron line (45 4 * * 1-5)"
                        .to_owned(),
                ));
            }
        };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        let cron = parser.build().parse(&line).map_err(|err| told(&err))?;
        let schedule = Schedule { cron, zone, jitter: Duration::ZERO };
        match schedule.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(NoSchedule("that day never comes".to_owned())),
        }
    }

    /// The same, each run put off by up to `jitter`, a day at most, so that not every home calls
    /// on one server at once.
    pub fn with_jitter(self, jitter: Duration) -> Schedule {
        Schedule { jitter: jitter.min(MAX_JITTER), ..self }
    }

    /// How long a run may be put off at most.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The time zone whose times are meant.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first moment after `after` at which the job is due, before it is put off.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&after, false).ok().map(|it| it.timestamp())
    }

    /// The first run within a year after `after` whose time daylight saving leaves out, so that it
    /// comes with the first moment after the gap.
    pub fn next_in_gap(&self, after: Timestamp) -> Option<Zoned> {
        let year = after.checked_add(YEAR).ok()?;
        let changes = self.zone.following(after).take_while(|it| it.timestamp() <= year);
        let moved = |at: Timestamp| {
            let due = self.next_after(at.checked_sub(SignedDuration::from_secs(1)).ok()?)?;
            let due = due.to_zoned(self.zone.clone());
            let is_wanted = self.cron.is_time_matching(&due).unwrap_or(true);
            (due.timestamp() == at && !is_wanted).then_some(due)
        };
        changes.map(|it| it.timestamp()).find_map(moved)
    }

    /// Whether a run was due between the last one and now, so that it has to be made up for. One
    /// is enough, however many were missed.
    pub fn is_missed(&self, last: Timestamp, now: Timestamp) -> bool {
        self.next_after(last).is_some_and(|it| it <= now)
    }

    /// When the run that is due at `due` begins. `home` is any number that this installation has
    /// to itself: the same home waits as long after a restart, and others wait otherwise.
    pub fn put_off(&self, due: Timestamp, home: u64) -> Timestamp {
        let seconds = self.jitter.as_secs();
        if seconds == 0 {
            return due;
        }
        let wait = mixed(home ^ due.as_second().cast_unsigned()) % (seconds + 1);
        let wait = SignedDuration::from_secs(i64::try_from(wait).unwrap_or(0));
        due.checked_add(wait).unwrap_or(due)
    }
}

/// The cron line for days of the week and a time of the day.
fn weekly(days: &str, time: &str) -> Result<String, NoSchedule> {
    let no_time = || NoSchedule(format!("{time} is no time of the day, such as 04:45"));
    let (hour, minute) = time.split_once(':').ok_or_else(no_time)?;
    let number = |text: &str, below: u8| {
        text.parse::<u8>().ok().filter(|it| *it < below && text.len() <= 2).ok_or_else(no_time)
    };
    let (hour, minute) = (number(hour, 24)?, number(minute, 60)?);
    let days = match days {
        "*" | "daily" => "*".to_owned(),
        _ => days.split(',').map(range).collect::<Result<Vec<_>, _>>()?.join(","),
    };
    Ok(format!("{minute} {hour} * * {days}"))
}

/// A day, or two with a dash between.
fn range(days: &str) -> Result<String, NoSchedule> {
    let ends: Vec<&str> = days.split('-').map(day).collect::<Result<_, _>>()?;
    match ends.as_slice() {
        [one] => Ok((*one).to_owned()),
        // A week ends where a person says so, and cron's begins on a Sunday.
        [first, "0"] => Ok(format!("{first}-7")),
        [first, last] if first > last => Ok(format!("{first}-6,0-{last}")),
        [first, last] => Ok(format!("{first}-{last}")),
        _ => Err(NoSchedule(format!("{days} is no range of days, such as mon-fri"))),
    }
}

fn day(name: &str) -> Result<&'static str, NoSchedule> {
    let lower = name.to_ascii_lowercase();
    let names = |short: &&(&str, &str)| {
        let full = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
        lower == short.0 || full.iter().any(|it| it.starts_with(short.0) && lower == *it)
    };
    let found = DAYS.iter().find(names).map(|(_, number)| *number);
    found.ok_or_else(|| NoSchedule(format!("{name} is no day: mon, tue, wed, thu, fri, sat, sun")))
}

fn told(err: &CronError) -> NoSchedule {
    let text = match err {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.trim_end_matches('.');
    NoSchedule(format!("no cron line: {}{}", text[..1].to_lowercase(), &text[1..]))
}

/// A number in which every bit depends on every bit of another one (Sebastiano Vigna, `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let mut it = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        let zone = TimeZone::get(zone).expect("everybody knows it");
        Schedule::parse(text, zone).unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    #[test]
    fn tells_the_next_run() {
        let check = |text: &str, zone: &str, after: &str, wanted: &str| {
            let found = schedule(text, zone).next_after(at(after));
            assert_eq!(found, Some(at(wanted)), "{text} {zone} after {after}");
        };
        check("04:45", "UTC", "2026-11-25T00:00:00Z", "2026-11-25T04:45:00Z");
        check("4:45", "UTC", "2026-11-25T04:45:00Z", "2026-11-26T04:45:00Z");
        check("04:45", "Europe/Berlin", "2026-11-25T00:00:00Z", "2026-11-25T03:45:00Z");
        // The 25th is a Wednesday.
        check("mon,fri 04:45", "UTC", "2026-11-25T00:00:00Z", "2026-11-27T04:45:00Z");
        check("Monday 04:45", "UTC", "2026-11-25T00:00:00Z", "2026-11-30T04:45:00Z");
        check("mon-fri 04:45", "UTC", "2026-11-27T12:00:00Z", "2026-11-30T04:45:00Z");
        check("fri-mon 04:45", "UTC", "2026-11-25T12:00:00Z", "2026-11-27T04:45:00Z");
        check("fri-mon 04:45", "UTC", "2026-11-29T12:00:00Z", "2026-11-30T04:45:00Z");
        check("sat-sun 04:45", "UTC", "2026-11-28T12:00:00Z", "2026-11-29T04:45:00Z");
        check("daily 04:45", "UTC", "2026-11-25T00:00:00Z", "2026-11-25T04:45:00Z");
        check("0 3 1 * *", "UTC", "2026-11-25T00:00:00Z", "2026-12-01T03:00:00Z");
        check("*/20 * * * *", "UTC", "2026-11-25T00:01:00Z", "2026-11-25T00:20:00Z");
        check("@weekly", "UTC", "2026-11-25T00:01:00Z", "2026-11-29T00:00:00Z");
    }

    #[test]
    fn daylight_saving_takes_no_run_and_gives_no_second_one() {
        let check = |text: &str, zone: &str, after: &str, wanted: &[&str]| {
            let schedule = schedule(text, zone);
            let mut now = at(after);
            for it in wanted {
                now = schedule.next_after(now).expect("it goes on");
                assert_eq!(now, at(it), "{text} {zone} after {after}");
            }
        };
        // 02:30 is left out on 29 March, and there twice on 25 October.
        let spring = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        check("02:30", "Europe/Berlin", "2026-03-28T00:00:00Z", &spring);
        let autumn = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        check("02:30", "Europe/Berlin", "2026-10-24T00:00:00Z", &autumn);
        // Half an hour, and in the other half of the world.
        let autumn = ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"];
        check("02:15", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &autumn);
    }

    #[test]
    fn a_time_that_daylight_saving_leaves_out_is_foreseen() {
        let check = |text: &str, zone: &str, wanted: Option<&str>| {
            let found = schedule(text, zone).next_in_gap(at("2026-11-25T00:00:00Z"));
            let found = found.map(|it| it.datetime().to_string());
            assert_eq!(found.as_deref(), wanted, "{text} {zone}");
        };
        check("02:30", "Europe/Berlin", Some("2027-03-28T03:00:00"));
        check("sun 02:30", "Europe/Berlin", Some("2027-03-28T03:00:00"));
        check("mon 02:30", "Europe/Berlin", None);
        check("04:45", "Europe/Berlin", None);
        // It is due then anyway.
        check("03:00", "Europe/Berlin", None);
        check("*/10 * * * *", "Europe/Berlin", None);
        check("02:30", "UTC", None);
        check("02:30", "America/New_York", Some("2027-03-14T03:00:00"));
        check("02:15", "Australia/Lord_Howe", Some("2027-10-03T02:30:00"));
    }

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        let schedule = schedule("04:45", "UTC");
        let missed = |last: &str, now: &str| schedule.is_missed(at(last), at(now));
        assert!(!missed("2026-11-25T04:45:10Z", "2026-11-26T04:44:59Z"));
        assert!(missed("2026-11-25T04:45:10Z", "2026-11-26T04:45:00Z"));
        assert!(missed("2026-11-20T04:45:10Z", "2026-11-26T03:00:00Z"));
        // The run that makes up for them is the last one then.
        assert!(!missed("2026-11-26T03:00:00Z", "2026-11-26T03:00:01Z"));
        // A clock that was set back.
        assert!(!missed("2026-11-26T03:00:00Z", "2026-11-20T03:00:00Z"));
    }

    #[test]
    fn runs_are_put_off_evenly_and_the_same_after_a_restart() {
        let schedule = schedule("04:45", "UTC").with_jitter(Duration::from_mins(10));
        let due = at("2026-11-25T04:45:00Z");
        let wait = |home: u64| schedule.put_off(due, home).duration_since(due).as_secs();
        let waits: Vec<i64> = (0..1000).map(wait).collect();
        assert!(waits.iter().all(|it| (0..=600).contains(it)));
        let early = waits.iter().filter(|it| **it < 300).count();
        assert!((400..600).contains(&early), "{early}");
        assert_eq!(wait(7), wait(7));
        let next = schedule.put_off(at("2026-11-26T04:45:00Z"), 7);
        assert_ne!(next.duration_since(due).as_secs() - 86_400, wait(7));
        assert_eq!(self::schedule("04:45", "UTC").put_off(due, 7), due);
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |text: &str, wanted: &str| {
            let err = Schedule::parse(text, TimeZone::UTC).expect_err(text).to_string();
            assert!(err.contains(wanted), "{text}: {err}");
        };
        check("", "a schedule is a time");
        check("daily", "a schedule is a time");
        check("24:00", "no time of the day");
        check("04:60", "no time of the day");
        check("4:5:6", "no time of the day");
        check("mo 04:45", "mo is no day");
        check("mon-wed-fri 04:45", "no range of days");
        check("0 25 * * *", "no cron line");
        check("0 3 30 2 *", "that day never comes");
        check("@fortnightly", "no cron line");
    }
}
