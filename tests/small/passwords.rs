//! Keys that are made, and the places that passwords come from.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::home::write;
use crate::support::process::script;
use crate::support::{Bench, Run};

const VARIABLE: &str = "HEARTHKEEP_PASSWORD";

/// That of the backup below, which no output may show.
const PASSWORD: &str = "hunter2";

/// A backup that is encrypted, by others.
fn encrypted(bench: &Bench) -> String {
    let path = bench.path().join("encrypted.tar");
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    fs::copy(archives.join("core_sec3_gz.tar"), &path).expect("it can be copied");
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

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o7777
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut files: Vec<_> = entries.map(|it| it.expect("it can be read").path()).collect();
    files.sort();
    files
}

/// Makes a key with these words; gives it with the path of its kit.
fn generate(bench: &Bench, words: &[&str], key_file: &Path) -> (String, PathBuf) {
    let run = bench.hearthkeep(&[&["--json", "key", "generate"], words].concat()).ends(0);
    let made = run.json();
    assert_eq!(made["key_file"], key_file.display().to_string());
    let key = fs::read_to_string(key_file).expect("it is there");
    let key = key.strip_suffix('\n').expect("a newline at the end").to_owned();
    assert!(!run.stdout.contains(&key) && !run.stderr.contains(&key), "{run:?}");
    (key, made["kit"].as_str().expect("a path").into())
}

#[test]
fn a_key_looks_like_home_assistants_and_has_its_kit_beside_it() {
    let bench = Bench::new();
    let folder = bench.path().join("new");
    let key_file = folder.join("password");
    let (key, kit) = generate(&bench, &[&key_file.display().to_string()], &key_file);
    assert_eq!(key.len(), 34);
    let groups: Vec<&str> = key.split('-').collect();
    assert_eq!(groups.len(), 7);
    let is_symbol = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit();
    assert!(groups.iter().all(|it| it.len() == 4 && it.bytes().all(is_symbol)), "{key}");

    assert_eq!(files(&folder), [kit.clone(), key_file.clone()]);
    assert_eq!((mode(&folder), mode(&key_file), mode(&kit)), (0o700, 0o600, 0o600));
    let name = kit.file_name().and_then(|it| it.to_str()).expect("a plain name");
    assert!(name.starts_with("home_assistant_backup_emergency_kit_2"), "{name}");
    let text = fs::read_to_string(&kit).expect("it is there");
    assert!(text.contains(&format!("\nEncryption key:\n{key}\n")), "{text}");

    // A person is told both places, and what to do.
    let other = bench.path().join("other").display().to_string();
    let run = bench.hearthkeep(&["key", "generate", &other]).ends(0);
    for said in [&other, "home_assistant_backup_emergency_kit_", "elsewhere"] {
        assert!(run.stdout.contains(said), "{run:?}");
    }
    let second = fs::read_to_string(&other).expect("it is there");
    assert_ne!(second.trim(), key);
    assert!(!format!("{run:?}").contains(second.trim()), "{run:?}");

    // What was made is what is read.
    let backup = encrypted(&bench);
    let run = bench.hearthkeep(&["verify", &backup, "--password-file", &other]).ends(12);
    assert!(run.error().contains(&format!("wrong password for {backup}")), "{run:?}");
    assert!(!run.stderr.contains("warning:"), "{run:?}");
}

#[test]
fn a_key_goes_where_passwords_are_read_from() {
    let bench = Bench::new();
    let (named, set) = (bench.path().join("named"), bench.path().join("set"));
    let option = ["--password-file", &set.display().to_string()];
    generate(&bench, &[&option[..], &[&named.display().to_string()]].concat(), &named);
    assert!(!set.exists());
    generate(&bench, &option, &set);
}

#[test]
fn nothing_is_replaced_and_nothing_is_half_made() {
    let bench = Bench::new();
    let folder = bench.folder("keys");
    let taken = write(&folder.join("taken"), "dear");
    let dangling = folder.join("dangling");
    symlink("nowhere", &dangling).expect("a link can be made");
    // Somebody waits for a secret to be written into a file of theirs.
    let lured = folder.join("lured");
    let trap = write(&folder.join("lured.partial"), "");
    let lost = folder.join("no/such/key");
    let was = files(&folder);
    for (path, said) in
        [(&taken, "already there"), (&dangling, "already there"), (&folder, "already there")]
            .into_iter()
            .chain([(&lured, "lured.partial"), (&lost, "no/such")])
    {
        let run = bench.hearthkeep(&["key", "generate", &path.display().to_string()]).ends(1);
        assert!(run.error().contains(said), "{run:?}");
        assert_eq!(files(&folder), was, "{path:?}");
    }
    assert_eq!(fs::read_to_string(&taken).expect("it is there"), "dear");
    assert_eq!(fs::read_to_string(&trap).expect("it is there"), "");
}

