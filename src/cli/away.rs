//! A command that needs more than its container can reach is done by a job container, and told
//! here as if it were done here.

use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use super::args::Command;
use super::told::Told;
use super::{Exit, Face, job, restore, resume};
use crate::chronicle::Door;
use crate::engine::Engine;
use crate::island::island;
use crate::lines::{Line, VARIABLE};
use crate::model::{JOB_LABEL, Mount, Outpost};
use crate::outpost::{self, Ending, Heard, Post};
use crate::plan::{self, Facts, Reaches};
use crate::secret::{self, Secret};
use crate::settings::Password;
use crate::{reach, recover, survey};

/// Begins the names of the variables that are settings.
const PREFIX: &str = "HEARTHKEEP_";

/// The one setting of whoever closes an earlier run.
const STATE: &str = "HEARTHKEEP_STATE=";

/// How a job container reads its password.
const TOLD: [&str; 2] = ["--password-file", "/dev/stdin"];

/// Does the command in a job container, where this container does not reach what it needs; nothing
/// where it does.
pub(super) async fn run(face: &Face, command: &Command) -> anyhow::Result<Option<Exit>> {
    let reaches = reaches(face, command);
    if reaches.is_empty() && !matches!(command, Command::Resume(_)) {
        return Ok(None);
    }
    let Some(site) = Site::look(face).await? else { return Ok(None) };
    if changes(command) {
        // What became of them, they have written down.
        recover::finished(&site.engine, &site.state).await?;
    }
    let mut mounts = Vec::new();
    for (pick, reaches) in &reaches {
        match plan::beyond(&site.facts, site.own()?, pick, reaches) {
            Ok(more) => mounts.extend(more),
            // Whoever does it here says so, too.
            Err(_) => return Ok(None),
        }
    }
    if mounts.is_empty() && !matches!(command, Command::Resume(_)) {
        return Ok(None);
    }
    mounts.extend(site.left_open().await?);
    if mounts.is_empty() {
        return Ok(None);
    }
    let mounts = plan::outermost(mounts);
    match command {
        Command::Check if site.check_folders(face, false).is_err() => return Ok(None),
        Command::Backup(args) => site.check_folders(face, !args.dry_run)?,
        _ => site.check_folders(face, false)?,
    }
    let password = password(face, command).await?;
    let words = words();
    if let Command::Restore(args) = command
        && !args.dry_run
        && !args.yes
    {
        restore::check_terminal()?;
        let looking = [words.as_slice(), &["--dry-run".to_owned()]].concat();
        let mut told = Told::keeping(face);
        let exit = site.send(face, looking, &mounts, password.as_ref(), &mut told).await?;
        let Some((_, text)) = told.kept.take() else { return Ok(Some(exit)) };
        if exit != Exit::Done {
            face.out.print(&serde_json::Value::Null, || text);
            return Ok(Some(exit));
        }
        restore::confirm(face, &text)?;
        let doing = [words.as_slice(), &["--yes".to_owned()]].concat();
        let mut told = Told::new(face);
        return site.send(face, doing, &mounts, password.as_ref(), &mut told).await.map(Some);
    }
    let mut told = Told::new(face);
    site.send(face, words, &mounts, password.as_ref(), &mut told).await.map(Some)
}

/// Whether a command is a run, of which there is one at a time.
fn changes(command: &Command) -> bool {
    match command {
        Command::Backup(args) => !args.dry_run,
        Command::Restore(args) => !args.dry_run,
        Command::Verify(args) => args.boot,
        _ => false,
    }
}

/// What a command needs to reach, for each home.
fn reaches(face: &Face, command: &Command) -> Vec<(plan::Pick, Reaches)> {
    let backup = |profile: &crate::settings::Profile| {
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
        Command::Plan(_) | Command::Resume(_) => return Ok(None),
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
    let look = island("opening", move || Ok(archive.is_encrypted()?));
    match look.await {
        Ok(true) => face.password_for(&path).await.map(Some),
        _ => Ok(None),
    }
}

/// The words of this process, without those that name the password.
fn words() -> Vec<String> {
    let all = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
    without_password(all)
}

fn without_password(mut all: impl Iterator<Item = String>) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(word) = all.next() {
        if word == TOLD[0] {
            all.next();
        } else if !word.starts_with(&format!("{}=", TOLD[0])) {
            words.push(word);
        }
    }
    words
}

