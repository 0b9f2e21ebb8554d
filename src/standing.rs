//! What `status` says of how things stand: rules alone, each with its cure.

use jiff::{SignedDuration, Timestamp};

use crate::chronicle::{Chronicle, Incident, Outcome, Task};
use crate::findings::{Finding, GRACE, Level};
use crate::schedule::Schedule;

/// The exit code of a run that somebody has cancelled.
const CANCELLED: u8 = 130;

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What happened so far.
    pub chronicle: &'a Chronicle,
    /// The jobs of the settings; nothing where they cannot be read.
    pub jobs: Option<&'a [Planned<'a>]>,
    /// Why the settings do not count, where they do not.
    pub settings_error: Option<&'a str>,
    /// Whether the journal has something open.
    pub is_open: bool,
    /// Whether a run is under way, which is what that may belong to.
    pub is_running: bool,
    /// Whether the daemon answers.
    pub has_daemon: bool,
}

/// A job of the settings.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// Its profile.
    pub profile: &'a str,
    /// When it is due, where it is by itself.
    pub schedule: Option<&'a Schedule>,
}

/// How things stand, the worst not first but in the order in which one thing explains the next.
pub fn findings(facts: &Facts<'_>, now: Timestamp) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(err) = facts.settings_error {
        let cure =
            "mend it; the service then reads it again at a hangup (systemctl reload hearthkeep)";
        all.push(Finding::new(Level::Error, "settings", err).cured_by(cure));
    }
    all.extend(unattended(facts));
    if facts.is_open && !facts.is_running {
        let what = "an interrupted run has left something open";
        all.push(Finding::new(Level::Error, "journal", what).cured_by("hearthkeep resume"));
    }
    all.extend(since_last_backup(facts.chronicle).map(interrupted));
    all.extend(facts.chronicle.results.iter().map(|it| ended(facts, it)));
    all.extend(facts.jobs.into_iter().flatten().filter_map(|it| overdue(facts.chronicle, it, now)));
    all
}

/// The incidents that no good backup has put behind us.
pub fn since_last_backup(chronicle: &Chronicle) -> impl Iterator<Item = &Incident> {
    let last = chronicle.last_backup();
    chronicle.incidents.iter().filter(move |it| last.is_none_or(|last| it.at > last))
}

fn unattended(facts: &Facts<'_>) -> Option<Finding> {
    let mut jobs = facts.jobs.into_iter().flatten();
    let is_needed = jobs.any(|it| it.schedule.is_some());
    (is_needed && !facts.has_daemon).then(|| {
        let what = "the settings have a schedule, and no service answers that would keep it";
        Finding::new(Level::Warning, "schedule", what).cured_by(
            "start hearthkeep.service or the sidecar; or leave the schedule to hearthkeep-backup.timer and take it out of the settings",
        )
    })
}

fn interrupted(incident: &Incident) -> Finding {
    let story = incident.story.map_or("a run", |it| it.word());
    let mut all = incident.closed.clone();
    all.extend(incident.warnings.iter().cloned());
    let what = format!("{story} was interrupted; {}: {}", incident.by.word(), all.join(", "));
    Finding::new(Level::Warning, "incident", what)
        .cured_by("look whether all is as it should be; the next good backup puts this behind")
}

fn ended(facts: &Facts<'_>, outcome: &Outcome) -> Finding {
    let about = title(outcome.task, &outcome.profile);
    if outcome.is_good() {
        let level = if outcome.exit_code == 0 { Level::Ok } else { Level::Note };
        let what = outcome.warnings.join("; ");
        return Finding::new(level, &about, if what.is_empty() { "done".to_owned() } else { what });
    }
    let was_cancelled = outcome.exit_code == CANCELLED;
    let why = outcome.message.as_deref().unwrap_or("nobody knows why");
    let what = if was_cancelled { "it was cancelled".to_owned() } else { format!("failed: {why}") };
    let good = match &outcome.last_good {
        Some(good) => format!("the last good one is of {}", good.began),
        None => "there is no good one".to_owned(),
    };
    let level = match is_past(facts, outcome) {
        true => Level::Note,
        false if was_cancelled => Level::Warning,
        false => Level::Error,
    };
    let finding = Finding::new(level, &about, format!("{what}; {good}"));
    match (outcome.task, level) {
        (_, Level::Note) => finding,
        (Task::Backup | Task::Prune, _) => {
            finding.cured_by(format!("mend that, then {}", command(outcome)))
        }
        (Task::Restore | Task::BootTest, _) => finding.cured_by("mend that, then try again"),
    }
}

