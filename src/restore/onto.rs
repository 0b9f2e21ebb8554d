//! A home on a machine where nothing runs yet: a Compose file says what it is made of, and Compose
//! makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use super::Order;
use crate::archive::{self, Archive, Checks};
use crate::compose::{self, Compose, Project};
use crate::compose_file::{ComposeFile, Values, compose_file, usual};
use crate::hands::Hands;
use crate::island::island;
use crate::model::{Container, Recipe};
use crate::plan::{Pick, RestorePlan};
use crate::survey;

/// Where Compose 2 notes on whom a container depends: `service:condition:restart,…`.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// The containers that a restore goes into.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Which home.
    pub(super) pick: Pick,
    /// By identifier, where they are all that may be the home.
    pub(super) only: Option<BTreeSet<String>>,
    /// What was made for them.
    made: Option<Made>,
    /// What a person should know of it.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Made {
    project: Project,
    compose: Compose,
    /// Whether the file was there before.
    had_file: bool,
    /// The containers that were there before, by identifier.
    before: BTreeSet<String>,
    /// Folders and files of mounts.
    sources: Vec<PathBuf>,
}

/// What a dry run knows of a home that is not there yet.
#[derive(Debug, Clone)]
pub struct Foreseen {
    /// The Compose file.
    pub file: PathBuf,
    /// What would be written into it, without what may be secret; nothing where it is there.
    pub text: Option<ComposeFile>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What a restore would go into: containers that are there, or what would have to be made first.
pub async fn foresee(
    hands: &Hands,
    archive: &Archive,
    order: &Order,
) -> anyhow::Result<Result<Site, Foreseen>> {
    let Some(file) = &order.onto else { return Ok(Ok(Site::of(order))) };
    let project = project(file, order).await?;
    let containers = hands.engine.look().await?;
    if let Some(site) = existing(&project, &containers, order).await? {
        return Ok(Ok(site));
    }
    if exists(&project).await? {
        return Ok(Err(Foreseen { file: project.file, text: None, notes: Vec::new() }));
    }
    let (recipes, mut notes) = recipes(archive);
    let text = shown(archive, &recipes);
    notes.extend(text.notes.iter().cloned());
    Ok(Err(Foreseen { file: project.file, text: Some(text), notes }))
}

impl Site {
    fn of(order: &Order) -> Site {
        Site { pick: order.pick.clone(), ..Site::default() }
    }

    /// Whether it is only there for this restore.
    pub(super) fn is_new(&self) -> bool {
        self.made.is_some()
    }

    /// Makes the folders and files of mounts that get content.
    pub(super) async fn make_sources(
        &mut self,
        archive: &Archive,
        plan: &RestorePlan,
        reach: &crate::reach::Reach,
    ) -> anyhow::Result<()> {
        let Some(made) = &mut self.made else { return Ok(()) };
        let manifest = archive.metadata.hearthkeep.clone().unwrap_or_default();
        let (routes, reach) = (plan.routes.clone(), reach.clone());
        let (sources, outcome) = island("making folders", move || {
            let mut sources = Vec::new();
            for route in routes {
                let part = manifest.parts.iter().find(|it| it.item == route.item.to_string());
                let trees = part.iter().flat_map(|it| &it.trees).collect::<Vec<_>>();
                let is_file = trees.iter().any(|it| it.prefix == route.tree.prefix && it.is_file);
                let Some(path) = reach.local(&route.tree.source) else { continue };
                match compose::make_source(&path, is_file) {
                    Ok(made) => sources.extend(made),
                    Err(err) => return Ok((sources, Err(err))),
                }
            }
            Ok((sources, Ok(())))
        })
        .await?;
        made.sources.extend(sources);
        outcome
    }

