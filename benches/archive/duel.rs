//! Everybody writes a tree and extracts it again, in turn.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::contenders::{self, Contender};
use super::lab::{self, Lab, Tree};
use super::measure::{self, Cost};

/// What a contender does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Write,
    Verify,
    Extract,
}

/// One measured command.
pub(crate) struct Run {
    pub(crate) deed: Deed,
    pub(crate) cost: Cost,
    /// Of the file that was written or read.
    pub(crate) size: u64,
}

/// All rounds of everybody.
pub(crate) fn rounds(lab: &Lab, tree: &Tree) -> anyhow::Result<Vec<(Contender, Vec<Run>)>> {
    let contenders = contenders::all(&lab.python, tree)?;
    let mut all: Vec<_> = contenders.into_iter().map(|it| (it, Vec::new())).collect();
    let disk = lab.disk()?;
    for round in 1..=lab.rounds {
        let files = tempfile::tempdir_in(&lab.folder)?;
        for (contender, runs) in &mut all {
            if round == 1 || !contender.is_slow {
                let Contender { name, cipher, .. } = contender;
                eprintln!("{}, round {round} of {}: {name}, {cipher}", tree.name, lab.rounds);
                let place = Place { files: files.path(), disk: &disk.path() };
                turn(tree, &place, contender, round == 1, runs)?;
            }
        }
    }
    Ok(all)
}

/// Where a round writes to.
struct Place<'a> {
    files: &'a Path,
    /// What is extracted goes there.
    disk: &'a Path,
}

fn turn(
    tree: &Tree,
    place: &Place<'_>,
    contender: &Contender,
    compare: bool,
    runs: &mut Vec<Run>,
) -> anyhow::Result<()> {
    let file = place.files.join(format!("{}-{}", contender.reads, contender.cipher));
    let mut run = |deed, command: Vec<String>| -> anyhow::Result<()> {
        let cost = measure::run(&command)?;
        runs.push(Run { deed, cost, size: fs::metadata(&file)?.len() });
        Ok(())
    };
    if let Some(write) = &contender.write {
        lab::warm(&tree.folder)?;
        run(Deed::Write, write(&tree.folder, &file)).context("writing")?;
    }
    lab::warm(&file)?;
    if let Some(verify) = &contender.verify {
        run(Deed::Verify, verify(&file)).context("verifying")?;
        nix::unistd::sync();
    }
    let extracted = tempfile::tempdir_in(place.disk)?;
    run(Deed::Extract, (contender.extract)(&file, extracted.path())).context("extracting")?;
    if compare {
        lab::compare(&tree.folder, &extracted.path().join(contender.data))?;
    }
    Ok(())
}
