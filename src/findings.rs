//! What `check` says of facts: rules alone, each with its cure.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::plan::BackupPlan;
use crate::plan::{self, Facts};
use crate::schedule::Schedule;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// In order.
    Ok,
    /// Good to know; it may be as wanted.
    Note,
    /// Backups are made, but not as they should be.
    Warning,
    /// There will be no backup, or none that helps.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about: `docker`, `clock`, …, or a profile.
    pub about: String,
    /// What was found.
    pub what: String,
    /// What to do, in one line; nothing where that is said already, or nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Finding {
    /// A finding with nothing to do.
    pub fn new(level: Level, about: &str, what: impl Into<String>) -> Finding {
        Finding { level, about: about.to_owned(), what: what.into(), cure: None }
    }

    /// The same with what to do.
    #[must_use]
    pub fn cured_by(self, cure: impl Into<String>) -> Finding {
        Finding { cure: Some(cure.into()), ..self }
    }
}

/// No machine that runs this was made before.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// Two machines may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A run takes its time, and waits for another one.
pub const GRACE: Duration = Duration::from_hours(2);

/// Where no schedule is known, a week and a day: most people want one a week at least.
const OLD: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Whether the clock can be right. `newest` is the date of the newest backup.
pub fn clock(now: Timestamp, newest: Option<Timestamp>) -> Finding {
    let long_ago: Timestamp = LONG_AGO.parse().expect("it is a date");
    let cure = "set the clock, and let it be kept right (timedatectl set-ntp true)";
    let about = "clock";
    match newest {
        _ if now < long_ago => {
            Finding::new(Level::Error, about, format!("it says {now}, which is long past"))
                .cured_by(cure)
        }
        Some(newest) if newest.duration_since(now) > SKEW => {
            let what = format!("it says {now}, but the newest backup is of {newest}");
            Finding::new(Level::Warning, about, what)
                .cured_by(format!("{cure}; or remove that backup if its date is wrong"))
        }
        _ => Finding::new(Level::Ok, about, now.to_string()),
    }
}

/// What the process knows of its time zone.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    /// What `TZ` says.
    pub variable: Option<String>,
    /// Whether that is a zone.
    pub is_known: bool,
    /// The name of the zone that counts.
    pub name: Option<String>,
    /// Whether `/etc/localtime` is there.
    pub has_localtime: bool,
}

/// Whether times are those of the people who read them.
pub fn zone(zone: &Zone, in_container: bool, has_schedule: bool) -> Finding {
    let about = "time zone";
    let name = zone.name.as_deref().unwrap_or("UTC");
    match &zone.variable {
        Some(variable) if !zone.is_known => {
            let what = format!("TZ={variable} is no time zone, so {name} counts");
            Finding::new(Level::Error, about, what).cured_by("set TZ to one such as Europe/Berlin")
        }
        None if !zone.has_localtime => {
            // Whose times nobody looks at may be in any zone.
            let level = if has_schedule { Level::Warning } else { Level::Note };
            let cure = match in_container {
                true => "set TZ=Europe/Berlin, or whichever it is, in the container's environment",
                false => "timedatectl set-timezone Europe/Berlin, or whichever it is",
            };
            let what = "neither TZ nor /etc/localtime says one, so UTC counts";
            Finding::new(level, about, what).cured_by(cure)
        }
        _ => Finding::new(Level::Ok, about, name),
    }
}

/// Whether there is a backup, and none is overdue. `last` is the date of the last one of the job.
pub fn age(
    about: &str,
    last: Option<Timestamp>,
    schedule: Option<&Schedule>,
    now: Timestamp,
) -> Finding {
    let Some(last) = last else {
        return Finding::new(Level::Warning, about, "there is no backup yet")
            .cured_by("make one: hearthkeep backup");
    };
    let age = now.duration_since(last);
    let what = format!("the last backup is {} old", in_words(age));
    let late = schedule.map(|it| {
        let grace = SignedDuration::try_from(it.jitter() + GRACE).unwrap_or(SignedDuration::ZERO);
        now.checked_sub(grace).is_ok_and(|now| it.is_missed(last, now))
    });
    match late {
        Some(true) => Finding::new(Level::Warning, about, format!("{what}, and one was due since"))
            .cured_by("look why it was not made: hearthkeep status, and the log (journalctl -t hearthkeep, docker logs)"),
        Some(false) => Finding::new(Level::Ok, about, what),
        None if age > OLD => Finding::new(Level::Warning, about, what)
            .cured_by("make one: hearthkeep backup, or enable hearthkeep-backup.timer"),
        None => Finding::new(Level::Ok, about, what),
    }
}

/// When the job is due next; and, where daylight saving leaves out its time, what then.
pub fn due(about: &str, schedule: &Schedule, now: Timestamp) -> Vec<Finding> {
    let next = schedule.next_after(now).map(|it| {
        let it = it.to_zoned(schedule.zone().clone());
        Finding::new(Level::Ok, about, format!("due next {}", it.strftime("%Y-%m-%d %H:%M %Z")))
    });
    let gap = schedule.next_in_gap(now).map(|it| {
        let (day, time) = (it.strftime("%Y-%m-%d"), it.strftime("%H:%M"));
        let what = format!("on {day} daylight saving leaves out its time, so it comes at {time}");
        Finding::new(Level::Note, about, what).cured_by("another time of the day, if that matters")
    });
    next.into_iter().chain(gap).collect()
}