    /// Removes what was made, after an error; gives the error to tell. The file stays, so that a
    /// person can look at it.
    pub(super) async fn abandon(self, hands: &Hands, err: anyhow::Error) -> anyhow::Error {
        let Some(made) = self.made else { return err };
        let file = made.project.file.display().to_string();
        match made.unmake(hands).await {
            Ok(()) if made.had_file => err,
            Ok(()) => err.context(format!("{file} was written and stays; its containers do not")),
            Err(left) => err.context(format!(
                "the containers of {file} are still there, run `docker compose down` beside it ({left:#}); before that"
            )),
        }
    }
}

impl Made {
    async fn unmake(&self, hands: &Hands) -> anyhow::Result<()> {
        let containers = hands.engine.look().await?;
        let Made { project, compose, sources, before, .. } = self.clone();
        island("removing what was made", move || {
            let ours: Vec<&Container> = containers.iter().filter(|it| project.has(it)).collect();
            let projects: BTreeSet<_> = ours.iter().filter_map(|it| it.project()).collect();
            let is_of_ours = |it: &&Container| it.project().is_some_and(|it| projects.contains(it));
            // Compose goes by the name of the project alone, and that may be another's: where none
            // of this one was made, it is not asked.
            if let Some(it) =
                containers.iter().filter(is_of_ours).find(|it| before.contains(&it.id))
            {
                bail!("{} was there before", it.name);
            }
            let unmade = if ours.is_empty() { Ok(()) } else { compose.unmake(&project) };
            compose::remove_sources(&sources);
            unmade
        })
        .await
    }
}

/// Finds the containers that a restore goes into; where they are not there, Compose makes them.
pub(super) async fn set_up(
    hands: &Hands,
    archive: Archive,
    order: &Order,
    cancel: &CancellationToken,
) -> anyhow::Result<(Archive, Site)> {
    let Some(file) = &order.onto else { return Ok((archive, Site::of(order))) };
    let project = project(file, order).await?;
    let containers = hands.engine.look().await?;
    if let Some(site) = existing(&project, &containers, order).await? {
        return Ok((archive, site));
    }
    let archive = check(hands, archive, cancel).await?;
    hands.monitor.step("making the containers", 0);
    let wanted = project.clone();
    let written = island("writing the Compose file", move || {
        let had_file = wanted.is_there();
        let written = match had_file {
            true => None,
            false => Some(write(&wanted, &archive)?),
        };
        Ok((archive, had_file, written, Compose::find(&wanted)?))
    });
    let (archive, had_file, written, compose) = written.await?;
    let before: BTreeSet<String> = containers.into_iter().map(|it| it.id).collect();
    let made = Made { project, compose, had_file, before, sources: Vec::new() };
    let mut site = Site { made: Some(made.clone()), ..Site::of(order) };
    if let Some((file, notes)) = &written {
        site.notes.push(format!("{} was written from the backup", made.project.file.display()));
        site.notes.extend(notes.iter().chain(&file.notes).cloned());
    }
    let (asked, cancel) = (made.project.clone(), cancel.clone());
    let outcome = island("making the containers", move || compose.make(&asked, &cancel)).await;
    if let Err(err) = outcome {
        let to_set = written.map(|(it, _)| it.to_set).unwrap_or_default();
        let err = match to_set.as_slice() {
            [] => err,
            names => err.context(format!(
                "the backup does not know the values of {}: put them into {}, then run this again",
                names.join(", "),
                made.project.folder().join(".env").display()
            )),
        };
        return Err(site.abandon(hands, err).await);
    }
    match found(hands, &made.project, order).await {
        Ok(found) => Ok((archive, Site { made: Some(made), notes: site.notes, ..found })),
        Err(err) => Err(site.abandon(hands, err).await),
    }
}

/// Reads the backup to its end: containers are made for a sound one only.
async fn check(
    hands: &Hands,
    archive: Archive,
    cancel: &CancellationToken,
) -> anyhow::Result<Archive> {
    let (monitor, cancel) = (hands.monitor.clone(), cancel.clone());
    monitor.step("checking the backup", archive.size_bytes);
    island("checking", move || {
        archive::verify(&archive, Checks::default(), &cancel, &*monitor)?.restorable(&archive)?;
        Ok(archive)
    })
    .await
}

async fn found(hands: &Hands, project: &Project, order: &Order) -> anyhow::Result<Site> {
    let containers = hands.engine.look().await?;
    let site = existing(project, &containers, order).await?;
    site.ok_or_else(|| anyhow::anyhow!("{} makes no container", project.file.display()))
}

/// Writes the Compose file of a backup; gives it, and what else a person should know.
fn write(project: &Project, archive: &Archive) -> anyhow::Result<(ComposeFile, Vec<String>)> {
    let (recipes, notes) = recipes(archive);
    let confidential = archive.confidential().context("reading what is confidential")?;
    let file = compose_file(&recipes, Values::Known(&confidential));
    project.write(&file.text, !confidential.is_empty())?;
    Ok((file, notes))
}

/// How the containers were made that a backup is of, as far as it tells.
fn recipes(archive: &Archive) -> (Vec<Recipe>, Vec<String>) {
    let recipes = archive.metadata.hearthkeep.iter().flat_map(|it| &it.containers);
    let recipes: Vec<Recipe> = recipes.cloned().collect();
    match recipes.is_empty() {
        true => usual(&archive.metadata.contents()),
        false => (recipes, Vec::new()),
    }
}

/// The file as a dry run shows it.
fn shown(archive: &Archive, recipes: &[Recipe]) -> ComposeFile {
    match archive.metadata.protected {
        true => compose_file(recipes, Values::Hidden),
        false => compose_file(recipes, Values::Known(&BTreeMap::new())),
    }
}

async fn project(file: &Path, order: &Order) -> anyhow::Result<Project> {
    let (file, name) = (file.to_owned(), order.pick.project.clone());
    island("finding the Compose file", move || Project::new(&file, name)).await
}

async fn exists(project: &Project) -> anyhow::Result<bool> {
    let project = project.clone();
    island("finding the Compose file", move || Ok(project.is_there())).await
}

/// The containers of a file, where there are any.
async fn existing(
    project: &Project,
    containers: &[Container],
    order: &Order,
) -> anyhow::Result<Option<Site>> {
    let (project, containers) = (project.clone(), containers.to_vec());
    let pick = order.pick.clone();
    island("looking for the containers of the Compose file", move || {
        let ours: Vec<&Container> = containers.iter().filter(|it| project.has(it)).collect();
        let Some(first) = ours.first() else {
            if let Some(stranger) = project.strangers(&containers).first() {
                bail!(
                    "{} belongs to another project of the same name, {}: name this one with --project",
                    stranger.name,
                    stranger.project().unwrap_or_default()
                );
            }
            return Ok(None);
        };
        let pick = Pick { project: first.project().map(str::to_owned), ..pick };
        let only = ours.iter().map(|it| it.id.clone()).collect();
        Ok(Some(Site { pick, only: Some(only), ..Site::default() }))
    })
    .await
}

/// The facts of the containers that may be meant.
pub(super) async fn look(
    hands: &Hands,
    archive: &Archive,
    site: &Site,
) -> anyhow::Result<survey::Survey> {
    let mut survey = survey::look(&hands.engine).await?;
    if let Some(only) = &site.only {
        // What else runs on the machine is another home's.
        survey.facts.containers.retain(|it| only.contains(&it.id));
        let recipes = archive.metadata.hearthkeep.iter().flat_map(|it| &it.containers);
        let recipes: Vec<&Recipe> = recipes.collect();
        survey.facts.containers.iter_mut().for_each(|it| add_dependence(it, &recipes));
    }
    Ok(survey)
}

/// Compose 1.29 does not note who depends on whom; the backup may know.
fn add_dependence(container: &mut Container, recipes: &[&Recipe]) {
    let recipe = recipes.iter().find(|it| container.service() == Some(&it.service));
    let Some(recipe) = recipe.filter(|_| container.label(DEPENDS_ON).is_none()) else { return };
    let all: Vec<String> =
        recipe.depends_on.iter().map(|(service, how)| format!("{service}:{how}:false")).collect();
    if !all.is_empty() {
        container.labels.insert(DEPENDS_ON.to_owned(), all.join(","));
    }
}
