//! The story of a check: everything that a backup needs is looked at, and nothing is changed.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::archive::Archive;
use crate::backup::{self, Prepared};
use crate::catalog::{self, Catalog};
use crate::engine::Engine;
use crate::findings::{self, Finding, Level};
use crate::fsx;
use crate::hands::Hands;
use crate::island::island;
use crate::keyfile;
use crate::model::Job;
use crate::monitor::Monitor;
use crate::probe;
use crate::settings::{Password, Profile};
use crate::survey::{self, Survey};

/// Looks at the engine, the machine, and for each job at its home, its store and its backups. The
/// findings come in this order, each once.
pub async fn run(
    jobs: &[&Profile],
    state: &Path,
    monitor: Arc<dyn Monitor>,
) -> anyhow::Result<Vec<Finding>> {
    let mut check = Check { findings: Vec::new(), newest: None };
    let survey = match check.engine().await {
        None => None,
        Some((engine, survey)) => {
            for profile in jobs {
                let hands = Hands {
                    engine: engine.clone(),
                    state: state.to_owned(),
                    store: profile.store.clone(),
                    staging: profile.staging.clone(),
                    monitor: monitor.clone(),
                };
                check.job(&hands, &survey, profile).await?;
            }
            Some(survey)
        }
    };
    let in_container = survey.is_some_and(|it| it.facts.own_container.is_some());
    let has_schedule = jobs.iter().any(|it| it.schedule.is_some());
    let folder = state.to_owned();
    let (zone, written) = island("looking at the machine", move || {
        Ok((probe::zone(), probe::write(&folder).map_err(|err| format!("{err:#}"))))
    })
    .await?;
    check.say(findings::clock(Timestamp::now(), check.newest));
    check.say(findings::zone(&zone, in_container, has_schedule));
    check.say(writable("state", state, written));
    Ok(check.findings)
}

/// A check that is under way.
struct Check {
    findings: Vec<Finding>,
    /// The date of the newest backup that was made here.
    newest: Option<Timestamp>,
}

impl Check {
    /// Two jobs of one home find the same.
    fn say(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn fail(&mut self, about: &str, err: impl std::fmt::Display) {
        self.say(Finding::new(Level::Error, about, format!("{err:#}").replace('\n', " ")));
    }

    /// The engine and what it tells, as far as it lets us.
    async fn engine(&mut self) -> Option<(Engine, Survey)> {
        let asked = async {
            let engine = Engine::connect().await?;
            let about = engine.about().await?;
            let forbidden = engine.rights().await?;
            anyhow::Ok((engine, about, forbidden))
        };
        let (engine, about, forbidden) = match asked.await {
            Ok(asked) => asked,
            Err(err) => {
                self.fail("docker", err);
                return None;
            }
        };
        let what = format!("engine {}, API {}", about.version, about.api);
        self.say(Finding::new(Level::Ok, "docker", what));
        for it in forbidden {
            let what = format!("{} is refused: {}", it.right.call(), it.message);
            let cure =
                "let the proxy or plugin before the engine's socket pass what docs/docker.md lists";
            self.say(Finding::new(Level::Error, "docker", what).cured_by(cure));
        }
        match survey::look(&engine).await {
            Ok(survey) => Some((engine, survey)),
            Err(err) => {
                self.fail("docker", err);
                None
            }
        }
    }

    async fn job(
        &mut self,
        hands: &Hands,
        survey: &Survey,
        profile: &Profile,
    ) -> anyhow::Result<()> {
        let about = profile.title();
        self.password(&about, profile).await?;
        let prepared = match backup::prepare(hands, &profile.pick, &profile.request()).await {
            Ok(prepared) => prepared,
            Err(err) => {
                self.fail(&about, err);
                return Ok(());
            }
        };
        for it in findings::missed("home", &survey.facts, &prepared.plan) {
            self.say(it);
        }
        self.store(&about, profile, prepared).await
    }

    async fn password(&mut self, about: &str, profile: &Profile) -> anyhow::Result<()> {
        let Some(Password::File(path)) = profile.password.clone() else { return Ok(()) };
        let read = island("reading the password", move || {
            Ok(keyfile::read(&path).map(|(_, warning)| warning))
        });
        match read.await? {
            Err(err) => self.fail(about, err),
            Ok(Some(warning)) => self.say(Finding::new(Level::Warning, about, warning)),
            Ok(None) => self.say(Finding::new(Level::Ok, about, "the password can be read")),
        }
        Ok(())
    }

    async fn store(
        &mut self,
        about: &str,
        profile: &Profile,
        prepared: Prepared,
    ) -> anyhow::Result<()> {
        let least = prepared.least();
        let job = Job { profile: profile.profile.clone(), home: prepared.plan.home.title() };
        let store = prepared.store.clone();
        let folder = store.folder().to_owned();
        let looked = island("looking at the store", move || {
            let written = probe::write(store.folder()).map_err(|err| format!("{err:#}"));
            let catalog = catalog::read(&store);
            let around = store.folder().ancestors().find_map(|it| fsx::room(it).ok());
            Ok((written, catalog, around.unwrap_or(0)))
        });
        let (written, catalog, free) = looked.await?;
        self.say(writable(about, &folder, written));
        let Catalog { backups, unreadable } = match catalog {
            Ok(catalog) => catalog,
            Err(err) => {
                self.fail(about, err);
                return Ok(());
            }
        };
        for it in unreadable {
            let cure = "remove the file, or bring a sound copy of it";
            self.say(Finding::new(Level::Warning, about, it.to_string()).cured_by(cure));
        }
        let manifest = |it: &&Archive| it.metadata.hearthkeep.is_some();
        let newest = backups.iter().filter(manifest).filter_map(|it| it.metadata.when()).max();
        self.newest = self.newest.max(newest);
        let is_of_job = |it: &&Archive| {
            it.metadata.hearthkeep.as_ref().is_some_and(|it| it.job.as_ref() == Some(&job))
        };
        let last = backups.iter().filter(is_of_job).max_by_key(|it| it.metadata.when());
        let size = last.map(|it| it.size_bytes);
        self.say(findings::room(about, &folder, free, least, size));
        let when = last.and_then(|it| it.metadata.when());
        self.say(findings::age(about, when, profile.schedule.as_ref(), Timestamp::now()));
        for it in profile.schedule.iter().flat_map(|it| findings::due(about, it, Timestamp::now()))
        {
            self.say(it);
        }
        if profile.schedule.is_some() && profile.keep.is_none() {
            let what = "nothing says which backups are kept, so none is ever removed";
            self.say(Finding::new(Level::Note, about, what).cured_by(
                "give it keep in the settings, such as keep: { daily: 7, weekly: 4, monthly: 12 }",
            ));
        }
        Ok(())
    }
}

fn writable(about: &str, folder: &Path, written: Result<(), String>) -> Finding {
    match written {
        Ok(()) => Finding::new(Level::Ok, about, format!("{} can be written", folder.display())),
        Err(err) => Finding::new(
            Level::Error,
            about,
            format!("{} cannot be written: {err}", folder.display()),
        )
        .cured_by("run as root, or mount it so that it can be written"),
    }
}
