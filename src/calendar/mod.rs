//! Who asks for backups when the settings want them: one task of the daemon, which sleeps between.
//!
//! What a schedule wants next is a matter of rules (`due`); here are the clock, the memory of what
//! was begun (`chronicle`), and the way to the jobs. A restore lets nothing in beside itself: what
//! comes due meanwhile is asked for when it is over.

mod timer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::watch;

use self::timer::{Timer, Woken};
use crate::chronicle::{self, Asked, Chronicle, Task};
use crate::due::{self, Next, Past};
use crate::exit::Exit;
use crate::island::island;
use crate::jobs::{By, Due, Handle, Refused, Request, State};
use crate::lock::{self, Busy};
use crate::log::{Entry, Kind, Log};
use crate::settings::{Profile, Settings};

/// The task.
#[derive(Debug)]
pub struct Calendar {
    jobs: Handle,
    changes: watch::Receiver<State>,
    settings: watch::Receiver<Settings>,
    state: PathBuf,
    log: Log,
    told: watch::Sender<Vec<Due>>,
    timer: Timer,
    /// The number of this installation.
    number: u64,
    /// What comes next, by profile.
    plan: BTreeMap<String, Next>,
    /// The profiles that were refused because of a restore.
    refused: Vec<String>,
}

/// Why a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The daemon has started.
    Started,
    /// The same, while somebody else backs up or restores.
    Busy,
    /// Somebody has set the clock.
    ClockSet,
    /// The settings are new.
    Settings,
}

impl Calendar {
    /// A calendar that asks for jobs in this way, and tells there what comes next.
    ///
    /// # Errors
    /// Where there is no timer.
    pub async fn new(
        jobs: Handle,
        settings: watch::Receiver<Settings>,
        state: PathBuf,
        log: Log,
        told: watch::Sender<Vec<Due>>,
    ) -> anyhow::Result<Calendar> {
        let folder = state.clone();
        let number = island("reading the chronicle", move || chronicle::number(&folder)).await;
        let number = number.unwrap_or_else(|err| {
            warn(&log, &format!("no run is put off by the same time twice: {err:#}"));
            u64::from(std::process::id())
        });
        Ok(Calendar {
            changes: jobs.changes(),
            jobs,
            settings,
            state,
            log,
            told,
            timer: Timer::new()?,
            number,
            plan: BTreeMap::new(),
            refused: Vec::new(),
        })
    }

    /// Keeps the schedules of the settings until the daemon ends.
    ///
    /// # Errors
    /// Where the timer fails, without which nothing would be begun any more.
    pub async fn keep(mut self) -> anyhow::Result<()> {
        self.make_plan(Reason::Started).await;
        loop {
            self.tell();
            if self.timer.set(self.plan.values().map(|it| it.at).min())? {
                self.make_plan(Reason::ClockSet).await;
                continue;
            }
            tokio::select! {
                woken = self.timer.wait() => match woken? {
                    Woken::Due => self.begin().await,
                    Woken::ClockSet => self.make_plan(Reason::ClockSet).await,
                },
                changed = self.settings.changed() => match changed {
                    Ok(()) => self.make_plan(Reason::Settings).await,
                    // The daemon is gone.
                    Err(_) => return Ok(()),
                },
                changed = self.changes.changed(), if !self.refused.is_empty() => match changed {
                    Ok(()) => {
                        let again = std::mem::take(&mut self.refused);
                        self.submit(again).await;
                    }
                    Err(_) => return Ok(()),
                },
            }
        }
    }

    async fn make_plan(&mut self, reason: Reason) {
        let state = self.state.clone();
        let looked = island("reading the chronicle", move || {
            let is_busy = lock::take(&state).is_err_and(|err| err.is::<Busy>());
            Ok((chronicle::read(&state), is_busy))
        });
        let (chronicle, is_busy) = looked.await.unwrap_or_else(|err| (Err(err), false));
        // What an earlier daemon began may go on without it, in a container of its own.
        let reason = match reason {
            Reason::Started if is_busy => Reason::Busy,
            reason => reason,
        };
        let chronicle = chronicle.unwrap_or_else(|err| {
            warn(&self.log, &format!("what was missed is not made up for: {err:#}"));
            Chronicle::default()
        });
        let now = Timestamp::now();
        let settings = self.settings.borrow_and_update().clone();
        self.plan = settings
            .jobs()
            .filter_map(|it| Some((it.profile.clone(), self.next(it, &chronicle, reason, now)?)))
            .collect();
        self.refused.retain(|it| self.plan.contains_key(it));
    }

