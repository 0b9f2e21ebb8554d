//! The command line: words → requests, reports → text or JSON, errors → exit codes.
//!
//! One file a command. It decides nothing about homes or backups.

mod args;
mod ask;
mod away;
mod backup;
mod boot;
mod check;
mod daemon;
mod diff;
mod exit;
mod files;
mod guardian;
mod job;
mod key;
mod list;
mod look;
mod manual;
mod onto;
mod password;
mod pin;
mod plan;
mod progress;
mod prune;
mod record;
mod relay;
mod render;
mod restore;
mod resume;
mod serve;
mod status;
mod told;
mod words;

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use self::args::{Args, Command};
use self::record::Record;
use self::render::Out;
use crate::archive::Archive;
use crate::capture::DEEP_STACK;
use crate::catalog;
use crate::engine::Engine;
use crate::exit::Exit;
use crate::hands::Hands;
use crate::island::island;
use crate::monitor::{Monitor, Quiet};
use crate::plan::Pick;
use crate::secret::Secret;
use crate::settings::{Profile, Settings};
use crate::store::Store;
use crate::{signals, survey};

/// Runs the program with the arguments of the process.
pub fn run() -> Exit {
    run_with(std::env::args_os())
}

fn run_with(words: impl Iterator<Item = OsString>) -> Exit {
    let words: Vec<OsString> = words.collect();
    let args = match Args::try_parse_from(&words) {
        Ok(args) => args,
        Err(err) => {
            let is_mistake = err.use_stderr();
            // Where even that cannot be printed, the exit code still tells.
            let _ = err.print();
            return if is_mistake { Exit::Usage } else { Exit::Done };
        }
    };
    // What the file says of the log is known once it has been read; a mistake in it is told before.
    let mut out = Out::new(args.common.json, render::log(words::log()));
    let record = Arc::new(Record::new(&args));
    let typed = words.get(1..).unwrap_or_default();
    let ended = carry_out(args, typed, &mut out, record.clone());
    if let Err(err) = record.end(&ended) {
        // What was asked for is done, or not, all the same.
        out.warnings(&[format!("{err:#}")]);
    }
    let exit = ended.unwrap_or_else(|err| {
        out.error(&err);
        Exit::of(&err)
    });
    out.end(exit);
    exit
}

fn carry_out(
    args: Args,
    typed: &[OsString],
    out: &mut Out,
    record: Arc<Record>,
) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Guardian => return guardian::run(&args.common.state_folder()?, out),
        Command::Completions { shell } => return Ok(manual::completions(*shell)),
        Command::Man { folder } => return manual::man(folder),
        Command::Serve => return serve::run(args, out.log()),
        // No mistake in the settings keeps it from telling how things stand.
        Command::Status(status) if status.health => {
            return runtime()?.block_on(status::health(out));
        }
        Command::Status(_) => return runtime()?.block_on(status::run(&args, out)),
        _ => (),
    }
    if job::is_one() {
        // Who started it hears of its end, and ends it when it goes.
        signals::end_with_parent()?;
    }
    let cancel = signals::token()?;
    let (settings, profile) = words::settings(&args)?;
    if !matches!(args.command, Command::Resume(_)) {
        *out = out.clone().logged(settings.log);
        out.begin(typed, args.common.profile.as_deref());
    }
    let out = out.clone();
    runtime()?.block_on(async {
        let (common, password) = (args.common, OnceCell::new());
        let unlocked_with = OnceCell::new();
        let face = Face { out, common, settings, profile, cancel, password, unlocked_with, record };
        if let Some(exit) = away::run(&face, &args.command).await? {
            return Ok(exit);
        }
        match args.command {
            Command::Plan(_) => plan::run(&face).await,
            Command::Backup(args) => backup::run(&face, &args).await,
            Command::List => list::list(&face).await,
            Command::Show(args) => list::show(&face, &args.backup).await,
            Command::Verify(args) => files::verify(&face, args).await,
            Command::Ls(args) => look::ls(&face, args).await,
            Command::Cat(args) => look::cat(&face, args).await,
            Command::Extract(args) => look::extract(&face, args).await,
            Command::Diff(args) => diff::run(&face, args).await,
            Command::Export(args) => files::export(&face, args).await,
            Command::Import(args) => files::import(&face, args).await,
            Command::Remove(args) => files::remove(&face, &args.backup).await,
            Command::Restore(args) => restore::run(&face, args).await,
            Command::Key(args) => key::run(&face, args).await,
            Command::Prune(args) => prune::run(&face, args).await,
            Command::Pin(args) => pin::pin(&face, &args.backup).await,
            Command::Unpin(args) => pin::unpin(&face, &args.backup).await,
            Command::Check => check::run(&face).await,
            Command::Resume(args) => resume::run(&face, &args).await,
            Command::Follow { container } => away::follow(&face, &container).await,
            // They need none of this, and were answered above.
            Command::Guardian
            | Command::Serve
            | Command::Status(_)
            | Command::Completions { .. }
            | Command::Man { .. } => Ok(Exit::Done),
        }
    })
}

