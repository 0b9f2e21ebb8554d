//! `hearthkeep resume`.

use std::path::Path;

use anyhow::Context;

use super::args::Resume;
use super::render::exit;
use super::{Exit, Face, job};
use crate::chronicle::Door;
use crate::engine::Engine;
use crate::lock::Busy;
use crate::log::{Entry, Kind};
use crate::recover::{self, Finished, Recovered, Wreck};

pub(super) async fn run(face: &Face, args: &Resume) -> anyhow::Result<Exit> {
    let wreck = match (args.keep_restored, args.automatic) {
        (true, _) => Wreck::IsKept,
        (false, true) => Wreck::Stays,
        (false, false) => Wreck::GoesBack,
    };
    let state = face.common.state_folder()?;
    let mut recovered = match recover::resume(&state, wreck, Door::Resume, &face.cancel).await {
        // Who has the lock closes what is open, and nobody asked who that is but whoever started
        // this as a job, and waits for it to be closed.
        Err(err) if err.is::<Busy>() && args.automatic && !job::is_one() => Recovered::default(),
        // A job container has the lock: then its name helps.
        Err(err) if err.is::<Busy>() => {
            return Err(match finished(&state).await {
                Ok((_, Some(running))) => err.context(running),
                _ => err,
            });
        }
        recovered => recovered?,
    };
    match finished(&state).await {
        Ok((finished, running)) => {
            recovered.finished = finished;
            if let Some(running) = running.filter(|_| !args.automatic)
                && recover::is_under_way(&state).await?
            {
                if recovered == Recovered::default() {
                    return Err(Busy).context(running);
                }
                recovered.warnings.push(running);
            }
        }
        // All is closed; what is only to be taken away is there the next time, too.
        Err(err) => recovered.warnings.push(format!("{err:#}")),
    }
    let log = face.out.log();
    if recovered != Recovered::default() && !log.is_plain() {
        log.say(&Entry::new(Kind::Recovered, &sentence(&recovered)));
    }
    face.out.print(&recovered, || text(&recovered));
    face.out.warnings(&recovered.warnings);
    Ok(exit(&recovered.warnings))
}

/// Nothing where there is no engine: then there was nothing to release either.
async fn finished(state: &Path) -> anyhow::Result<(Vec<Finished>, Option<String>)> {
    match Engine::connect().await {
        Ok(engine) => recover::finished(&engine, state).await,
        Err(_) => Ok(Default::default()),
    }
}

/// The same in one line.
pub(super) fn sentence(recovered: &Recovered) -> String {
    text(recovered).trim_end().replace('\n', "; ")
}

fn text(recovered: &Recovered) -> String {
    if *recovered == Recovered::default() {
        return "nothing was left open".to_owned();
    }
    recovered.lines().join("\n") + "\n"
}
