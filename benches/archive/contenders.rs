//! Who takes part, and with which commands.

use std::path::Path;

use super::lab;

/// A program with its arguments.
pub(crate) type Words = Vec<String>;

/// Source and target → the command.
pub(crate) type Step = Box<dyn Fn(&Path, &Path) -> Words>;

/// A program that archives and extracts.
pub(crate) struct Contender {
    /// Names its folder.
    pub(crate) key: &'static str,
    /// What the tables call it.
    pub(crate) name: &'static str,
    /// Writes a tree to a file; none where it reads another's file.
    pub(crate) write: Option<Step>,
    /// Extracts a file into a folder.
    pub(crate) extract: Step,
    /// Whose file it extracts, where that is not its own.
    pub(crate) reads: Option<&'static str>,
    /// Where the tree lies in what it extracted.
    pub(crate) data: &'static str,
}

/// Ours first: the tables count in its times.
pub(crate) fn all(python: &Path) -> anyhow::Result<Vec<Contender>> {
    let us = std::env::current_exe()?;
    let ours = move |step: &[&str], from: &Path, to: &Path| words(&us, step, &[from, to]);
    let also_ours = ours.clone();
    let again = ours.clone();
    Ok(vec![
        Contender {
            key: "ours",
            name: "hearthkeep",
            write: Some(Box::new(move |tree, file| ours(&["write", "plain"], tree, file))),
            extract: Box::new(move |file, folder| also_ours(&["extract"], file, folder)),
            reads: None,
            data: "root",
        },
        securetar("core", "securetar with zlib (as Home Assistant Core)", "zlib", python),
        securetar("supervisor", "securetar with ISA-L (as the Supervisor)", "fast", python),
        Contender {
            key: "tar",
            name: "GNU tar, gzip -6",
            write: Some(Box::new(|tree, file| {
                shell("tar -C \"$0\" -cf - . | gzip -6 >\"$1\"", tree, file)
            })),
            extract: Box::new(|file, folder| shell("tar -C \"$1\" -xzf \"$0\"", file, folder)),
            reads: None,
            data: ".",
        },
        Contender {
            key: "foreign",
            name: "hearthkeep, from the file of securetar with zlib",
            write: None,
            extract: Box::new(move |file, folder| again(&["extract"], file, folder)),
            reads: Some("core"),
            data: "root",
        },
    ])
}

fn securetar(
    key: &'static str,
    name: &'static str,
    library: &'static str,
    python: &Path,
) -> Contender {
    let python = python.to_owned();
    let script = lab::script("peer.py").display().to_string();
    let run = move |step: &str, from: &Path, to: &Path| {
        words(&python, &[&script, library, step], &[from, to])
    };
    let again = run.clone();
    Contender {
        key,
        name,
        write: Some(Box::new(move |tree, file| run("write", tree, file))),
        extract: Box::new(move |file, folder| again("extract", file, folder)),
        reads: None,
        data: "data",
    }
}

fn words(program: &Path, options: &[&str], paths: &[&Path]) -> Words {
    let path = |it: &Path| it.display().to_string();
    let options = options.iter().map(|it| (*it).to_owned());
    [path(program)].into_iter().chain(options).chain(paths.iter().map(|it| path(it))).collect()
}

fn shell(line: &str, from: &Path, to: &Path) -> Words {
    words(Path::new("bash"), &["-o", "pipefail", "-c", line], &[from, to])
}
