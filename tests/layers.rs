//! The architecture as a table, and the tests that hold the code to it.
//!
//! Three rules: a module names only modules below it; a foreign crate is named only where the
//! table says; a file keeps to the colour of its module. `ARCHITECTURE.md` tells it in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a module may do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Colour {
    /// Rules and plain data: no I/O, no clock, no waiting.
    Pure,
    /// Bytes and folders: never waits for the engine or the network.
    Blocking,
    /// Waits: never touches a file, never compresses.
    Async,
}

use Colour::{Async, Blocking, Pure};

/// The pile, top to bottom: a module may name only those that stand below it.
const PILE: &[(&str, Colour)] = &[
    ("cli", Async),
    ("daemon", Async),
    ("api", Async),
    ("calendar", Async),
    ("jobs", Async),
    ("check", Async),
    ("backup", Async),
    ("restore", Async),
    ("boot", Async),
    ("recover", Async),
    ("hands", Pure),
    ("outpost", Async),
    ("survey", Async),
    ("gate", Async),
    ("quiesce", Async),
    ("translate", Blocking),
    ("swap", Blocking),
    ("prune", Blocking),
    ("probe", Blocking),
    ("throwaway", Blocking),
    ("catalog", Blocking),
    ("archive", Blocking),
    ("capture", Blocking),
    ("store", Blocking),
    ("reach", Blocking),
    ("standing", Pure),
    ("lock", Blocking),
    ("program", Blocking),
    ("pulse", Blocking),
    ("thaw", Blocking),
    ("guardian", Blocking),
    ("chronicle", Blocking),
    ("journal", Blocking),
    ("compose", Blocking),
    ("keyfile", Blocking),
    ("mapfile", Blocking),
    ("settings", Blocking),
    ("engine", Async),
    ("findings", Pure),
    ("compose_file", Pure),
    ("plan", Pure),
    ("companions", Pure),
    ("retention", Pure),
    ("due", Pure),
    ("schedule", Pure),
    ("nearest", Pure),
    ("kit", Pure),
    ("model", Pure),
    ("monitor", Pure),
    ("secret", Pure),
    ("socket", Blocking),
    ("island", Async),
    ("signals", Blocking),
    ("systemd", Blocking),
    ("exit", Pure),
    ("log", Blocking),
    ("lines", Pure),
    ("faults", Blocking),
    ("fsx", Blocking),
    ("memory", Blocking),
];

