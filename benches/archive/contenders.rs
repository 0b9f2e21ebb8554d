//! Who takes part, and with which commands.

use std::path::Path;

use super::lab::{self, Tree};

/// A program with its arguments.
pub(crate) type Words = Vec<String>;

/// Source and target → the command.
pub(crate) type Step = Box<dyn Fn(&Path, &Path) -> Words>;

/// A file → the command.
pub(crate) type Look = Box<dyn Fn(&Path) -> Words>;

/// A program that archives and extracts.
pub(crate) struct Contender {
    /// What the tables call it.
    pub(crate) name: &'static str,
    /// `plain`, `v2` or `v3`.
    pub(crate) cipher: &'static str,
    /// Writes a tree to a file; none where it reads another's file.
    pub(crate) write: Option<Step>,
    /// Reads a file to its end.
    pub(crate) verify: Option<Look>,
    /// Extracts a file into a folder.
    pub(crate) extract: Step,
    /// Whose file it reads: a word for each writer.
    pub(crate) reads: &'static str,
    /// Where the tree lies in what it extracted.
    pub(crate) data: &'static str,
    /// Takes minutes, so that one round has to do.
    pub(crate) is_slow: bool,
}

/// Of each cipher ours first: the tables count in its times.
pub(crate) fn all(python: &Path, tree: &Tree) -> anyhow::Result<Vec<Contender>> {
    let us = std::env::current_exe()?;
    let mut all = Vec::new();
    for cipher in ["plain", "v2", "v3"] {
        all.push(ours(&us, cipher));
        for (name, library) in [
            ("securetar with zlib (as Home Assistant Core)", "zlib"),
            ("securetar with ISA-L (as the Supervisor)", "fast"),
        ] {
            let is_slow = tree.is_small_files || cipher != "plain" && library == "zlib";
            all.push(Contender { is_slow, ..securetar(name, library, cipher, python) });
        }
        all.push(Contender {
            name: "hearthkeep, from the file of securetar with ISA-L",
            write: None,
            verify: None,
            reads: "fast",
            // The file is there in the first round alone, where the writer is slow.
            is_slow: tree.is_small_files,
            ..ours(&us, cipher)
        });
        if cipher == "plain" {
            all.extend([
                tar("tar, gzip -6", "gzip", "gzip -6", "gzip"),
                tar("tar, pigz -6", "pigz", "pigz -6", "pigz"),
                tar("tar, zstd -3 -T0", "zstd", "zstd -3 -T0 -q", "zstd -q"),
                tar("tar, not compressed", "cat", "cat", "cat"),
            ]);
        }
    }
    Ok(all)
}

fn ours(us: &Path, cipher: &'static str) -> Contender {
    let [us, also_us, us_again] = [(); 3].map(|()| us.to_owned());
    Contender {
        name: "hearthkeep",
        cipher,
        write: Some(Box::new(move |tree, file| words(&us, &["write", cipher], &[tree, file]))),
        verify: Some(Box::new(move |file| words(&also_us, &["verify"], &[file]))),
        extract: Box::new(move |file, folder| words(&us_again, &["extract"], &[file, folder])),
        reads: "ours",
        data: "root",
        is_slow: false,
    }
}

fn securetar(
    name: &'static str,
    library: &'static str,
    cipher: &'static str,
    python: &Path,
) -> Contender {
    let python = python.to_owned();
    let script = lab::script("peer.py").display().to_string();
    let run = move |step: &str, from: &Path, to: &Path| {
        words(&python, &[&script, library, step, cipher], &[from, to])
    };
    let again = run.clone();
    Contender {
        name,
        cipher,
        write: Some(Box::new(move |tree, file| run("write", tree, file))),
        verify: None,
        extract: Box::new(move |file, folder| again("extract", file, folder)),
        reads: library,
        data: "data",
        is_slow: false,
    }
}

/// Two processes with a pipe between them, which writes and reads in pieces of its size.
fn tar(
    name: &'static str,
    reads: &'static str,
    pack: &'static str,
    unpack: &'static str,
) -> Contender {
    let is_plain = pack == "cat";
    let shell = |line: &str, paths: &[&Path]| {
        words(Path::new("bash"), &["-o", "pipefail", "-c", line], paths)
    };
    let write = match is_plain {
        true => "tar -C \"$0\" -cf \"$1\" .".to_owned(),
        false => format!("tar -C \"$0\" -cf - . | {pack} >\"$1\""),
    };
    let extract = match is_plain {
        true => "tar -C \"$1\" -xf \"$0\"".to_owned(),
        false => format!("{unpack} -dc <\"$0\" | tar -C \"$1\" -xf -"),
    };
    let verify = format!("{unpack} -t <\"$0\"");
    Contender {
        name,
        cipher: "plain",
        write: Some(Box::new(move |tree, file| shell(&write, &[tree, file]))),
        verify: (!is_plain).then(|| -> Look { Box::new(move |file| shell(&verify, &[file])) }),
        extract: Box::new(move |file, folder| shell(&extract, &[file, folder])),
        reads,
        data: ".",
        is_slow: false,
    }
}

fn words(program: &Path, options: &[&str], paths: &[&Path]) -> Words {
    let path = |it: &Path| it.display().to_string();
    let options = options.iter().map(|it| (*it).to_owned());
    [path(program)].into_iter().chain(options).chain(paths.iter().map(|it| path(it))).collect()
}
