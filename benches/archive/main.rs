//! Write, verify and restore against the programs that people use today, as ratios of one run; what
//! memory it takes; and how long one file out of a large backup takes.
//!
//! `cargo bench --bench archive` makes trees (once), lets each contender write them and extract
//! what it wrote, all in turn, and prints tables. With `-- --keep` the tables also go into
//! `docs/benchmarks.md`; `-- --once` makes do with one round; `-- --quick` tries it in a minute, with trees too small to say anything.
//! Every measured command is a process of its own, ours included: this program calls itself again
//! with the name of a step. It needs root, for the file system that is restored to.

#[path = "../shared/command.rs"]
mod command;
mod contenders;
#[path = "../shared/disk.rs"]
mod disk;
mod duel;
mod lab;
mod large;
mod measure;
mod ours;
#[path = "../shared/page.rs"]
mod page;
mod report;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use lab::Lab;

/// Odd, so that the median is a run and not a mean.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["write", cipher, tree, file] => ours::write(cipher, Path::new(tree), Path::new(file)),
        ["extract", file, folder] => ours::extract(Path::new(file), Path::new(folder)),
        ["verify", file] => ours::verify(Path::new(file)),
        ["cat", file, path] => ours::cat(Path::new(file), path),
        ["measure", program, arguments @ ..] => measure::child(program, arguments),
        // Cargo adds `--bench`.
        flags => bench(flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(flags: &[&str]) -> anyhow::Result<()> {
    let [quick, once, keep] = ["--quick", "--once", "--keep"].map(|it| flags.contains(&it));
    anyhow::ensure!(nix::unistd::Uid::effective().is_root(), "mounting needs root");
    command::heed_signals()?;
    let lab = Lab::prepare(quick, if once || quick { 1 } else { ROUNDS })?;
    let mut page = report::machine(&lab)?;
    for tree in &lab.trees {
        page.push_str(&report::duel(tree, &duel::rounds(&lab, tree)?)?);
    }
    page.push_str(&large::tables(&lab)?);
    println!("{page}");
    if keep { page::keep("archive", &page).context("keeping the tables") } else { Ok(()) }
}