/// Who may name a foreign crate; a crate that is not here may be named by nobody.
const CRATES: &[(&str, &[&str])] = &[
    ("anyhow", &["*"]),
    ("thiserror", &["*"]),
    ("serde", &["*"]),
    ("serde_json", &["*"]),
    (
        "jiff",
        &[
            "api",
            "archive",
            "backup",
            "boot",
            "calendar",
            "check",
            "chronicle",
            "cli",
            "daemon",
            "due",
            "engine",
            "findings",
            "jobs",
            "log",
            "probe",
            "schedule",
            "settings",
            "standing",
            "prune",
            "retention",
        ],
    ),
    ("croner", &["schedule"]),
    ("axum", &["api"]),
    ("hyper", &["cli"]),
    ("hyper_util", &["cli"]),
    ("http_body_util", &["api", "cli"]),
    ("sd_notify", &["systemd"]),
    ("listenfd", &["systemd"]),
    ("log_facade", &["log"]),
    ("systemd_journal_logger", &["log"]),
    ("serde_saphyr", &["mapfile", "settings"]),
    ("strsim", &["nearest"]),
    ("bytesize", &["backup", "cli", "findings", "swap", "throwaway"]),
    ("tokio_util", &["*"]),
    (
        "tokio",
        &[
            "api", "backup", "boot", "calendar", "cli", "daemon", "engine", "gate", "island",
            "jobs", "outpost", "quiesce", "recover", "restore",
        ],
    ),
    ("futures_util", &["api", "engine", "quiesce"]),
    ("async_trait", &["engine"]),
    ("bollard", &["engine"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("indicatif", &["cli"]),
    ("tar", &["archive"]),
    ("flate2", &["archive"]),
    ("isal_sys", &["archive"]),
    ("sha1", &["archive"]),
    ("sha2", &["archive", "translate"]),
    ("aes", &["archive"]),
    ("cbc", &["archive"]),
    ("argon2", &["archive"]),
    ("blake2", &["archive"]),
    ("chacha20", &["archive"]),
    ("poly1305", &["archive"]),
    ("blake3", &["archive"]),
    ("getrandom", &["archive", "chronicle", "keyfile", "translate"]),
    ("zeroize", &["archive", "keyfile", "secret"]),
    ("rpassword", &["cli"]),
    ("globset", &["capture"]),
    ("rayon", &["archive", "capture"]),
    ("rusqlite", &["archive", "capture"]),
    ("tempfile", &["archive", "capture"]),
    (
        "nix",
        &[
            "archive", "calendar", "capture", "cli", "fsx", "jobs", "memory", "reach", "signals",
            "socket", "swap",
        ],
    ),
    // For the flags of files, which `nix` does not tell.
    ("rustix", &["swap"]),
    ("signal_hook", &["signals"]),
];

/// What a colour may not say. Words of the code, comments and tests left out.
const FORBIDDEN: &[(Colour, &[&str])] = &[
    (
        Pure,
        &[
            "std::fs",
            "std::io",
            "std::process",
            "std::env",
            "std::thread",
            "async ",
            ".await",
            "::now()",
            "tokio::",
        ],
    ),
    (Blocking, &["async ", ".await", "tokio::"]),
    (
        Async,
        &[
            "std::fs",
            "File::",
            "Command::new",
            "flate2",
            "tar::",
            ".is_dir()",
            ".is_file()",
            ".exists()",
            ".symlink_metadata(",
        ],
    ),
];

#[test]
fn modules_name_only_what_stands_below_them() {
    for (file, module, code) in sources() {
        let Some(place) = place(&module) else { continue };
        for named in crate_paths(&code).into_iter().filter(|it| *it != module) {
            let other = self::place(&named)
                .unwrap_or_else(|| panic!("{}: `{named}` is not in the pile", file.display()));
            assert!(place < other, "{}: {module} must not name {named}", file.display());
        }
    }
}

#[test]
fn foreign_crates_are_named_only_by_their_module() {
    let table: BTreeMap<&str, &[&str]> = CRATES.iter().copied().collect();
    for name in dependencies() {
        assert!(table.contains_key(name.as_str()), "{name} has no place in the table");
    }
    for (file, module, code) in sources() {
        for (name, modules) in &table {
            let named = words(&code).windows(2).any(|it| it[0] == *name && it[1] == "::");
            let allowed = modules.contains(&"*") || modules.contains(&module.as_str());
            assert!(!named || allowed, "{}: {module} must not name {name}", file.display());
        }
    }
}

#[test]
fn every_file_keeps_to_its_colour() {
    for (file, module, code) in sources() {
        let Some(place) = place(&module) else { continue };
        let colour = PILE[place].1;
        let (_, forbidden) =
            FORBIDDEN.iter().find(|(it, _)| *it == colour).expect("every colour has a row");
        for word in *forbidden {
            assert!(!code.contains(word), "{}: {colour:?} must not say {word}", file.display());
        }
    }
}

#[test]
fn the_pile_is_the_tree() {
    let in_tree: BTreeSet<String> = sources().into_iter().map(|(_, module, _)| module).collect();
    let in_pile: BTreeSet<String> = PILE.iter().map(|(name, _)| (*name).to_owned()).collect();
    let doors = ["lib", "main"].map(str::to_owned).into();
    assert_eq!(in_tree.difference(&doors).cloned().collect::<BTreeSet<_>>(), in_pile);
}

fn place(module: &str) -> Option<usize> {
    PILE.iter().position(|(name, _)| *name == module)
}

/// Every source file with its module and its code, without comments and without its tests.
fn sources() -> Vec<(PathBuf, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let read = |file: PathBuf| {
        let below = file.strip_prefix(&src).expect("it is below src");
        let first = below.components().next().expect("it has a name");
        let module = Path::new(first.as_os_str()).with_extension("").display().to_string();
        let text = fs::read_to_string(&file).expect("a source can be read");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code = code.lines().filter(is_code).collect::<Vec<_>>().join("\n");
        (file, module, code)
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("a source folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

/// The modules that are named by `crate::…`, groups and nested groups resolved one level deep.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let words = words(code);
    let mut named = BTreeSet::new();
    for (n, word) in words.iter().enumerate() {
        if word != "crate" || words.get(n + 1).map(String::as_str) != Some("::") {
            continue;
        }
        match words.get(n + 2).map(String::as_str) {
            Some("{") => named.extend(group(&words[n + 3..])),
            Some(name) => {
                named.insert(name.to_owned());
            }
            None => (),
        }
    }
    named
}

/// The first names of a group: `{lock, signals::{self}}` names `lock` and `signals`.
fn group(words: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expects_name = true;
    for word in words {
        match word.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => expects_name = true,
            name if depth == 0 && expects_name => {
                names.push(name.to_owned());
                expects_name = false;
            }
            _ => (),
        }
    }
    names
}

/// Identifiers, `::` and single marks.
fn words(code: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in code.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        match words.last_mut() {
            Some(last) if is_word && in_word => last.push(c),
            Some(last) if c == ':' && last == ":" => last.push(c),
            _ if c.is_whitespace() => (),
            _ => words.push(c.to_string()),
        }
        in_word = is_word;
    }
    words
}

/// The names under `[dependencies]`, as code spells them.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).expect("there are dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    names.map(|it| it.trim().replace('-', "_")).collect()
}
