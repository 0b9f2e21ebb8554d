//! `hearthkeep resume`.

use super::args::Resume;
use super::render::exit;
use super::{Exit, Face};
use crate::recover::{self, Recovered, Wreck};

pub(super) async fn run(face: &Face, args: &Resume) -> anyhow::Result<Exit> {
    let wreck = match (args.keep_restored, args.automatic) {
        (true, _) => Wreck::IsKept,
        (false, true) => Wreck::Stays,
        (false, false) => Wreck::GoesBack,
    };
    let state = face.common.state_folder()?;
    let recovered = recover::resume(&state, wreck, &face.cancel).await?;
    face.out.print(&recovered, || text(&recovered));
    face.out.warnings(&recovered.warnings);
    Ok(exit(&recovered.warnings))
}

pub(super) fn text(recovered: &Recovered) -> String {
    if *recovered == Recovered::default() {
        return "nothing was left open".to_owned();
    }
    let back = recovered.taken_back.iter().map(|it| format!("took back the restore of {it}\n"));
    let kept = recovered.kept.iter().map(|it| format!("kept what was restored from {it}\n"));
    let released = recovered.released.iter().map(|it| format!("released {it}\n"));
    let removed = recovered.removed.iter().map(|it| format!("removed {}\n", it.display()));
    let boots = recovered.boot_tests.iter().map(|it| format!("removed boot test {it}\n"));
    back.chain(kept).chain(released).chain(removed).chain(boots).collect()
}
