//! Which backups of one job are kept, and why.
//!
//! A backup is kept as long as one of the rules wants it. The newest one is kept whatever they say;
//! so is one that is pinned. One that is dated later than now is neither counted nor removed: a
//! clock was wrong, and nothing should be lost to that.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil::Date};

/// How many backups are kept; 0 is none by this rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest.
    pub last: u32,
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many weeks that have one; weeks begin on Monday.
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// All that are not older than so many days of 24 hours.
    pub days: u32,
}

impl Keep {
    /// Whether no rule keeps anything.
    pub fn is_nothing(&self) -> bool {
        *self == Keep::default()
    }
}

/// A backup, as far as the rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// When it was made.
    pub when: Timestamp,
    /// Whether somebody said that it stays.
    pub pinned: bool,
}

/// Why a backup is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is the newest.
    Newest,
    /// Somebody said so.
    Pinned,
    /// It is dated later than now.
    Future,
    /// It is one of the last.
    Last,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
    /// It is not old enough.
    Days,
}

impl Reason {
    /// The word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Newest => "newest",
            Reason::Pinned => "pinned",
            Reason::Future => "dated in the future",
            Reason::Last => "last",
            Reason::Daily => "daily",
            Reason::Weekly => "weekly",
            Reason::Monthly => "monthly",
            Reason::Days => "days",
        }
    }
}

/// The first day of the day, week or month that a day is in.
type Period = fn(Date) -> Date;

