//! `hearthkeep resume`.

use super::render::exit;
use super::{Exit, Face};
use crate::recover::{self, Recovered};

pub(super) async fn run(face: &Face) -> anyhow::Result<Exit> {
    let state = face.common.state_folder()?;
    let recovered = recover::resume(&state, &face.cancel).await?;
    face.out.print(&recovered, || text(&recovered));
    face.out.warnings(&recovered.warnings);
    Ok(exit(&recovered.warnings))
}

pub(super) fn text(recovered: &Recovered) -> String {
    if *recovered == Recovered::default() {
        return "nothing was left open".to_owned();
    }
    let released = recovered.released.iter().map(|it| format!("released {it}\n"));
    let removed = recovered.removed.iter().map(|it| format!("removed {}\n", it.display()));
    let boots = recovered.boot_tests.iter().map(|it| format!("removed boot test {it}\n"));
    released.chain(removed).chain(boots).collect()
}
