//! `hearthkeep guardian`, which only a run starts.

use std::io::Write;
use std::path::Path;

use super::render::{Out, exit};
use super::{Exit, resume, runtime};
use crate::{guardian, recover};

/// Waits with nothing but one thread and a pipe; what it takes to recover is made when it is
/// needed.
pub(super) fn run(state: &Path, out: Out) -> anyhow::Result<Exit> {
    if !guardian::watch()? {
        return Ok(Exit::Done);
    }
    let Some(recovered) = runtime()?.block_on(recover::take_over(state))? else {
        return Ok(Exit::Done);
    };
    // Nobody reads its output any more, but a terminal or a log may be left.
    let _ = write!(std::io::stderr(), "the run died; {}", resume::text(&recovered));
    out.warnings(&recovered.warnings);
    Ok(exit(&recovered.warnings))
}
