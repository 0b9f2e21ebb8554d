//! `hearthkeep prune`.

use serde::Serialize;

use super::args::Prune;
use super::exit::Mistake;
use super::list::local;
use super::render::{size, table};
use super::{Exit, Face, ask};
use crate::island::island;
use crate::model::Job;
use crate::prune::{self, Judged};
use crate::retention::Keep;
use crate::settings::Profile;
use crate::store::Store;
use crate::{lock, plan, survey};

#[derive(Debug, Serialize)]
struct Done {
    dry_run: bool,
    /// In the order in which they were made, those of one job together.
    removed: Vec<Shown>,
    kept: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    profile: String,
    slug: String,
    name: String,
    date: String,
    path: String,
    size_bytes: u64,
    /// Why it stays.
    reasons: Vec<&'static str>,
}

/// A job with rules of its own, and where its backups lie.
struct Task {
    store: Store,
    job: Job,
    keep: Keep,
}

pub(super) async fn run(face: &Face, args: Prune) -> anyhow::Result<Exit> {
    if !args.dry_run
        && let Some(exit) = ask::instead(face, None).await?
    {
        return Ok(exit);
    }
    let tasks = tasks(face).await?;
    let state = face.common.state_folder()?;
    let done = island("pruning", move || {
        // Nothing goes while somebody backs up or restores.
        let _lock = (!args.dry_run).then(|| lock::take(&state)).transpose()?;
        let mut done = Done { dry_run: args.dry_run, removed: Vec::new(), kept: Vec::new() };
        for Task { store, job, keep } in tasks {
            for it in prune::judge(&store, &job, &keep, jiff::Timestamp::now())? {
                let goes = it.reasons.is_empty();
                if goes && !args.dry_run {
                    prune::remove(&store, &it)?;
                }
                let shown = Shown::of(&job, it);
                if goes { done.removed.push(shown) } else { done.kept.push(shown) }
            }
        }
        Ok(done)
    })
    .await?;
    face.out.print(&done, || text(&done));
    Ok(Exit::Done)
}

/// The job that was named, or all that say what is kept.
async fn tasks(face: &Face) -> anyhow::Result<Vec<Task>> {
    let asked: Vec<&Profile> = match face.common.profile {
        Some(_) => vec![&face.profile],
        None => face.settings.all().collect(),
    };
    let with_rules = asked.iter().filter_map(|it| Some((*it, it.keep?)));
    let jobs: Vec<(&Profile, Keep)> = with_rules.collect();
    if jobs.is_empty() {
        let what = "the settings do not say what is kept: give a job the key keep, such as keep: { daily: 7, weekly: 4 }";
        return Err(Mistake(what.to_owned()).into());
    }
    let mut hands = face.hands().await?;
    let survey = survey::look(&hands.engine).await?;
    let mut tasks = Vec::new();
    for (profile, keep) in jobs {
        let home = plan::find(&survey.facts, &profile.pick)?;
        hands.store = profile.store.clone();
        let folder = hands.store_of(&home, &survey.reach)?;
        let store = island("opening the store", move || Store::open(&folder)).await?;
        let job = Job { profile: profile.profile.clone(), home: home.title() };
        tasks.push(Task { store, job, keep });
    }
    Ok(tasks)
}

impl Shown {
    fn of(job: &Job, it: Judged) -> Shown {
        Shown {
            profile: job.profile.clone(),
            slug: it.slug,
            name: it.name,
            date: it.date,
            path: it.path.display().to_string(),
            size_bytes: it.size_bytes,
            reasons: it.reasons.into_iter().map(crate::retention::Reason::word).collect(),
        }
    }
}

fn text(done: &Done) -> String {
    let verb = if done.dry_run { "would remove" } else { "removed" };
    if done.removed.is_empty() {
        return format!("nothing to remove; {} kept", done.kept.len());
    }
    let row = |what: &str, it: &Shown| {
        let why = it.reasons.join(", ");
        vec![
            what.to_owned(),
            it.slug.clone(),
            local(&it.date),
            size(it.size_bytes),
            it.name.clone(),
            why,
        ]
    };
    let removed = done.removed.iter().map(|it| row(verb, it));
    let kept = done.kept.iter().map(|it| row("keeps", it));
    table(&removed.chain(kept).collect::<Vec<_>>())
}