/// Whether nobody need look at a failed run any more: a person was there, its profile is gone, or
/// the home that a restore was for has been backed up since.
fn is_past(facts: &Facts<'_>, outcome: &Outcome) -> bool {
    let is_known = |jobs: &[Planned<'_>]| {
        outcome.profile.is_empty() || jobs.iter().any(|it| it.profile == outcome.profile)
    };
    outcome.by_hand
        || facts.jobs.is_some_and(|it| !is_known(it))
        || outcome.task == Task::Restore
            && facts.chronicle.last_backup().is_some_and(|it| it > outcome.ended)
}

/// A job that was due and was not done, though the last one went well.
fn overdue(chronicle: &Chronicle, job: &Planned<'_>, now: Timestamp) -> Option<Finding> {
    let schedule = job.schedule?;
    let last = chronicle.result(Task::Backup, job.profile, false)?;
    let good = last.last_good.as_ref().filter(|_| last.is_good())?;
    let grace = SignedDuration::try_from(schedule.jitter() + GRACE).unwrap_or_default();
    let is_late = now.checked_sub(grace).is_ok_and(|now| schedule.is_missed(good.began, now));
    is_late.then(|| {
        let what = format!("one was due since {}, and was not made", good.began);
        Finding::new(Level::Warning, &title(Task::Backup, job.profile), what)
            .cured_by(format!("look into the log of the service; {}", command(last)))
    })
}

/// The name of a job for people.
pub fn title(task: Task, profile: &str) -> String {
    match profile {
        "" => task.word().to_owned(),
        profile => format!("{} {profile}", task.word()),
    }
}