/// The container in which this process runs, and what it is in.
struct Site {
    engine: Engine,
    facts: Facts,
    state: PathBuf,
    state_at_host: Option<PathBuf>,
}

impl Site {
    /// Nothing where this process runs on the host, or in a job container already.
    async fn look(face: &Face) -> anyhow::Result<Option<Site>> {
        if !island("looking where this runs", reach::in_container).await? {
            return Ok(None);
        }
        let engine = Engine::connect().await?;
        let facts = survey::look(&engine).await?.facts;
        let state = std::path::absolute(face.common.state_folder()?);
        let state = state.context("finding the state folder")?;
        let Some(own) = plan::own(&facts) else { return Ok(None) };
        if own.label(JOB_LABEL).is_some() {
            return Ok(None);
        }
        let state_at_host = plan::at_host(own, &state);
        Ok(Some(Site { engine, facts, state, state_at_host }))
    }

    fn own(&self) -> anyhow::Result<&crate::model::Container> {
        plan::own(&self.facts).context("finding the container of this program")
    }

    /// Refuses where what a job container writes would be lost with it.
    fn check_folders(&self, face: &Face, writes: bool) -> anyhow::Result<()> {
        let state = self.state.display();
        anyhow::ensure!(
            self.state_at_host.is_some(),
            "the state folder {state} lies in the container of hearthkeep itself, where a job container cannot see it: mount a volume at {state}"
        );
        if let Some(store) = face.profile.store.as_ref().filter(|_| writes) {
            let at = store.display();
            anyhow::ensure!(
                plan::at_host(self.own()?, store).is_some(),
                "the store {at} lies in the container of hearthkeep itself, where backups would be lost with it: mount a folder at {at}"
            );
        }
        Ok(())
    }

    /// The mounts in which an earlier job container left something to close.
    async fn left_open(&self) -> anyhow::Result<Vec<Mount>> {
        let paths = recover::open_paths(&self.state).await?;
        Ok(plan::for_paths(&self.facts, self.own()?, &paths))
    }

    /// Has a job container do it, and tells what it says.
    async fn send(
        &self,
        face: &Face,
        words: Vec<String>,
        mounts: &[Mount],
        password: Option<&Secret>,
        told: &mut Told,
    ) -> anyhow::Result<Exit> {
        let outpost = self.outpost(words, mounts, password.is_some())?;
        let post = Post::start(&self.engine, &outpost, password).await?;
        if job::is_one() {
            job::say(&Line::Moved { container: post.container.clone() });
        }
        let Some(ending) = relay(face, &post, told).await? else {
            let name = &post.name;
            face.out.warnings(&[format!("the job goes on in {name} and ends there by itself")]);
            return Ok(Exit::Cancelled);
        };
        // One that cannot be removed now is removed by whoever comes next.
        let _ = post.remove().await;
        match (ending, told.answer) {
            (Ending::Ended(code), Some(_)) => Ok(Exit::of_code(code)),
            // Somebody took it away between its end and ours.
            (Ending::Gone, Some(exit)) => Ok(exit),
            (Ending::Ended(_) | Ending::Gone, None) => Err(self.died(face, &post, ending).await),
        }
    }

    fn outpost(
        &self,
        words: Vec<String>,
        mounts: &[Mount],
        is_told: bool,
    ) -> anyhow::Result<Outpost> {
        let told = TOLD.iter().filter(|_| is_told).map(|it| (*it).to_owned());
        Ok(Outpost {
            of: self.own()?.id.clone(),
            job: job(),
            state: self.state_at_host.clone().context("finding the state folder")?,
            program: std::env::current_exe().context("finding this program")?,
            words: told.chain(words).collect(),
            folder: std::env::current_dir().context("finding the working folder")?,
            variables: variables(is_told),
            mounts: mounts.to_vec(),
            is_told,
        })
    }