    fn next(
        &self,
        profile: &Profile,
        chronicle: &Chronicle,
        reason: Reason,
        now: Timestamp,
    ) -> Option<Next> {
        let schedule = profile.schedule.as_ref()?;
        let past = past(chronicle, &profile.profile);
        match reason {
            Reason::Started => due::at_start(schedule, &past, now, self.number),
            // What has no end yet may be under way.
            Reason::Busy | Reason::ClockSet => {
                due::at_start(schedule, &Past { made_up: true, ..past }, now, self.number)
            }
            Reason::Settings => due::from_here(schedule, past.begun(), now, self.number),
        }
    }

    /// Begins what is due.
    async fn begin(&mut self) {
        let now = Timestamp::now();
        let is_due = |it: &Next| it.at <= now;
        let settings = self.settings.borrow().clone();
        for makes_up in [true, false] {
            let profiles: Vec<String> = self
                .plan
                .iter()
                .filter(|(_, next)| is_due(next) && next.makes_up == makes_up)
                .map(|(profile, _)| profile.clone())
                .collect();
            if profiles.is_empty() {
                continue;
            }
            if makes_up {
                let text = format!("making up for what was due before: {}", named(&profiles));
                self.log.say(&Entry::new(Kind::MadeUp, &text));
            }
            self.note(&profiles, Asked { at: now, made_up: makes_up }).await;
            self.submit(profiles).await;
        }
        let schedules = settings.jobs().filter_map(|it| Some((&it.profile, it.schedule.as_ref()?)));
        for (profile, schedule) in schedules {
            let Some(next) = self.plan.get_mut(profile).filter(|it| is_due(it)) else { continue };
            match due::from_here(schedule, Some(now), now, self.number) {
                Some(new) => *next = new,
                None => drop(self.plan.remove(profile)),
            }
        }
    }

    /// Remembers that they were begun, before they are.
    async fn note(&self, profiles: &[String], asked: Asked) {
        let (state, profiles) = (self.state.clone(), profiles.to_owned());
        let noted =
            island("writing the chronicle", move || chronicle::asked(&state, &profiles, asked));
        if let Err(err) = noted.await {
            warn(&self.log, &format!("{err:#}"));
        }
    }

    async fn submit(&mut self, profiles: Vec<String>) {
        for profile in profiles {
            let request = Request {
                words: words(&profile),
                variables: BTreeMap::new(),
                folder: None,
                password: None,
                by: By::Schedule,
            };
            // Seen up to here, so that whatever comes after is worth another try.
            self.changes.mark_unchanged();
            match self.jobs.submit(request).await {
                Err(Refused::Restore) if self.refused.contains(&profile) => (),
                Err(Refused::Restore) => self.refused.push(profile),
                // A job that was asked for is told by the jobs; one that is not any more, by the end.
                Ok(_) | Err(Refused::Closing | Refused::NoJob) => (),
            }
        }
    }

    fn tell(&self) {
        let due = |(profile, next): (&String, &Next)| Due { profile: profile.clone(), at: next.at };
        let mut all: Vec<Due> = self.plan.iter().map(due).collect();
        all.sort_by_key(|it| it.at);
        self.told.send_replace(all);
    }
}

/// The words that do a profile's job.
fn words(profile: &str) -> Vec<String> {
    let words = match profile {
        "" => vec!["backup"],
        profile => vec!["backup", "--profile", profile],
    };
    words.into_iter().map(str::to_owned).collect()
}

fn past(chronicle: &Chronicle, profile: &str) -> Past {
    let asked = chronicle.asked.get(profile);
    let last = chronicle.result(Task::Backup, profile, false);
    Past {
        // One that was cancelled, as by the end of the service, is still owed.
        ended: last.filter(|it| it.exit_code != Exit::Cancelled as u8).map(|it| it.began),
        asked: asked.map(|it| it.at),
        made_up: asked.is_some_and(|it| it.made_up),
    }
}

fn named(profiles: &[String]) -> String {
    let named = |it: &String| if it.is_empty() { "backup".to_owned() } else { it.clone() };
    profiles.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn warn(log: &Log, text: &str) {
    log.say(&Entry::new(Kind::Warned, text));
}
