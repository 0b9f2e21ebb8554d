//! `hearthkeep resume`.

use super::args::Resume;
use super::render::exit;
use super::{Exit, Face};
use crate::chronicle::Door;
use crate::log::{Entry, Kind};
use crate::recover::{self, Recovered, Wreck};

pub(super) async fn run(face: &Face, args: &Resume) -> anyhow::Result<Exit> {
    let wreck = match (args.keep_restored, args.automatic) {
        (true, _) => Wreck::IsKept,
        (false, true) => Wreck::Stays,
        (false, false) => Wreck::GoesBack,
    };
    let state = face.common.state_folder()?;
    let recovered = recover::resume(&state, wreck, Door::Resume, &face.cancel).await?;
    let log = face.out.log();
    if recovered != Recovered::default() && !log.is_plain() {
        log.say(&Entry::new(Kind::Recovered, &sentence(&recovered)));
    }
    face.out.print(&recovered, || text(&recovered));
    face.out.warnings(&recovered.warnings);
    Ok(exit(&recovered.warnings))
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
