//! The places that passwords come from.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::home::write;
use crate::support::process::script;
use crate::support::{Bench, Run};

const VARIABLE: &str = "HEARTHKEEP_PASSWORD";

/// What no output may show.
const PASSWORD: &str = "hunter2-hunter2";

/// A backup whose parts are encrypted, as far as its metadata says.
fn encrypted(bench: &Bench) -> String {
    let path = bench.path().join("encrypted.tar");
    let json = br#"{"slug": "0badcafe", "name": "n", "date": "2026-01-02T03:04:05+00:00",
        "type": "partial", "protected": true}"#;
    let mut tar = tar::Builder::new(File::create(&path).expect("a file can be made"));
    let mut header = tar::Header::new_gnu();
    header.set_size(json.len() as u64);
    header.set_mode(0o600);
    tar.append_data(&mut header, "./backup.json", &json[..]).expect("it can be written");
    tar.finish().expect("it can be written");
    path.display().to_string()
}

/// A file with a password in it.
fn password_file(bench: &Bench, content: &str, mode: u32) -> String {
    let path = write(&bench.path().join("password"), content);
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    path.display().to_string()
}

fn run(command: &mut Command) -> Run {
    let run: Run = command.stdin(Stdio::null()).output().expect("it can be started").into();
    assert!(!format!("{run:?}").contains(PASSWORD), "{run:?}");
    run
}

#[test]
fn words_that_make_no_request_are_told_and_passwords_are_no_words() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    for words in [
        &["verify", &backup, "--password", PASSWORD][..],
        &["verify", &backup, "--password-file"],
        &["verify", &backup, "--password-file", ""],
    ] {
        let run = run(&mut bench.command(words));
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        assert!(run.stderr.contains("Usage:") || run.stderr.contains("--help"), "{run:?}");
    }
    let help = run(bench.command(&["--help"]).env(VARIABLE, PASSWORD)).ends(0);
    assert!(help.stdout.contains("--password-file"), "{help:?}");
}

#[test]
fn a_password_comes_from_one_file_or_variable() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    let file = password_file(&bench, &format!("{PASSWORD}\n"), 0o600);
    let verify = ["verify", &backup];
    let by_option = ["verify", &backup, "--password-file", &file];

    // With neither it is missed, and nobody is asked where there is no terminal.
    let missed = run(&mut bench.command(&verify)).ends(12);
    for said in [&backup, "--password-file", VARIABLE] {
        assert!(missed.error().contains(said), "{missed:?}");
    }
    let json = run(&mut bench.command(&["--json", "verify", &backup])).ends(12).json();
    assert_eq!(json["exit_code"], 12);

    // With one of them it is not missed any more.
    run(&mut bench.command(&by_option)).ends(1);
    run(bench.command(&verify).env("HEARTHKEEP_PASSWORD_FILE", &file)).ends(1);
    run(bench.command(&verify).env(VARIABLE, PASSWORD)).ends(1);

    for words in [&by_option[..], &["backup", "--password-file", &file]] {
        let both = run(bench.command(words).env(VARIABLE, PASSWORD)).ends(2);
        assert!(both.error().contains(&file) && both.error().contains(VARIABLE), "{both:?}");
    }
    let empty = run(bench.command(&verify).env(VARIABLE, "")).ends(1);
    assert!(empty.error().contains("HEARTHKEEP_PASSWORD is empty"), "{empty:?}");
    // A backup in the clear is not what was asked for.
    let words = ["backup", "--password-file", &file];
    assert!(run(&mut bench.command(&words)).ends(1).error().contains("encrypted"));
}

#[test]
fn a_file_that_can_hold_no_password_is_named() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    let long = PASSWORD.repeat(2000);
    let file = bench.path().join("password").display().to_string();
    let check = |file: &str, said: &str| {
        let run = run(&mut bench.command(&["verify", &backup, "--password-file", file])).ends(1);
        assert!(run.error().contains(file) && run.error().contains(said), "{run:?}");
    };
    check(&file, "No such file");
    for (content, said) in [("", "empty"), ("\n", "empty"), (&long, "16 KiB")] {
        password_file(&bench, content, 0o600);
        check(&file, said);
    }
    fs::remove_file(&file).expect("it is ours");
    let mut bytes = PASSWORD.as_bytes().to_vec();
    bytes.push(0xff);
    write(Path::new(&file), &bytes);
    check(&file, "UTF-8");
    check(&bench.path().display().to_string(), "directory");
}

#[test]
fn a_file_that_others_may_read_is_warned_of_once() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    for (mode, n_warnings) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o620, 1)] {
        let file = password_file(&bench, PASSWORD, mode);
        let run = run(&mut bench.command(&["verify", &backup, "--password-file", &file])).ends(1);
        let warnings: Vec<&str> =
            run.stderr.lines().filter(|it| it.starts_with("warning:")).collect();
        assert_eq!(warnings.len(), n_warnings, "{mode:o}: {run:?}");
        assert!(warnings.iter().all(|it| it.contains(&file)), "{run:?}");
    }
}

/// Types these keys where `verify` asks for the password of an encrypted backup, or sends a
/// signal; gives the exit code and what the terminal showed.
fn at_the_prompt(keys: &str) -> (i64, String) {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    let program = bench.command(&["--quiet", "verify", &backup]);
    let mut terminal = Command::new("python3");
    terminal.arg(script("terminal.py")).args(["Password of", keys]).arg(program.get_program());
    terminal.args(program.get_args());
    for (key, value) in program.get_envs() {
        match value {
            Some(value) => terminal.env(key, value),
            None => terminal.env_remove(key),
        };
    }
    let seen: Value = run(&mut terminal).ends(0).json();
    assert_eq!(seen["is_as_before"], true, "{keys:?}: the terminal was not put back");
    let said = seen["said"].as_str().expect("text").to_owned();
    assert!(said.contains("encrypted.tar"), "{said}");
    (seen["code"].as_i64().expect("a number"), said)
}

#[test]
fn a_person_at_a_terminal_is_asked_and_the_terminal_is_put_back() {
    // With a slip of the finger, which is taken back.
    let typed = format!("{PASSWORD}x\x7f\r");
    for (keys, code) in [
        (typed.as_str(), 1),
        // No answer is no password.
        ("\r", 12),
        ("\x04", 12),
        ("\x03", 130),
        ("hunt\x03", 130),
        ("SIGTERM", 130),
        ("SIGINT", 130),
        ("SIGHUP", 130),
    ] {
        let (ended, said) = at_the_prompt(keys);
        assert_eq!(ended, code, "{keys:?}: {said}");
        assert!(!said.contains("hunt"), "{keys:?}: {said}");
        let last = said.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("error:"), "{keys:?}: {said}");
    }
}
