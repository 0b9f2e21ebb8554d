//! `hearthkeep guardian`, which only a run starts.

use std::path::Path;

use super::render::{Out, exit};
use super::{Exit, resume, runtime};
use crate::lines::VARIABLE;
use crate::log::{Entry, Kind};
use crate::{guardian, recover};

/// Waits with nothing but one thread and a pipe; what it takes to recover is made when it is
/// needed.
pub(super) fn run(state: &Path, out: &Out) -> anyhow::Result<Exit> {
    if !guardian::watch()? {
        return Ok(Exit::Done);
    }
    let Some(recovered) = runtime()?.block_on(recover::take_over(state))? else {
        return Ok(Exit::Done);
    };
    // Nobody reads its output any more, but a terminal or a log may be left.
    let job = std::env::var(VARIABLE).ok();
    let say = |kind, text: &str| {
        out.log().say(&Entry { job: job.as_deref(), ..Entry::new(kind, text) });
    };
    let text = format!("the run died; {}", resume::sentence(&recovered));
    say(Kind::Recovered, &text);
    for warning in &recovered.warnings {
        say(Kind::Warned, warning);
    }
    Ok(exit(&recovered.warnings))
}
