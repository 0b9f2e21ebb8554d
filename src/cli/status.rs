//! `hearthkeep status`: how things stand, with the daemon or without it. An engine is asked only
//! where something is open and nobody is seen at it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use super::args::Args;
use super::daemon::Daemon;
use super::list::local;
use super::render::{Out, size, table};
use super::{Exit, words};
use crate::chronicle::{self, Chronicle, Incident, Outcome};
use crate::engine::Engine;
use crate::findings::{Finding, Level};
use crate::island::island;
use crate::settings::Settings;
use crate::standing::{self, Facts, Planned};
use crate::{lock, outpost, recover, socket};

/// How long an engine is waited for, which is only asked where something is open.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer. Of the daemon it has what that says itself.
#[derive(Debug, Serialize)]
struct View {
    /// Whether nobody need look at anything.
    well: bool,
    daemon: Option<Value>,
    daemon_error: Option<String>,
    /// The process of a run that is under way.
    running_pid: Option<u32>,
    /// The job container in which one goes on that nobody here waits for.
    running_container: Option<String>,
    /// Whether an interrupted run has left something open.
    open: bool,
    last_backup: Option<Timestamp>,
    results: Vec<Outcome>,
    /// Those since the last backup.
    incidents: Vec<Incident>,
    findings: Vec<Finding>,
}

/// Exactly whether the daemon answers and works; little enough for every half minute.
pub(super) async fn health(out: &Out) -> anyhow::Result<Exit> {
    let daemon = Daemon::find().await?.with_context(|| {
        let place = socket::path().unwrap_or_default();
        format!("no service answers at {}: start hearthkeep serve", place.display())
    })?;
    let status = daemon.status().await?;
    out.print(&status, || "the service answers".to_owned());
    Ok(Exit::Done)
}

pub(super) async fn run(args: &Args, out: &Out) -> anyhow::Result<Exit> {
    let (daemon, daemon_error) = ask().await;
    let settings = words::settings(args).map(|(settings, _)| settings);
    let state = args.common.state_folder()?;
    let view = look(&state, daemon, daemon_error, &settings).await?;
    out.print(&view, || text(&view));
    Ok(if view.well { Exit::Done } else { Exit::DoneWithWarnings })
}

/// What the daemon says, or why it does not.
async fn ask() -> (Option<Value>, Option<String>) {
    let asked = async {
        match Daemon::find().await? {
            Some(daemon) => daemon.status().await.map(Some),
            None => Ok(None),
        }
    };
    match asked.await {
        Ok(daemon) => (daemon, None),
        Err(err) => (None, Some(format!("{err:#}"))),
    }
}

async fn look(
    state: &Path,
    daemon: Option<Value>,
    daemon_error: Option<String>,
    settings: &anyhow::Result<Settings>,
) -> anyhow::Result<View> {
    let open = recover::is_needed(state).await?;
    let folder = state.to_owned();
    let (chronicle, running_pid) = island("reading the chronicle", move || {
        Ok((chronicle::read(&folder), lock::holder(&folder)?))
    })
    .await?;
    let (chronicle, damaged) = match chronicle {
        Ok(chronicle) => (chronicle, None),
        Err(err) if err.is::<serde_json::Error>() => (Chronicle::default(), Some(err)),
        Err(err) => return Err(err),
    };
    let of_daemon = |key: &str| daemon.as_ref().map(|it| &it[key]);
    let is_daemons = of_daemon("running").is_some_and(|it| !it.is_null());
    let running_container = match open && running_pid.is_none() && !is_daemons {
        true => away(state).await,
        false => None,
    };
    let told = of_daemon("settings_error").and_then(Value::as_str);
    let unread = settings.as_ref().err().map(|err| format!("{err:#}"));
    let jobs = settings.as_ref().ok().map(planned);
    let facts = Facts {
        chronicle: &chronicle,
        jobs: jobs.as_deref(),
        settings_error: unread.as_deref().or(told),
        is_open: open,
        is_running: running_pid.is_some() || is_daemons || running_container.is_some(),
        has_daemon: daemon.is_some(),
    };
    let mut findings = standing::findings(&facts, Timestamp::now());
    findings.extend(daemon_error.as_ref().map(|err| {
        Finding::new(Level::Warning, "service", err)
            .cured_by("look into its log, or run this as root")
    }));
    findings.extend(damaged.map(|err| {
        Finding::new(Level::Warning, "chronicle", format!("{err:#}"))
            .cured_by("it begins anew with the next run")
    }));
    Ok(View {
        well: findings.iter().all(|it| it.level <= Level::Note),
        running_pid,
        running_container,
        open,
        last_backup: chronicle.last_backup(),
        incidents: standing::since_last_backup(&chronicle).cloned().collect(),
        results: chronicle.results,
        daemon,
        daemon_error,
        findings,
    })
}

