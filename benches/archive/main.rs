//! Archive and extract against the programs that people use today, as ratios of one run.
//!
//! `cargo bench --bench archive` makes a tree (once), lets each contender write it and extract
//! what it wrote, all in turn, and prints a table. With `-- --keep` the table also goes into
//! `docs/benchmarks.md`. Every measured command is a process of its own, ours included: this
//! program calls itself again with the name of a step.

mod contenders;
mod lab;
mod measure;
mod ours;
mod report;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use contenders::Contender;
use lab::Lab;
use report::Run;

/// Odd, so that the median is a run and not a mean.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["write", cipher, tree, file] => ours::write(cipher, Path::new(tree), Path::new(file)),
        ["extract", file, folder] => ours::extract(Path::new(file), Path::new(folder)),
        ["measure", program, arguments @ ..] => measure::child(program, arguments),
        // Cargo adds `--bench`.
        flags => bench(flags.contains(&"--keep")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(keep: bool) -> anyhow::Result<()> {
    let lab = Lab::prepare()?;
    let contenders = contenders::all(&lab.python)?;
    let runs = rounds(&lab, &contenders);
    // Only now: ext4 is slow for minutes where inodes were freed.
    lab.clean()?;
    let page = report::markdown(&lab, &contenders, &runs?)?;
    println!("{page}");
    if keep { report::keep(&page).context("keeping the tables") } else { Ok(()) }
}

fn rounds(lab: &Lab, contenders: &[Contender]) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..ROUNDS {
        for contender in contenders {
            eprintln!("round {} of {ROUNDS}: {}", round + 1, contender.name);
            let folder = lab.round(round).join(contender.key);
            fs::create_dir_all(&folder)?;
            let file = folder.join("backup");
            if let Some(write) = &contender.write {
                lab::warm(&lab.tree)?;
                let cost = measure::run(&write(&lab.tree, &file)).context("writing")?;
                let size = Some(fs::metadata(&file)?.len());
                runs.push(Run { contender: contender.key, cost, size });
            }
            let source = match contender.reads {
                None => file,
                Some(other) => lab.round(round).join(other).join("backup"),
            };
            let extracted = folder.join("extracted");
            fs::create_dir(&extracted)?;
            lab::warm(&source)?;
            let cost =
                measure::run(&(contender.extract)(&source, &extracted)).context("extracting")?;
            runs.push(Run { contender: contender.key, cost, size: None });
            if round == 0 {
                lab.compare(&extracted.join(contender.data))?;
            }
            lab::forget(&extracted)?;
        }
    }
    Ok(runs)
}
