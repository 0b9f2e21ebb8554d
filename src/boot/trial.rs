//! Whether the copies come up.

use std::ffi::OsString;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::copies::copy_of;
use crate::engine;
use crate::gate::{self, Gate, Runner};
use crate::hands::Hands;
use crate::island::island;
use crate::plan::{BootPlan, BootSource, Copied};
use crate::signals::{self, Cancelled};
use crate::throwaway::Throwaway;

/// Home Assistant answers a moment before it looks at its database. One that is not configured to
/// use it never does.
const PATIENCE_FOR_DATABASE: Duration = Duration::from_secs(20);

/// It opens a database to look at it, and then puts it aside or keeps it.
const DATABASE_IS_LOOKED_AT: Duration = Duration::from_secs(2);

/// How long the copies have to stay up.
const SETTLE: Duration = Duration::from_secs(2);

const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// A copy did not come up.
#[derive(Debug, thiserror::Error)]
#[error("{}{}", self.in_short(), gate::and_its_log(.log))]
pub struct NotBooted {
    /// The container whose copy it was.
    pub container: String,
    /// What it did instead.
    pub reason: String,
    /// The last lines of its log; empty where there are none.
    pub log: String,
}

impl NotBooted {
    /// The same without what the container has printed, which may be anything.
    pub fn in_short(&self) -> String {
        format!("the backup does not boot: {}: {}", self.container, self.reason)
    }
}

/// Copies that were made, and what they have to show.
pub(super) struct Trial<'a> {
    pub(super) hands: &'a Hands,
    pub(super) mark: &'a str,
    pub(super) plan: &'a BootPlan,
    pub(super) throwaway: &'a Throwaway,
    pub(super) patience: Duration,
    pub(super) cancel: &'a CancellationToken,
}

impl Trial<'_> {
    /// Starts all copies, and waits until they are up and Home Assistant answers.
    ///
    /// # Errors
    /// [`NotBooted`], and whatever keeps the engine from telling.
    pub(super) async fn pass(&self) -> anyhow::Result<()> {
        let (throwaway, config) = (self.throwaway.clone(), self.config());
        let labelled = self.plan.port;
        let (port, aside, has_database) = island("reading the port", move || {
            let text = |name| throwaway.text(&config, name).unwrap_or_default();
            let aside = throwaway.put_aside(&config);
            let port = labelled
                .unwrap_or_else(|| gate::port(&text(gate::CONFIGURATION), &text(gate::STORED)));
            Ok((port, aside, throwaway.has_database(&config)))
        })
        .await?;
        self.hands.monitor.step("starting the copies", 0);
        for copied in &self.plan.copies {
            signals::check(self.cancel)?;
            self.start(copied).await?;
        }
        self.hands.monitor.step("waiting for Home Assistant", 0);
        let all: Vec<&Copied> = self.plan.copies.iter().collect();
        self.wait_for(&all, Some(port)).await?;
        if has_database {
            self.wait_for_database(&aside).await?;
        }
        Ok(())
    }

    async fn start(&self, copied: &Copied) -> anyhow::Result<()> {
        let others = self.plan.copies.iter().filter(|it| copied.waits_for.contains(&it.name));
        let others: Vec<&Copied> = others.collect();
        if !others.is_empty() {
            self.wait_for(&others, None).await?;
        }
        match self.hands.engine.start(&self.copy(&copied.name)).await {
            // What it starts with is from the home, but what lies there is from the backup.
            Err(err @ engine::Error::Refused { .. }) => {
                Err(self.not_booted(&copied.name, &err.to_string()).await)
            }
            started => Ok(started?),
        }
    }

    async fn wait_for(&self, copies: &[&Copied], port: Option<u16>) -> anyhow::Result<()> {
        let runner =
            |it: &&Copied| Runner { name: self.copy(&it.name), needs_health: it.needs_health };
        let gate = Gate {
            running: copies.iter().map(runner).collect(),
            answering: port.map(|it| (self.copy(&self.plan.homeassistant), it)),
            patience: self.patience,
            settle: SETTLE,
        };
        self.hands.monitor.silence(gate.patience.saturating_add(gate.settle));
        match gate::pass(&self.hands.engine, &gate, self.cancel).await {
            Ok(()) => Ok(()),
            Err(err) if err.is::<Cancelled>() || err.is::<engine::Error>() => Err(err),
            Err(err) => {
                let Some(down) = err.downcast_ref::<gate::Down>() else {
                    return Err(self.not_booted(&self.plan.homeassistant, &err.to_string()).await);
                };
                let copied = copies.iter().find(|it| self.copy(&it.name) == down.container);
                let container = copied.map_or(&self.plan.homeassistant, |it| &it.name);
                Err(self.not_booted(container, &format!("it {}", down.why)).await)
            }
        }
    }

    /// Waits until Home Assistant has looked at its database.
    async fn wait_for_database(&self, aside: &[OsString]) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE_FOR_DATABASE;
        let look = async || {
            let (throwaway, config) = (self.throwaway.clone(), self.config());
            island("looking at the database", move || {
                Ok((throwaway.put_aside(&config), throwaway.database_is_open(&config)))
            })
            .await
        };
        let mut is_open = false;
        loop {
            let (now, opened) = look().await?;
            if now.iter().any(|it| !aside.contains(it)) {
                let reason = "it could not use its database and has put it aside";
                return Err(self.not_booted(&self.plan.homeassistant, reason).await);
            }
            if is_open || Instant::now() > until {
                return Ok(());
            }
            is_open = opened;
            let pause = if is_open { DATABASE_IS_LOOKED_AT } else { PAUSE_BETWEEN_LOOKS };
            self.cancel.run_until_cancelled(sleep(pause)).await.ok_or(Cancelled)?;
        }
    }

    async fn not_booted(&self, container: &str, reason: &str) -> anyhow::Error {
        let log = gate::last_words(&self.hands.engine, &self.copy(container)).await;
        // A copy's own name means nothing to anybody.
        let reason = reason.replace(&super::name(self.mark, ""), "");
        NotBooted { container: container.to_owned(), reason, log }.into()
    }

    fn copy(&self, container: &str) -> String {
        copy_of(self.mark, container)
    }

    /// Where the copy of Home Assistant has its configuration from.
    fn config(&self) -> BootSource {
        let all = self.plan.copies.iter().filter(|it| it.name == self.plan.homeassistant);
        let mut mounts = all.flat_map(|it| &it.mounts);
        let config = mounts.find(|it| it.destination.as_os_str() == "/config");
        config.map_or(BootSource::Empty, |it| it.from.clone())
    }
}
