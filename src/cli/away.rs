//! A command that needs more than its container can reach is done by a job container, and told
//! here as if it were done here.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::args::Command;
use super::relay::Relay;
use super::{Exit, Face, ask, job, restore};
use crate::chronicle::Door;
use crate::island::island;
use crate::lines::{Line, VARIABLE};
use crate::lock::Busy;
use crate::model::{Meets, Mount};
use crate::outpost::{self, Ending, Heard, Left, Post, Site};
use crate::plan::{self, Pick, Reaches};
use crate::recover::{self, Wreck};
use crate::secret::Secret;
use crate::settings::{Password, Profile};
use crate::signals::{self, Cancelled};

/// How long is waited for the lock until what a dead job left open is closed.
const PATIENCE_FOR_LOCK: Duration = Duration::from_mins(30);

/// How long is waited before the lock is tried again.
const PAUSE_BETWEEN_LOCKS: Duration = Duration::from_millis(50);

/// Does the command in a job container, where this container does not reach what it needs; nothing
/// where it does.
pub(super) async fn run(face: &Face, command: &Command) -> anyhow::Result<Option<Exit>> {
    let reaches = reaches(face, command);
    if reaches.is_empty() {
        return Ok(None);
    }
    let Some(site) = Site::look(&face.common.state_folder()?).await? else { return Ok(None) };
    let mut mounts = Vec::new();
    for (pick, reaches) in &reaches {
        match plan::beyond(&site.facts, site.own(), pick, reaches) {
            Ok(more) => mounts.extend(more),
            // Whoever does it here says so, too.
            Err(_) => return Ok(None),
        }
    }
    if mounts.is_empty() {
        return Ok(None);
    }
    let is_run = is_run(command);
    let store = face.profile.store.as_deref();
    match site.check_folders(store.filter(|_| matches!(command, Command::Backup(_)) && is_run)) {
        // Then it finds what it can from here.
        Err(_) if matches!(command, Command::Check) => return Ok(None),
        checked => checked?,
    }
    // An earlier job container may have left something to close before.
    mounts.extend(site.leading_to(&recover::open_paths(&site.state).await?));
    let meets = reaches.first().map(|(pick, it)| plan::meets(&site.facts, pick, it));
    let (mounts, meets) = (plan::outermost(mounts), meets.unwrap_or_default());
    let away = Away { site, mounts, meets };
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    let asks = matches!(command, Command::Restore(args) if is_run && !args.yes);
    if asks {
        restore::check_terminal()?;
    }
    let password = password(face, command).await?;
    let (mut words, mut shown) = (words, None);
    if asks {
        match away.ask(face, &words, password.as_ref()).await? {
            Ok(slug) => shown = slug,
            Err(exit) => return Ok(Some(exit)),
        }
        ask::settle(&mut words, shown.as_deref());
        words.push("--yes".to_owned());
    }
    if is_run {
        if let Some(exit) = ask::instead(face, shown.as_deref()).await? {
            return Ok(Some(exit));
        }
        away.check_none_runs().await?;
    }
    away.send(face, words, password.as_ref(), Relay::new(face)).await.map(|(exit, _)| Some(exit))
}

/// Relays a job container that somebody else has started, from its first line on.
pub(super) async fn follow(face: &Face, container: &str) -> anyhow::Result<Exit> {
    let state = face.common.state_folder()?;
    let engine = crate::engine::Engine::connect().await?;
    let all = outpost::left_behind(&engine, &state).await?;
    let is_meant = |it: &Left| it.container == container || it.name == container;
    let Some(left) = all.into_iter().find(is_meant) else {
        anyhow::bail!("no job container {container}: it has ended, and somebody took it away");
    };
    let mut told = Relay::new(face);
    relayed(face, &Post::found(&engine, &left), &mut told).await
}