    /// A job container that was killed has no guardian left: what it held is released from here.
    async fn died(&self, face: &Face, post: &Post, ending: Ending) -> anyhow::Error {
        let how = match ending {
            Ending::Ended(137) => "was killed (by hand, or for want of memory)".to_owned(),
            Ending::Ended(code) => format!("ended with {code} before it was done"),
            Ending::Gone => "was removed".to_owned(),
        };
        let died = anyhow::anyhow!("the job container {} {how}", post.name);
        match self.close(face).await {
            Ok(closed) if closed.is_empty() => died,
            Ok(closed) => died.context(closed),
            Err(err) => err.context(format!("{died:#}; closing what it left open")),
        }
    }

    /// Closes what is open; gives what that was, in one line.
    async fn close(&self, face: &Face) -> anyhow::Result<String> {
        let mounts = self.left_open().await?;
        if mounts.is_empty() {
            let wreck = recover::Wreck::Stays;
            let never = tokio_util::sync::CancellationToken::new();
            let recovered = recover::resume(&self.state, wreck, Door::Run, &never).await?;
            return Ok(resume::text(&recovered).trim_end().replace('\n', ", "));
        }
        let words = ["resume", "--automatic"].map(str::to_owned).to_vec();
        let mut outpost = self.outpost(words, &mounts, false)?;
        // It needs no settings, as whoever closes an earlier run.
        outpost.variables.retain(|it| it.starts_with(STATE));
        let post = Post::start(&self.engine, &outpost, None).await?;
        let mut told = Told::keeping(face);
        post.follow(&mut |heard| hear(&mut told, heard)).await?;
        post.remove().await?;
        let text = told.kept.map(|(_, text)| text).context("closing what was left open")?;
        Ok(text.trim_end().replace('\n', ", "))
    }
}

/// Tells what a job container says until it ends; nothing where it is left to itself.
async fn relay(face: &Face, post: &Post, told: &mut Told) -> anyhow::Result<Option<Ending>> {
    let stop = tokio_util::sync::CancellationToken::new();
    let mut hearing = |heard| hear(told, heard);
    let mut following = Box::pin(outpost::follow(post, &stop, &mut hearing));
    tokio::select! {
        ending = &mut following => return ending.map(Some),
        () = face.cancel.cancelled() => (),
    }
    if crate::signals::ends_service() {
        return Ok(None);
    }
    stop.cancel();
    following.await.map(Some)
}

fn hear(told: &mut Told, heard: Heard) {
    match heard {
        Heard::Line(line) => told.hear(&line),
        Heard::Aside(aside) => drop(writeln!(std::io::stderr(), "{aside}")),
    }
}

/// The job's identifier: that of whoever started this process as a job, or a new one.
fn job() -> String {
    match std::env::var(VARIABLE) {
        Ok(job) if !job.is_empty() => job,
        _ => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{:x}", since.as_nanos())
        }
    }
}

/// The settings in the environment of this process.
fn variables(is_told: bool) -> Vec<String> {
    let file = format!("{}_FILE", secret::VARIABLE);
    let is_wanted = |key: &str| {
        key.starts_with(PREFIX)
            && ![secret::VARIABLE, VARIABLE, "HEARTHKEEP_SOCKET"].contains(&key)
            && !(is_told && key == file)
    };
    let all = std::env::vars_os();
    let text = all.filter_map(|(key, value)| Some((key.into_string().ok()?, value)));
    text.filter(|(key, _)| is_wanted(key))
        .filter_map(|(key, value)| Some(format!("{key}={}", value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_password_does_not_go_along() {
        let check = |words: &[&str], wanted: &[&str]| {
            let words = words.iter().map(|it| (*it).to_owned());
            assert_eq!(without_password(words), wanted);
        };
        check(&["backup"], &["backup"]);
        check(&["--password-file", "/x", "backup", "--json"], &["backup", "--json"]);
        check(&["restore", "a", "--password-file=/x", "--yes"], &["restore", "a", "--yes"]);
        check(&["backup", "--password-file"], &["backup"]);
    }
}
