//! A job that was killed: what it left open is closed, written down and told.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::run::Running;
use crate::chronicle::{self, Door, Outcome};
use crate::exit::Exit;
use crate::island::island;
use crate::lines::Line;
use crate::lock::{self, Busy};
use crate::log::{Entry, Kind};
use crate::recover::{self, Recovered, Wreck};

/// How long the guardian of a job that died is waited for. It waits for an engine that is away.
const GUARDIAN: Duration = Duration::from_mins(30);

/// How long it may take to end, once everything is closed.
const LAST_DEEDS: Duration = Duration::from_secs(5);

/// How often is looked whether the guardian is done.
const BETWEEN_LOCKS: Duration = Duration::from_millis(50);

/// The options that make a backup none of those that its job makes by itself.
const BY_HAND: [&str; 4] = ["--name", "--only", "--exclude", "--no-database"];

impl Running<'_> {
    /// Closes what a job left open that was killed. Its guardian may be faster.
    pub(super) async fn clean_up(&self, signal: i32, began: Timestamp) -> u8 {
        let what = format!("the job was killed by signal {signal}");
        self.told.say(Entry::new(Kind::JobWarning, &what));
        self.hear(Line::Step { step: "closing what the job left open".to_owned(), bytes: 0 });
        let (mut recovered, outcome) = match self.close().await {
            Ok(recovered) => (recovered, "what it had left open was closed"),
            Err(err) => {
                let warnings = vec![format!("closing what {} left open: {err:#}", self.id)];
                let recovered = Recovered { warnings, ..Recovered::default() };
                (recovered, "what it had left open could not be closed: say hearthkeep resume")
            }
        };
        if recovered == Recovered::default() {
            recovered.warnings = self.closed_by_guardian(began).await;
        }
        for warning in &recovered.warnings {
            self.hear(Line::Warning(warning.clone()));
        }
        self.remember(began, &what).await;
        recovered.warnings.insert(0, format!("job {}: {what}", self.id));
        let told = recovered.lines().into_iter().chain(recovered.warnings.iter().cloned());
        let told = format!("recovered: {}", told.collect::<Vec<_>>().join("; "));
        self.told.say(Entry::new(Kind::Recovered, &told));
        self.place.recovered.send_replace(Some(recovered));
        self.fail(&format!("{what}; {outcome}"), Exit::Failed)
    }

    /// Closes what it left open, once its guardian is done.
    async fn close(&self) -> anyhow::Result<Recovered> {
        let (state, since) = (&self.place.surroundings.state, Instant::now());
        // Containers may be held: nothing ends this.
        let never = CancellationToken::new();
        loop {
            match recover::resume(state, Wreck::Stays, Door::Daemon, &never).await {
                Err(err) if err.is::<Busy>() && since.elapsed() < GUARDIAN => {
                    sleep(BETWEEN_LOCKS).await;
                }
                closed => return closed,
            }
        }
    }

    /// Writes down how a job ended that could not do so itself.
    async fn remember(&self, began: Timestamp, what: &str) {
        let Some(task) = self.request.task() else { return };
        let outcome = Outcome {
            task,
            profile: self.request.profile().unwrap_or_default().to_owned(),
            by_hand: self
                .request
                .words
                .iter()
                .any(|word| BY_HAND.iter().any(|it| word.starts_with(it))),
            began,
            ended: Timestamp::now(),
            exit_code: Exit::Failed as u8,
            slug: None,
            longest_hold_seconds: None,
            message: Some(what.to_owned()),
            warnings: Vec::new(),
            last_good: None,
        };
        let state = self.place.surroundings.state.clone();
        let ended = island("writing the chronicle", move || chronicle::ended(&state, outcome));
        if let Err(err) = ended.await {
            self.told.say(Entry::new(Kind::JobWarning, &format!("{err:#}")));
        }
    }

    /// What the guardian has closed since the job began, as it has written it down.
    async fn closed_by_guardian(&self, began: Timestamp) -> Vec<String> {
        let since = Instant::now();
        let incidents = loop {
            let state = self.place.surroundings.state.clone();
            // It writes before it lets go of the lock.
            let read = island("reading the chronicle", move || {
                let _lock = lock::take(&state)?;
                chronicle::read(&state).map(|it| it.incidents)
            });
            match read.await {
                Err(err) if err.is::<Busy>() && since.elapsed() < LAST_DEEDS => {
                    sleep(BETWEEN_LOCKS).await;
                }
                read => break read.unwrap_or_default(),
            }
        };
        let since = incidents.into_iter().filter(|it| it.by == Door::Guardian && it.at >= began);
        since.flat_map(|it| it.closed.into_iter().chain(it.warnings)).collect()
    }
}