/// Whether a command is a run, of which there is one at a time.
fn is_run(command: &Command) -> bool {
    match command {
        Command::Backup(args) => !args.dry_run,
        Command::Restore(args) => !args.dry_run,
        Command::Verify(args) => args.boot,
        _ => false,
    }
}

/// What a command needs to reach, for each home.
fn reaches(face: &Face, command: &Command) -> Vec<(Pick, Reaches)> {
    let backup = |profile: &Profile| {
        let (request, has_store) = (profile.request(), profile.store.is_some());
        (profile.pick.clone(), Reaches::Backup { request, has_store })
    };
    match command {
        Command::Plan(_) | Command::Backup(_) => vec![backup(&face.profile)],
        Command::Diff(args) if args.other == super::diff::LIVE => vec![backup(&face.profile)],
        Command::Check => match face.common.profile {
            Some(_) => vec![backup(&face.profile)],
            None => face.settings.jobs().map(backup).collect(),
        },
        Command::Restore(_) => vec![(face.pick(), Reaches::Restore)],
        Command::Verify(args) if args.boot => vec![(face.pick(), Reaches::Boot)],
        _ => Vec::new(),
    }
}

/// The password that the job is told, since it may lie where only this process can read it.
async fn password(face: &Face, command: &Command) -> anyhow::Result<Option<Secret>> {
    let backup = match command {
        Command::Plan(_) => return Ok(None),
        // It looks at the file itself.
        Command::Check if !matches!(face.profile.password, Some(Password::Known(_))) => {
            return Ok(None);
        }
        Command::Restore(args) => &args.backup,
        Command::Verify(args) => &args.backup,
        Command::Diff(args) => &args.backup,
        _ => return face.password().await,
    };
    if let Some(password) = face.password().await? {
        return Ok(Some(password));
    }
    // Where it cannot be opened here, the job says why, or opens it there.
    let Ok(archive) = face.open(backup).await else { return Ok(None) };
    let path = archive.path.clone();
    let is_encrypted = island("opening", move || Ok(archive.is_encrypted()?)).await;
    if !is_encrypted.unwrap_or(false) {
        return Ok(None);
    }
    let password = face.password_for(&path).await?;
    // A daemon may be the one that needs it.
    let _ = face.unlocked_with.set(password.clone());
    Ok(Some(password))
}

/// What job containers of a command need.
struct Away {
    site: Site,
    mounts: Vec<Mount>,
    meets: Meets,
}

impl Away {
    /// Refuses where a run is under way, with the name of the job container that goes on. One that
    /// only looks is in nobody's way: the lock tells them apart.
    async fn check_none_runs(&self) -> anyhow::Result<()> {
        // What became of those that have ended, they have written down.
        let (_, running) = recover::finished(&self.site.engine, &self.site.state).await?;
        match running {
            Some(running) if recover::is_under_way(&self.site.state).await? => {
                Err(Busy).context(running)
            }
            _ => Ok(()),
        }
    }

    /// Shows what a restore would do and asks whether to go on; the slug of the backup that was shown,
    /// or the exit where it does not.
    async fn ask(
        &self,
        face: &Face,
        words: &[String],
        password: Option<&Secret>,
    ) -> anyhow::Result<Result<Option<String>, Exit>> {
        let looking = [words, &["--dry-run".to_owned()]].concat();
        let told = Relay::keeping(face);
        let (exit, kept) = self.send(face, looking, password, told).await?;
        match (exit, kept) {
            (Exit::Done, Some((object, text))) => {
                restore::confirm(face, &text)?;
                Ok(Ok(object["slug"].as_str().map(str::to_owned)))
            }
            (exit, kept) => {
                kept.iter().for_each(|(object, text)| face.out.print(object, || text.clone()));
                Ok(Err(exit))
            }
        }
    }