fn in_words(age: SignedDuration) -> String {
    match age.as_hours() {
        ..1 => format!("{} min", age.as_mins().max(0)),
        hours @ 1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

/// Whether the next backup fits. All are bytes; `last` is the size of the last backup.
pub fn room(about: &str, folder: &Path, free: u64, least: u64, last: Option<u64>) -> Finding {
    let (size, place) = (|it| bytesize::ByteSize(it), folder.display());
    let cure = "free some, name another store, or keep fewer backups (keep in the settings)";
    let finding = |level, what| Finding::new(level, about, what);
    match last {
        _ if free < least => {
            let what =
                format!("no room in {place}: {} free, at least {} needed", size(free), size(least));
            finding(Level::Error, what).cured_by(cure)
        }
        Some(last) if free < last => {
            let what = format!(
                "little room in {place}: {} free, the last backup has {}",
                size(free),
                size(last)
            );
            finding(Level::Warning, what).cured_by(cure)
        }
        _ => finding(Level::Ok, format!("{} free in {place}", size(free))),
    }
}

/// What a backup by this plan would lack, or have in a state that people may not expect.
pub fn missed(about: &str, facts: &Facts, plan: &BackupPlan) -> Vec<Finding> {
    let warnings = plan.warnings.iter().map(|it| Finding::new(Level::Warning, about, it));
    let left_out = plan.left_out.iter().map(|it| {
        let what = format!("{}:{} is left out: {}", it.container, it.what, it.why);
        Finding::new(Level::Note, about, what)
    });
    let databases = plan.home.containers().filter_map(|it| {
        let state = plan::consistency(it, &plan.holds);
        state.contains("power cut").then(|| {
            Finding::new(Level::Note, about, format!("{}: {state}", it.name)).cured_by(
                "it recovers by itself; for more, label it hearthkeep.hold=stop, or dump it by hearthkeep.before",
            )
        })
    });
    let strangers = plan::strangers_with_data(facts, &plan.home).into_iter().map(|it| {
        Finding::new(
            Level::Note,
            about,
            format!("{} has data and is not part of the home", it.name),
        )
        .cured_by(format!(
            "label it hearthkeep.enable=true to back it up, or =false to hear no more of it ({})",
            it.image
        ))
    });
    warnings.chain(left_out).chain(databases).chain(strangers).collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    #[track_caller]
    fn check(finding: &Finding, level: Level, said: &str) {
        assert!(finding.level == level && finding.what.contains(said), "{finding:?}");
        assert_eq!(finding.cure.is_some(), level > Level::Ok, "{finding:?}");
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let now = at("2026-11-25T12:00:00Z");
        check(&clock(now, None), Level::Ok, "2026-11-25");
        check(&clock(now, Some(at("2026-11-25T12:04:00Z"))), Level::Ok, "2026-11-25");
        let ahead = clock(now, Some(at("2026-11-26T12:00:00Z")));
        check(&ahead, Level::Warning, "the newest backup is of 2026-11-26");
        check(&clock(at("1970-01-01T00:01:00Z"), None), Level::Error, "long past");
    }

    #[test]
    fn a_time_zone_that_nobody_set_is_told() {
        let set = |variable: Option<&str>, is_known, has_localtime| Zone {
            variable: variable.map(str::to_owned),
            is_known,
            name: Some("Europe/Berlin".to_owned()).filter(|_| is_known || has_localtime),
            has_localtime,
        };
        check(&zone(&set(Some("Europe/Berlin"), true, false), true, true), Level::Ok, "Berlin");
        check(&zone(&set(None, false, true), true, true), Level::Ok, "Berlin");
        check(&zone(&set(None, false, false), true, true), Level::Warning, "UTC");
        check(&zone(&set(None, false, false), true, false), Level::Note, "UTC");
        let wrong = zone(&set(Some("Berlin"), false, false), true, false);
        check(&wrong, Level::Error, "TZ=Berlin is no time zone");
    }

    #[test]
    fn a_backup_that_is_overdue_is_told() {
        let now = at("2026-11-25T12:00:00Z");
        let daily = Schedule::parse("04:45", TimeZone::UTC).expect("a schedule");
        let age = |last: &str, schedule| age("backups", Some(at(last)), schedule, now);
        check(&super::age("x", None, Some(&daily), now), Level::Warning, "no backup yet");
        check(&age("2026-11-25T04:46:00Z", Some(&daily)), Level::Ok, "7 h old");
        check(&age("2026-11-24T04:46:00Z", Some(&daily)), Level::Warning, "one was due since");
        // It may still be under way, or be put off.
        let soon = Schedule::parse("10:30", TimeZone::UTC).expect("a schedule");
        check(&age("2026-11-24T10:31:00Z", Some(&soon)), Level::Ok, "25 h old");
        let late = daily.clone().with_jitter(Duration::from_hours(8));
        check(&age("2026-11-24T04:46:00Z", Some(&late)), Level::Ok, "31 h old");
        check(&age("2026-11-20T04:46:00Z", None), Level::Ok, "5 days old");
        check(&age("2026-11-10T04:46:00Z", None), Level::Warning, "15 days old");
    }

    #[test]
    fn too_little_room_is_told() {
        let room = |free, least, last| room("store", Path::new("/store"), free, least, last);
        check(&room(100, 50, Some(80)), Level::Ok, "free in /store");
        check(&room(100, 50, Some(120)), Level::Warning, "little room");
        check(&room(100, 150, None), Level::Error, "no room");
    }
}
