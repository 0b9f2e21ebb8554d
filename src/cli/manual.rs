//! `hearthkeep completions` and `hearthkeep man`: what a package brings beside the program.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Exit;
use super::args::Args;

pub(super) fn completions(shell: Shell) -> Exit {
    let mut words = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "hearthkeep", &mut words);
    // Whoever stopped reading has seen enough.
    let _ = std::io::stdout().write_all(&words);
    Exit::Done
}

pub(super) fn man(folder: &Path) -> anyhow::Result<Exit> {
    let writing = || format!("writing into {}", folder.display());
    clap_mangen::generate_to(Args::command(), folder).with_context(writing)?;
    Ok(Exit::Done)
}