#[test]
fn words_that_make_no_request_are_told_and_passwords_are_no_words() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    for words in [
        &["key"][..],
        &["key", "genrate"],
        &["key", "generate", "one", "two"],
        &["verify", &backup, "--password", PASSWORD],
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

    // With one of them it is read.
    run(&mut bench.command(&by_option)).ends(0);
    run(bench.command(&verify).env("HEARTHKEEP_PASSWORD_FILE", &file)).ends(0);
    run(bench.command(&verify).env(VARIABLE, PASSWORD)).ends(0);
    let wrong = run(bench.command(&verify).env(VARIABLE, "another")).ends(12);
    assert!(wrong.error().contains(&format!("wrong password for {backup}")), "{wrong:?}");

    // The option goes before the variable. Of two variables neither does.
    run(bench.command(&by_option).env(VARIABLE, "another")).ends(0);
    for words in [&verify[..], &["backup"]] {
        let mut command = bench.command(words);
        command.env(VARIABLE, PASSWORD).env("HEARTHKEEP_PASSWORD_FILE", &file);
        let both = run(&mut command).ends(78);
        assert!(both.error().contains(&file) && both.error().contains(VARIABLE), "{both:?}");
    }
    let empty = run(bench.command(&verify).env(VARIABLE, "")).ends(78);
    assert!(empty.error().contains("HEARTHKEEP_PASSWORD: it is empty"), "{empty:?}");
}

#[test]
fn a_file_that_can_hold_no_password_is_named() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    let long = PASSWORD.repeat(4000);
    let file = bench.path().join("password").display().to_string();
    let check = |file: &str, said: &str| {
        let run = run(&mut bench.command(&["verify", &backup, "--password-file", file])).ends(78);
        assert!(run.error().contains(file) && run.error().contains(said), "{run:?}");
    };
    check(&file, "there is no such file: `hearthkeep key generate` makes one");
    for (content, said) in
        [("", "empty"), ("\n", "empty"), (&long, "16 KiB"), (&"x".repeat(1 << 20), "16 KiB")]
    {
        password_file(&bench, content, 0o600);
        check(&file, said);
    }
    fs::remove_file(&file).expect("it is ours");
    let mut bytes = PASSWORD.as_bytes().to_vec();
    bytes.push(0xff);
    write(Path::new(&file), &bytes);
    check(&file, "UTF-8");
    check(&bench.path().display().to_string(), "it is a folder: name the file");
}

#[test]
fn a_file_that_others_may_read_is_warned_of_once() {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    for (mode, n_warnings) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o620, 1)] {
        let file = password_file(&bench, PASSWORD, mode);
        let run = run(&mut bench.command(&["verify", &backup, "--password-file", &file])).ends(0);
        let warnings: Vec<&str> =
            run.stderr.lines().filter(|it| it.starts_with("warning:")).collect();
        assert_eq!(warnings.len(), n_warnings, "{mode:o}: {run:?}");
        assert!(warnings.iter().all(|it| it.contains(&file)), "{run:?}");
    }
}

/// Runs `verify` with a key that lies, with this mode, where these commands of the shell put it; in
/// a `/run` of its own. Gives the warnings.
fn warnings_of(mode: u32, put: &str, at: &str, credentials: &str) -> Vec<String> {
    let bench = Bench::new();
    let backup = encrypted(&bench);
    let file = password_file(&bench, PASSWORD, mode);
    let program = bench.command(&["--quiet", "verify", &backup, "--password-file", at]);
    let mut command = Command::new("unshare");
    let script =
        format!("set -e; mount -t tmpfs none /run; mkdir /run/secrets; {put}; exec \"$@\"");
    command.args(["--mount", "sh", "-c", &script, &file]).arg(program.get_program());
    command.args(program.get_args()).env("HEARTHKEEP_CONFIG", "/dev/null");
    let run = run(command.env("CREDENTIALS_DIRECTORY", credentials)).ends(0);
    run.stderr.lines().map(str::to_owned).collect()
}

#[test]
fn a_secret_that_an_engine_or_systemd_keeps_is_not_warned_of_and_one_of_the_host_is() {
    let at = "/run/secrets/key";
    // In memory, as Docker has it; or put into the container itself.
    let none: [String; 0] = [];
    assert_eq!(warnings_of(0o444, "cp -p \"$0\" /run/secrets/key", at, ""), none);
    // A file of the host, as Compose mounts it.
    let mounted = "touch /run/secrets/key; mount --bind \"$0\" /run/secrets/key";
    let warnings = warnings_of(0o644, mounted, at, "");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("is open to others (644): chmod 600 the file on the host"));
    assert_eq!(warnings_of(0o600, mounted, at, ""), none);
    // What systemd hands to a service, with rights that show as the group's.
    let put = "mkdir /run/credentials; cp -p \"$0\" /run/credentials/key";
    let at = "/run/credentials/key";
    assert_eq!(warnings_of(0o440, put, at, "/run/credentials"), none);
    assert_eq!(warnings_of(0o440, put, at, "").len(), 1);
    assert_eq!(warnings_of(0o444, put, at, "/run/credentials").len(), 1);
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
        (typed.as_str(), 0),
        ("another\r", 12),
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
        let is_told = if code == 0 { last.contains(": sound") } else { last.starts_with("error:") };
        assert!(is_told, "{keys:?}: {said}");
    }
}