/// One thread is enough for what waits; what works runs on blocking threads.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .thread_stack_size(DEEP_STACK)
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// What every command has.
struct Face {
    out: Out,
    common: args::Common,
    /// All jobs.
    settings: Settings,
    /// The one that is meant.
    profile: Profile,
    cancel: CancellationToken,
    /// What [`Face::password`] has read.
    password: OnceCell<Option<Secret>>,
    /// The password of the backup that was opened.
    unlocked_with: OnceCell<Secret>,
    /// What the chronicle gets.
    record: Arc<Record>,
}

impl Face {
    fn pick(&self) -> Pick {
        self.profile.pick.clone()
    }

    fn monitor(&self) -> Arc<dyn Monitor> {
        match self.out.told() {
            _ if self.out.is_lines() => Arc::new(job::Lines::default()),
            _ if self.common.quiet => Arc::new(Quiet),
            Some(told) => Arc::new(told.clone()),
            None => Arc::new(progress::Progress::new()),
        }
    }

    async fn hands(&self) -> anyhow::Result<Hands> {
        Ok(Hands {
            engine: Engine::connect().await?,
            state: self.common.state_folder()?,
            store: self.profile.store.clone(),
            staging: self.profile.staging.clone(),
            monitor: self.monitor(),
        })
    }

    /// The store that is set, or the home's own, for which the engine is asked.
    async fn store(&self) -> anyhow::Result<Store> {
        let folder = match &self.profile.store {
            Some(folder) => folder.clone(),
            None => {
                let hands = self.hands().await?;
                let survey = survey::look(&hands.engine).await?;
                let home = crate::plan::find(&survey.facts, &self.pick())?;
                hands.store_of(&home, &survey.reach)?
            }
        };
        island("opening the store", move || Store::open(&folder)).await
    }

    /// The backup that a person means. For the path of a file no engine is needed.
    async fn open(&self, wanted: &str) -> anyhow::Result<Archive> {
        let wanted = wanted.to_owned();
        let path = wanted.clone();
        if let Some(archive) = island("opening", move || catalog::open_file(&path)).await? {
            return Ok(archive);
        }
        let store = self.store().await?;
        let profile = self.common.profile.clone();
        island("opening", move || match wanted.as_str() {
            catalog::NEWEST => catalog::newest(&store, profile.as_deref()),
            _ => catalog::find(&store, &wanted),
        })
        .await
    }

    /// The same, with its password where it is encrypted.
    async fn unlocked(&self, wanted: &str) -> anyhow::Result<Archive> {
        self.unlock(self.open(wanted).await?).await
    }

    async fn unlock(&self, archive: Archive) -> anyhow::Result<Archive> {
        let look = move || archive.is_encrypted().map(|it| (archive, it));
        let (mut archive, is_encrypted) = island("opening", move || Ok(look()?)).await?;
        if !is_encrypted {
            return Ok(archive);
        }
        let password = self.password_for(&archive.path).await?;
        // Of the two that a comparison opens, neither is for anybody else.
        let _ = self.unlocked_with.set(password.clone());
        island("opening", move || {
            archive.unlock(password)?;
            Ok(archive)
        })
        .await
    }
}