    /// Has a job container do it, and tells what it says; gives how it ended, and the result that
    /// was kept.
    async fn send(
        &self,
        face: &Face,
        words: Vec<String>,
        password: Option<&Secret>,
        mut told: Relay,
    ) -> anyhow::Result<(Exit, Option<(serde_json::Value, String)>)> {
        let mut outpost =
            self.site.outpost(identifier(), words, self.mounts.clone(), password.is_some())?;
        outpost.meets = self.meets.clone();
        let post = Post::start(&self.site.engine, &outpost, password).await?;
        let exit = relayed(face, &post, &mut told).await?;
        Ok((exit, told.kept))
    }
}

/// Tells what a job container says, and takes it away when that is over.
async fn relayed(face: &Face, post: &Post, told: &mut Relay) -> anyhow::Result<Exit> {
    if job::is_one() {
        job::say(&Line::Moved { container: post.container.clone() });
    }
    let Some(ending) = relay(face, post, told).await? else {
        face.record.is_elsewhere();
        let goes_on = format!("the job goes on in {} and ends there by itself", post.name);
        return Err(Cancelled).context(goes_on);
    };
    // One that cannot be removed now is removed by whoever comes next.
    let _ = post.remove().await;
    let exit = match (ending, told.answer) {
        (Ending::Ended(code), Some(_)) => Exit::of_code(code),
        // Somebody took it away between its end and ours.
        (Ending::Gone, Some(exit)) => exit,
        (Ending::Ended(_) | Ending::Gone, None) => return Err(died(face, post, ending).await),
    };
    // It has written down itself how it ended.
    face.record.is_elsewhere();
    Ok(exit)
}

/// Tells what a job container says until it ends; nothing where it is left to itself.
async fn relay(face: &Face, post: &Post, told: &mut Relay) -> anyhow::Result<Option<Ending>> {
    let stop = CancellationToken::new();
    let mut hearing = |heard| match heard {
        Heard::Line(line) => told.hear(&line),
        Heard::Aside(aside) => drop(writeln!(std::io::stderr(), "{aside}")),
    };
    let mut following = Box::pin(outpost::follow(post, &stop, &mut hearing));
    tokio::select! {
        ending = &mut following => return ending.map(Some),
        () = face.cancel.cancelled() => (),
    }
    if signals::ends_service() {
        return Ok(None);
    }
    stop.cancel();
    following.await.map(Some)
}

/// A job container that was killed has no guardian left: what it held is released from here.
async fn died(face: &Face, post: &Post, ending: Ending) -> anyhow::Error {
    let how = match ending {
        Ending::Ended(137) => "was killed (by hand, or for want of memory)".to_owned(),
        Ending::Ended(code) => format!("ended with {code} before it was done"),
        Ending::Gone => "was removed".to_owned(),
    };
    let died = anyhow::anyhow!("the job container {} {how}", post.name);
    let state = match face.common.state_folder() {
        Ok(state) => state,
        Err(err) => return err,
    };
    // Containers may be held: nothing ends this.
    let never = CancellationToken::new();
    let since = Instant::now();
    let recovered = loop {
        match recover::resume(&state, Wreck::Stays, Door::Run, &never).await {
            // Who has the lock closes it, too.
            Err(err)
                if err.is::<Busy>()
                    && since.elapsed() < PATIENCE_FOR_LOCK
                    && !face.cancel.is_cancelled() =>
            {
                sleep(PAUSE_BETWEEN_LOCKS).await;
            }
            recovered => break recovered,
        }
    };
    match recovered {
        Ok(recovered) => {
            face.out.warnings(&recovered.warnings);
            match recovered.lines().join(", ") {
                closed if closed.is_empty() => died,
                closed => died.context(closed),
            }
        }
        // As text: it is not for want of the lock that the job failed, and nobody begins it again.
        Err(err) => anyhow::anyhow!("{died:#}; closing what it left open: {err:#}"),
    }
}

/// The job's identifier: that of whoever started this process as a job, or a new one.
fn identifier() -> String {
    match std::env::var(VARIABLE) {
        Ok(job) if !job.is_empty() => job,
        _ => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{:x}", since.as_nanos())
        }
    }
}