/// The job container to which what is open may belong: its process cannot be seen from here.
async fn away(state: &Path) -> Option<String> {
    let looked = async {
        let engine = Engine::connect().await.ok()?;
        let all = outpost::left_behind(&engine, state).await.ok()?;
        all.into_iter().find(|it| it.ended.is_none()).map(|it| it.name)
    };
    timeout(PATIENCE, looked).await.ok().flatten()
}

/// The jobs that run by themselves, and what else goes by a name.
fn planned(settings: &Settings) -> Vec<Planned<'_>> {
    let by_themselves: Vec<&str> = settings.jobs().map(|it| it.profile.as_str()).collect();
    settings
        .all()
        .map(|it| Planned {
            profile: &it.profile,
            schedule: it.schedule.as_ref().filter(|_| by_themselves.contains(&it.profile.as_str())),
        })
        .collect()
}

fn text(view: &View) -> String {
    let mut rows = vec![row("service", daemon(view)), row("now", now(view))];
    for it in list(view.daemon.as_ref(), "next") {
        rows.push(row("next", format!("{}  {}", when(&it["at"]), profile(&it["profile"]))));
    }
    for it in &view.results {
        rows.push(row(&standing::title(it.task, &it.profile), result(it)));
    }
    let mut text = table(&rows);
    let told: Vec<Vec<String>> = view
        .findings
        .iter()
        .filter(|it| it.level > Level::Ok)
        .map(|it| {
            let level = if it.level == Level::Note { "note" } else { "look" };
            let cure = it.cure.as_ref().map(|it| format!(" → {it}")).unwrap_or_default();
            row(&format!("{level}: {}", it.about), format!("{}{cure}", it.what))
        })
        .collect();
    if !told.is_empty() {
        text += &format!("\n{}", table(&told));
    }
    text += if view.well { "\nall is well" } else { "\nsomething needs a look" };
    text
}

fn row(what: &str, how: String) -> Vec<String> {
    vec![what.to_owned(), how]
}

fn daemon(view: &View) -> String {
    match (&view.daemon, &view.daemon_error) {
        (Some(it), _) => format!(
            "hearthkeep {} since {}, process {}",
            it["version"].as_str().unwrap_or("?"),
            when(&it["since"]),
            it["pid"]
        ),
        (None, Some(err)) => err.clone(),
        (None, None) => "none answers".to_owned(),
    }
}

/// What is being done.
fn now(view: &View) -> String {
    let running = view.daemon.as_ref().map(|it| &it["running"]).filter(|it| !it.is_null());
    let waiting = list(view.daemon.as_ref(), "waiting").len();
    let waits = match waiting {
        0 => String::new(),
        n => format!("; {n} more wait"),
    };
    let Some(job) = running else {
        return match (view.running_pid, &view.running_container) {
            (Some(pid), _) => format!("process {pid} backs up or restores{waits}"),
            (None, Some(container)) => format!("a job goes on in container {container}{waits}"),
            (None, None) => format!("nothing runs{waits}"),
        };
    };
    let words = list(Some(job), "words");
    let words: Vec<&str> = words.iter().filter_map(|it| it.as_str()).collect();
    let mut text = format!("{} since {}", words.join(" "), when(&job["since"]));
    for it in [&job["step"], &job["part"]] {
        text += &it.as_str().map(|it| format!(", {it}")).unwrap_or_default();
    }
    if let (Some(done), Some(bytes @ 1..)) = (job["done"].as_u64(), job["bytes"].as_u64()) {
        text += &format!(", {} of {}", size(done), size(bytes));
    }
    text + &waits
}

fn result(it: &Outcome) -> String {
    let how = match it.exit_code {
        0 => "done".to_owned(),
        3 => "done, with warnings".to_owned(),
        130 => "cancelled".to_owned(),
        code => format!("failed ({code})"),
    };
    let by_hand = if it.by_hand { "  by hand" } else { "" };
    let slug = it.slug.as_ref().map(|it| format!("  {it}")).unwrap_or_default();
    let held = it.longest_hold_seconds.map(|it| format!("  held {it:.2} s")).unwrap_or_default();
    let took = it.ended.duration_since(it.began).as_secs_f64();
    format!("{}  {how}{slug}  {took:.1} s{held}{by_hand}", local(&it.began.to_string()))
}

fn list<'a>(object: Option<&'a Value>, key: &str) -> &'a [Value] {
    object.and_then(|it| it[key].as_array()).map(Vec::as_slice).unwrap_or_default()
}

fn when(value: &Value) -> String {
    local(value.as_str().unwrap_or("?"))
}

fn profile(value: &Value) -> &str {
    match value.as_str().unwrap_or_default() {
        "" => "backup",
        name => name,
    }
}