/// For each backup why it is kept, in the order given; one without a reason may go. Days, weeks and
/// months are those of `zone`.
pub fn reasons(
    backups: &[Dated],
    keep: &Keep,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Vec<Reason>> {
    let mut reasons: Vec<Vec<Reason>> = vec![Vec::new(); backups.len()];
    let mut newest_first: Vec<usize> = (0..backups.len()).collect();
    // Where two have one date, the later in the list counts as the newer.
    newest_first.sort_by_key(|n| std::cmp::Reverse((backups[*n].when, *n)));
    newest_first.retain(|n| backups[*n].when <= now);
    for (n, backup) in backups.iter().enumerate() {
        if backup.pinned {
            reasons[n].push(Reason::Pinned);
        }
        if backup.when > now {
            reasons[n].push(Reason::Future);
        }
    }
    if let Some(newest) = newest_first.first() {
        reasons[*newest].push(Reason::Newest);
    }
    newest_first.iter().take(keep.last as usize).for_each(|n| reasons[*n].push(Reason::Last));
    let of_each: [(u32, Reason, Period); 3] = [
        (keep.daily, Reason::Daily, |it| it),
        (keep.weekly, Reason::Weekly, monday),
        (keep.monthly, Reason::Monthly, Date::first_of_month),
    ];
    for (count, reason, period) in of_each {
        let mut seen = Vec::new();
        for n in &newest_first {
            let period = period(backups[*n].when.to_zoned(zone.clone()).date());
            if seen.len() < count as usize && seen.last() != Some(&period) {
                seen.push(period);
                reasons[*n].push(reason);
            }
        }
    }
    let oldest = now.checked_sub(SignedDuration::from_hours(24 * i64::from(keep.days)));
    for n in newest_first.iter().filter(|_| keep.days > 0) {
        if oldest.as_ref().is_ok_and(|it| backups[*n].when < *it) {
            continue;
        }
        reasons[*n].push(Reason::Days);
    }
    reasons
}

/// The Monday of a day's week.
fn monday(day: Date) -> Date {
    let since = i64::from(day.weekday().to_monday_zero_offset());
    // Before the first Monday that there is, any day of the week does.
    day.checked_sub(SignedDuration::from_hours(24 * since)).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        let text = if text.contains('T') { text.to_owned() } else { format!("{text}T12:00:00Z") };
        text.parse().unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    fn dated(dates: &[&str]) -> Vec<Dated> {
        dates.iter().map(|it| Dated { when: at(it), pinned: false }).collect()
    }

    fn kept(backups: &[Dated], keep: &Keep, now: &str, zone: &str) -> Vec<bool> {
        let zone = TimeZone::get(zone).expect("everybody knows it");
        reasons(backups, keep, at(now), &zone).iter().map(|it| !it.is_empty()).collect()
    }

    #[track_caller]
    fn check(keep: Keep, dates: &[(&str, bool)]) {
        let (all, wanted): (Vec<&str>, Vec<bool>) = dates.iter().copied().unzip();
        assert_eq!(kept(&dated(&all), &keep, "2026-11-25T20:00:00Z", "UTC"), wanted, "{dates:?}");
    }

    #[test]
    fn each_rule_keeps_what_it_says() {
        let none = Keep::default();
        let days = [("2026-11-23", false), ("2026-11-24", true), ("2026-11-25", true)];
        check(Keep { last: 2, ..none }, &days);
        check(Keep { daily: 2, ..none }, &days);
        // Days of 24 hours: it is eight in the evening.
        check(Keep { days: 2, ..none }, &days);
        // Of each day the newest; days without a backup do not count.
        check(
            Keep { daily: 2, ..none },
            &[
                ("2026-11-20T08:00:00Z", false),
                ("2026-11-20T22:00:00Z", true),
                ("2026-11-25T03:00:00Z", false),
                ("2026-11-25T04:00:00Z", true),
            ],
        );
        // The 23rd is a Monday.
        check(
            Keep { weekly: 2, ..none },
            &[
                ("2026-11-15", false),
                ("2026-11-16", false),
                ("2026-11-22", true),
                ("2026-11-23", false),
                ("2026-11-25", true),
            ],
        );
        // A week goes over the end of a year.
        check(
            Keep { weekly: 1, ..none },
            &[("2025-12-28", false), ("2025-12-29", false), ("2026-01-04", true)],
        );
        check(
            Keep { monthly: 3, ..none },
            &[
                ("2026-08-31", false),
                ("2026-09-01", true),
                ("2026-10-31", true),
                ("2026-11-01", true),
            ],
        );
        // What one rule wants stays, whatever the others say.
        check(
            Keep { last: 1, monthly: 2, ..none },
            &[
                ("2026-10-01", false),
                ("2026-10-09", true),
                ("2026-11-01", false),
                ("2026-11-02", true),
            ],
        );
    }

    #[test]
    fn the_newest_and_what_is_pinned_stay_whatever_the_rules_say() {
        let old = Keep { days: 1, ..Keep::default() };
        check(old, &[("2020-01-01", false), ("2020-01-02", true)]);
        check(Keep::default(), &[("2020-01-02", true), ("2020-01-01", false)]);
        let mut backups = dated(&["2020-01-01", "2020-01-02", "2020-01-03"]);
        backups[0].pinned = true;
        assert_eq!(kept(&backups, &old, "2026-11-25", "UTC"), [true, false, true]);
        // A pinned one counts all the same: it is one of the last.
        backups[2].pinned = true;
        let last = Keep { last: 1, ..Keep::default() };
        assert_eq!(kept(&backups, &last, "2026-11-25", "UTC"), [true, false, true]);
    }

    #[test]
    fn a_clock_that_was_wrong_takes_nothing_away() {
        // One of the year 2099 is not the newest, and takes no other's place.
        let last = Keep { last: 1, ..Keep::default() };
        check(last, &[("2026-11-24", false), ("2026-11-25", true), ("2099-01-01", true)]);
        // Now it is 1970 again.
        let all = dated(&["2026-11-23", "2026-11-24"]);
        assert_eq!(kept(&all, &last, "1970-01-01", "UTC"), [true, true]);
    }

    #[test]
    fn days_are_those_of_the_zone() {
        // In Berlin both are of the 25th.
        let two = dated(&["2026-11-24T23:30:00Z", "2026-11-25T12:00:00Z"]);
        let daily = Keep { daily: 2, ..Keep::default() };
        assert_eq!(kept(&two, &daily, "2026-11-25T20:00:00Z", "Europe/Berlin"), [false, true]);
        assert_eq!(kept(&two, &daily, "2026-11-25T20:00:00Z", "UTC"), [true, true]);
    }

    fn any_keep() -> impl Strategy<Value = Keep> {
        (0..5u32, 0..5u32, 0..5u32, 0..5u32, 0..40u32).prop_map(
            |(last, daily, weekly, monthly, days)| Keep { last, daily, weekly, monthly, days },
        )
    }

    fn any_backups() -> impl Strategy<Value = Vec<Dated>> {
        // Up to a year and a bit, a little of it in the future.
        let hour = (0..10_000i64, proptest::bool::weighted(0.1));
        proptest::collection::vec(hour, 0..60).prop_map(|hours| {
            let begin = at("2025-10-06");
            let dated = |(hour, pinned)| Dated {
                when: begin.checked_add(SignedDuration::from_hours(hour)).expect("a date"),
                pinned,
            };
            hours.into_iter().map(dated).collect()
        })
    }

    proptest! {
        #[test]
        fn no_rule_takes_what_another_or_common_sense_wants(backups in any_backups(), keep in any_keep()) {
            let now = at("2026-11-20");
            let reasons = reasons(&backups, &keep, now, &TimeZone::UTC);
            let kept = |n: usize| !reasons[n].is_empty();
            let past: Vec<usize> = (0..backups.len()).filter(|n| backups[*n].when <= now).collect();
            let newest = past.iter().copied().max_by_key(|n| (backups[*n].when, *n));
            prop_assert!(newest.is_none_or(kept));
            for (n, backup) in backups.iter().enumerate() {
                prop_assert!(kept(n) || (!backup.pinned && backup.when <= now));
            }
            let count = |reason: Reason| reasons.iter().filter(|it| it.contains(&reason)).count();
            prop_assert_eq!(count(Reason::Last), past.len().min(keep.last as usize));
            prop_assert!(count(Reason::Daily) <= keep.daily as usize);
            prop_assert!(count(Reason::Weekly) <= keep.weekly as usize);
            prop_assert!(count(Reason::Monthly) <= keep.monthly as usize);
            // What is kept of all is kept of what is left, so that pruning twice does nothing more.
            let left: Vec<Dated> = (0..backups.len()).filter(|n| kept(*n)).map(|n| backups[n]).collect();
            let again = super::reasons(&left, &keep, now, &TimeZone::UTC);
            prop_assert!(again.iter().all(|it| !it.is_empty()));
        }
    }
}