fn command(outcome: &Outcome) -> String {
    let word = outcome.task.word();
    match outcome.profile.as_str() {
        "" => format!("hearthkeep {word}"),
        profile => format!("hearthkeep {word} --profile {profile}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::chronicle::{Door, Good};
    use crate::journal::Story;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    fn outcome(task: Task, profile: &str, began: &str, exit_code: u8) -> Outcome {
        let good = Good { began: at(began), ended: at(began), slug: None };
        Outcome {
            task,
            profile: profile.to_owned(),
            by_hand: false,
            began: at(began),
            ended: at(began),
            exit_code,
            slug: None,
            longest_hold_seconds: None,
            message: (exit_code == 1).then(|| "no room".to_owned()),
            warnings: Vec::new(),
            last_good: (exit_code == 0).then_some(good),
        }
    }

    fn chronicle(results: Vec<Outcome>) -> Chronicle {
        let mut chronicle = Chronicle::default();
        chronicle.results = results;
        chronicle
    }

    /// The findings that somebody should look at.
    fn told(facts: &Facts<'_>) -> Vec<(Level, String)> {
        let all = findings(facts, at("2026-11-25T12:00:00Z"));
        let bad = all.into_iter().filter(|it| it.level > Level::Note);
        bad.map(|it| {
            assert!(it.cure.is_some(), "{it:?}");
            (it.level, format!("{}: {}", it.about, it.what))
        })
        .collect()
    }

    fn facts<'a>(chronicle: &'a Chronicle, jobs: &'a [Planned<'a>]) -> Facts<'a> {
        Facts {
            chronicle,
            jobs: Some(jobs),
            settings_error: None,
            is_open: false,
            is_running: false,
            has_daemon: true,
        }
    }

    #[test]
    fn only_what_somebody_can_still_do_something_about_is_told() {
        let good = "2026-11-24T04:45:00Z";
        let bad = "2026-11-25T04:45:00Z";
        let jobs = [Planned { profile: "night", schedule: None }];
        let check = |results: Vec<Outcome>, wanted: &[&str]| {
            let chronicle = chronicle(results);
            let told = told(&facts(&chronicle, &jobs));
            assert_eq!(told.len(), wanted.len(), "{told:?}");
            for ((_, told), wanted) in told.iter().zip(wanted) {
                assert!(told.contains(wanted), "{told}");
            }
        };
        check(vec![], &[]);
        check(vec![outcome(Task::Backup, "night", good, 0)], &[]);
        check(vec![outcome(Task::Backup, "night", good, 3)], &[]);
        let failed = outcome(Task::Backup, "night", bad, 1);
        check(vec![failed.clone()], &["backup night: failed: no room; there is no good one"]);
        let before = outcome(Task::Backup, "night", good, 0).last_good;
        check(vec![Outcome { last_good: before, ..failed.clone() }], &["is of 2026-11-24T04:45"]);
        check(vec![Outcome { by_hand: true, ..failed }], &[]);
        check(vec![outcome(Task::Backup, "gone", bad, 1)], &[]);
        check(vec![outcome(Task::Backup, "", bad, 130)], &["backup: it was cancelled"]);
        let restore = outcome(Task::Restore, "", good, 13);
        check(vec![restore.clone()], &["restore: failed"]);
        check(vec![restore, outcome(Task::Backup, "", bad, 0)], &[]);
    }

    #[test]
    fn an_incident_counts_until_the_next_good_backup() {
        let incident = Incident {
            at: at("2026-11-25T04:46:00Z"),
            by: Door::Guardian,
            story: Some(Story::Backup),
            closed: vec!["released broker".to_owned()],
            warnings: vec![],
        };
        let mut chronicle = chronicle(vec![outcome(Task::Backup, "", "2026-11-25T04:00:00Z", 0)]);
        chronicle.incidents.push(incident);
        let found = told(&facts(&chronicle, &[]));
        let wanted = "incident: a backup was interrupted; the guardian: released broker";
        assert_eq!(found, [(Level::Warning, wanted.to_owned())]);
        chronicle.results = vec![outcome(Task::Backup, "", "2026-11-25T05:00:00Z", 0)];
        assert_eq!(told(&facts(&chronicle, &[])), []);
    }

    #[test]
    fn what_nobody_keeps_is_told() {
        let daily = Schedule::parse("04:45", TimeZone::UTC).expect("a schedule");
        let jobs = [Planned { profile: "", schedule: Some(&daily) }];
        let none = chronicle(vec![]);
        assert_eq!(told(&facts(&none, &jobs)), []);
        let alone = Facts { has_daemon: false, ..facts(&none, &jobs) };
        assert!(told(&alone)[0].1.contains("no service answers"));
        assert_eq!(told(&Facts { has_daemon: false, ..facts(&none, &[]) }), []);
        let late = chronicle(vec![outcome(Task::Backup, "", "2026-11-24T04:45:00Z", 0)]);
        assert!(told(&facts(&late, &jobs))[0].1.contains("one was due since 2026-11-24T04:45"));
        let good = chronicle(vec![outcome(Task::Backup, "", "2026-11-25T04:45:00Z", 0)]);
        assert_eq!(told(&facts(&good, &jobs)), []);
        // Under way, it may be late.
        let soon = Schedule::parse("11:30", TimeZone::UTC).expect("a schedule");
        let jobs = [Planned { profile: "", schedule: Some(&soon) }];
        let waits = chronicle(vec![outcome(Task::Backup, "", "2026-11-24T11:30:00Z", 0)]);
        assert_eq!(told(&facts(&waits, &jobs)), []);
    }

    #[test]
    fn what_is_open_is_told_once_nobody_works_at_it() {
        let none = chronicle(vec![]);
        let open = Facts { is_open: true, ..facts(&none, &[]) };
        assert!(told(&open)[0].1.contains("left something open"));
        assert_eq!(told(&Facts { is_running: true, ..open }), []);
        let broken = Facts { settings_error: Some("line 3"), jobs: None, ..facts(&none, &[]) };
        assert_eq!(told(&broken), [(Level::Error, "settings: line 3".to_owned())]);
    }
}
