use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::*;
use crate::log::Form;
use crate::plan::OnMaxHold;
use crate::retention::Keep;

const FILE: &str = "/etc/hearthkeep/config.yaml";

fn build(text: &str, variables: &[(&str, &str)], words: Written) -> Result<Settings, String> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let variable = |it: &str| variables.get(it).map(OsString::from);
    let path = Path::new(FILE);
    parse(text, path)
        .and_then(|file| Settings::build(file, path, &Variables(&variable), words))
        .map_err(|err| err.to_string())
}

fn settings(text: &str, variables: &[(&str, &str)]) -> Settings {
    build(text, variables, Written::default()).unwrap_or_else(|err| panic!("{text}: {err}"))
}

#[test]
fn a_mistake_is_told_with_its_place_and_its_cure() {
    let check = |text: &str, place: &str, said: &str| {
        let err = build(text, &[], Written::default()).expect_err(text);
        assert!(err.starts_with(&format!("{FILE}, {place}: ")), "{text:?}: {err}");
        assert!(err.contains(said) && err.lines().count() == 1, "{text:?}: {err}");
    };
    check("store: /a\nstroe: /b\n", "line 2, column 1", "unknown key stroe, probably store");
    check("max_hold: 3\n", "line 1, column 1", "unknown key max_hold, probably max-hold");
    check("xyzzy: 3\n", "line 1, column 1", "unknown key xyzzy; there are project, home, store");
    check("password: hunter2\n", "line 1, column 1", "unknown key password;");
    check("store: /a\nstore: /b\n", "line 2, column 1", "key store stands twice");
    check("store: a\n", "line 1, column 8", "a must be a whole path, from / on");
    check("staging: ./a\n", "line 1, column 10", "./a must be a whole path");
    check("password-file: key\n", "line 1, column 16", "key must be a whole path");
    check("store: /a\nlevel: 12\n", "line 2, column 8", "must be 1 (fastest) to 9");
    check("level: high\n", "line 1, column 8", "must be a number");
    check("format-version: 1\n", "line 1, column 17", "must be 3, or 2");
    check("max-hold: -1\n", "line 1, column 11", "number of seconds");
    check("max-hold: .nan\n", "line 1, column 11", "number of seconds");
    check("max-hold: 30s\n", "line 1, column 11", "must be a number");
    check("on-max-hold: giveup\n", "line 1, column 14", "unknown value giveup; there are fail");
    check(
        "on-max-hold: contine\n",
        "line 1, column 14",
        "unknown value contine, probably continue",
    );
    check("no-database: perhaps\n", "line 1, column 14", "must be true or false");
    check("exclude: [*.mp4]\n", "line 1, column 11", "in quotes, such as \"*.mp4\"");
    check("keep: {}\n", "line 1, column 7", "must keep something");
    check("keep: { last: 0 }\n", "line 1, column 7", "must keep something");
    check("keep: { dayly: 7 }\n", "line 1, column 9", "unknown key dayly, probably daily");
    check("keep: { daily: -7 }\n", "line 1, column 16", "must be a number");
    check("keep: 7\n", "line 1, column 7", "keys belong here");
    check("store: [a]\n", "line 1, column 8", "one value belongs here");
    check("- store\n", "line 1, column 1", "keys belong here");
    check("store:\t/a\n\tlevel: 3\n", "line 1, column 8", "a tab stands here, and YAML wants");
    check("keep:\n\tlast: 3\n", "line 2, column 2", "a tab stands here, and YAML wants");
    check("log: [json]\n", "line 1, column 6", "one value belongs here");
    check("only: { a: b }\n", "line 1, column 7", "a list of words belongs here");
    check("\u{feff}level: 12\r\n", "line 1, column 8", "must be 1 (fastest)");
    check("store: \"/a\nlevel: 3\n", "line 1, column 8", "unclosed quote");
    check("name: a: b\n", "line 1, column 8", "mapping values are not allowed");
    check("---\nlevel: 1\n---\nlevel: 2\n", "line 4, column 1", "leave out the ---");
    check("profiles:\n  a b:\n    level: 1\n", "line 3, column 5", "profile \"a b\": a name has");
    check("profiles:\n  a:\n    profiles: {}\n", "line 3, column 5", "at the top of the file");
    check("log: jsno\n", "line 1, column 6", "unknown value jsno, probably json");
    check("profiles:\n  a:\n    log: json\n", "line 3, column 5", "log stands at the top of");
    check("profiles:\n  a:\n    onyl: ssl\n", "line 3, column 5", "onyl, probably only");
    check("profiles:\n  a: {}\n  a: {}\n", "line 3, column 3", "key a stands twice");
}

#[test]
fn a_schedule_is_checked_where_it_stands() {
    let check = |text: &str, place: &str, said: &str| {
        let err = build(text, &[], Written::default()).expect_err(text);
        assert!(err.starts_with(&format!("{FILE}, {place}: ")), "{text:?}: {err}");
        assert!(err.contains(said), "{text:?}: {err}");
    };
    check("level: 2\nschedule: soon\n", "line 2, column 11", "soon: a schedule is a time");
    check(
        "level: 2\nschedule: 445\n",
        "line 2, column 1",
        "a schedule such as mon-fri 04:45 belongs",
    );
    check("schedule: 25:00\n", "line 1, column 11", "no time of the day");
    check("schedule: [04:45]\n", "line 1, column 11", "no list of them");
    check("schedule: { time: 04:45, cron: 0 4 * * * }\n", "line 1, column 11", "a time, days and");
    check("schedule: { days: [mon] }\n", "line 1, column 11", "days and a time");
    check("schedule: { tiem: 04:45 }\n", "line 1, column 13", "tiem, probably time");
    check("schedule: { time: 04:45, time-zone: Mars }\n", "line 1, column 11", "no time zone Mars");
    check("schedule: { time: 04:45, jitter: much }\n", "line 1, column 34", "must be a number");
    let err = build("", &[("HEARTHKEEP_SCHEDULE", "soon")], Written::default());
    assert!(err.expect_err("soon").starts_with("HEARTHKEEP_SCHEDULE: soon: "));

    let due = |text: &str| {
        let settings = settings(text, &[]);
        let schedule = settings.nameless.schedule.as_ref().expect(text);
        let from = "2026-11-25T00:00:00Z".parse().expect("a date");
        schedule.next_after(from).expect("it comes").to_string()
    };
    let zone = ", time-zone: Europe/Berlin";
    assert_eq!(due(&format!("schedule: {{ time: 04:45{zone} }}")), "2026-11-25T03:45:00Z");
    let days = "[fri, sat]";
    assert_eq!(
        due(&format!("schedule: {{ days: {days}, time: 04:45{zone} }}")),
        "2026-11-27T03:45:00Z"
    );
    assert_eq!(
        due(&format!("schedule: {{ days: mon-fri, time: '4:45'{zone} }}")),
        "2026-11-25T03:45:00Z"
    );
    assert_eq!(due(&format!("schedule: {{ cron: '0 3 1 * *'{zone} }}")), "2026-12-01T02:00:00Z");
    let schedule = settings("schedule: { time: 04:45, jitter: 600 }", &[]).nameless.schedule;
    assert!(schedule.is_some_and(|it| it.jitter() == Duration::from_mins(10)));
    assert!(settings("schedule: 04:45", &[]).nameless.schedule.is_some());
}

#[test]
fn nothing_written_is_one_job_of_the_defaults() {
    for text in ["", "# nothing\n", "---\n", "~", "{}", "profiles:\n", "store:\nlevel: ~\n"] {
        let settings = settings(text, &[]);
        let profile = settings.profile(None).expect("there is one");
        assert_eq!((profile.level, profile.format_version), (2, 3), "{text:?}");
        assert_eq!(profile.limit.longest, Duration::from_secs(30), "{text:?}");
        assert_eq!(profile.limit.then, OnMaxHold::Fail, "{text:?}");
        assert_eq!(profile.patience, Duration::from_secs(300), "{text:?}");
        assert!(profile.store.is_none() && profile.keep.is_none(), "{text:?}");
        assert_eq!(settings.all().count(), 1, "{text:?}");
    }
}

#[test]
fn a_profile_goes_before_the_top_and_is_found_by_its_name() {
    let text = "level: 4\nexclude: '*.log'\nkeep: { last: 3 }\nprofiles:\n  night:\n    level: 5\n    only: [homeassistant]\n  plain:\n";
    let settings = settings(text, &[]);
    let night = settings.profile(Some("night")).expect("it is there");
    assert_eq!((night.level, night.profile.as_str()), (5, "night"));
    assert_eq!(
        (night.only.as_slice(), night.exclude.as_slice()),
        (&["homeassistant".to_owned()][..], &["*.log".to_owned()][..])
    );
    assert_eq!(night.keep, Some(Keep { last: 3, ..Keep::default() }));
    assert_eq!(settings.profile(Some("plain")).map(|it| it.level), Ok(4));
    assert_eq!(settings.profile(None).map(|it| it.level), Ok(4));
    let said = |name: &str| settings.profile(Some(name)).expect_err(name).to_string();
    assert!(said("nigth").contains("no profile nigth in the settings; probably night"));
    assert!(said("weekly").contains("there are night, plain"));
}

#[test]
fn words_go_before_variables_and_those_before_the_file() {
    let text = "level: 4\nmax-hold: 4\npatience: 4\nstaging: /4\nprofiles:\n  p:\n    level: 3\n    max-hold: 3\n    patience: 3\n";
    let variables = [("HEARTHKEEP_LEVEL", "2"), ("HEARTHKEEP_MAX_HOLD", "2")];
    let words = Written { level: Some(1), ..Written::default() };
    let settings = build(text, &variables, words).expect("settings");
    for (name, levels) in [(None, (1, 2, 4)), (Some("p"), (1, 2, 3))] {
        let it = settings.profile(name).expect("it is there");
        let found = (u64::from(it.level), it.limit.longest.as_secs(), it.patience.as_secs());
        assert_eq!(found, levels, "{name:?}");
        assert_eq!(it.staging.as_deref(), Some(Path::new("/4")));
    }
}

#[test]
fn of_the_log_a_variable_goes_before_the_file() {
    let log = |text: &str, variables: &[(&str, &str)]| settings(text, variables).log;
    assert_eq!(log("", &[]), None);
    assert_eq!(log("log: journal", &[]), Some(Form::Journal));
    assert_eq!(log("log: journal", &[("HEARTHKEEP_LOG", "plain")]), Some(Form::Plain));
}

#[test]
fn who_picks_a_home_picks_it_alone() {
    let text = "project: one\nhome: a\n";
    let pick = |variables: &[(&str, &str)]| settings(text, variables).nameless.pick;
    assert_eq!(pick(&[]).container.as_deref(), Some("a"));
    let other = pick(&[("HEARTHKEEP_PROJECT", "two")]);
    assert_eq!((other.project.as_deref(), other.container), (Some("two"), None));
}

#[test]
fn a_job_whose_content_the_command_line_chooses_is_by_hand() {
    let by_hand = |words: Written| {
        let settings = build("keep: { last: 1 }", &[], words).expect("settings");
        let request = settings.nameless.request();
        assert_eq!(request.profile.is_none(), request.keep.is_none());
        request.profile.is_none()
    };
    assert!(!by_hand(Written { level: Some(1), ..Written::default() }));
    assert!(by_hand(Written { name: Some("n".to_owned()), ..Written::default() }));
    assert!(by_hand(Written { only: Some(vec!["ssl".to_owned()]), ..Written::default() }));
    assert!(by_hand(Written { no_database: Some(true), ..Written::default() }));
}

#[test]
fn every_key_is_a_variable() {
    let variables = [
        ("HEARTHKEEP_PROJECT", "p"),
        ("HEARTHKEEP_HOME", "h"),
        ("HEARTHKEEP_STORE", "rel/store"),
        ("HEARTHKEEP_STAGING", "/staging"),
        ("HEARTHKEEP_PASSWORD_FILE", "/key"),
        ("HEARTHKEEP_LEVEL", "9"),
        ("HEARTHKEEP_FORMAT_VERSION", "2"),
        ("HEARTHKEEP_UNCOMPRESSED", "true"),
        ("HEARTHKEEP_MAX_HOLD", "1.5"),
        ("HEARTHKEEP_ON_MAX_HOLD", "continue"),
        ("HEARTHKEEP_PATIENCE", "10"),
        ("HEARTHKEEP_SETTLE", "0.5"),
        ("HEARTHKEEP_NAME", "n"),
        ("HEARTHKEEP_ONLY", "homeassistant, ssl"),
        ("HEARTHKEEP_EXCLUDE", "*.mp4,www/**"),
        ("HEARTHKEEP_NO_DATABASE", "true"),
        ("HEARTHKEEP_SCHEDULE", "04:45"),
        ("HEARTHKEEP_KEEP", "last=1, days=30"),
        ("HEARTHKEEP_LOG", "json"),
    ];
    assert_eq!(variables.map(|it| it.0.to_owned()), KEYS.map(variable));
    let it = settings("", &variables).nameless;
    assert_eq!((it.level, it.format_version, it.uncompressed, it.no_database), (9, 2, true, true));
    assert_eq!(it.limit.longest, Duration::from_millis(1500));
    assert_eq!((it.limit.then, it.patience), (OnMaxHold::Continue, Duration::from_secs(10)));
    assert_eq!(it.settle, Duration::from_millis(500));
    assert_eq!(it.only, ["homeassistant", "ssl"]);
    assert_eq!(it.exclude, ["*.mp4", "www/**"]);
    assert_eq!(it.keep, Some(Keep { last: 1, days: 30, ..Keep::default() }));
    assert_eq!(it.store.as_deref(), Some(Path::new("rel/store")));
    assert_eq!(it.password, Some(Password::File("/key".into())));
    assert!(it.schedule.is_some() && !it.by_hand);
    // Compose files leave variables empty.
    let empty = variables.map(|(name, _)| (name, ""));
    assert_eq!(settings("", &empty).nameless.level, 2);
}

#[test]
fn a_variable_that_means_nothing_is_named() {
    let check = |name: &str, value: &str, said: &str| {
        let err = build("", &[(name, value)], Written::default()).expect_err(name);
        assert!(err.starts_with(&format!("{name}: ")) && err.contains(said), "{err}");
    };
    check("HEARTHKEEP_LEVEL", "12", "must be 1 (fastest)");
    check("HEARTHKEEP_LEVEL", "x", "\"x\" must be a number");
    check("HEARTHKEEP_MAX_HOLD", "100000", "at most 86400");
    check("HEARTHKEEP_ON_MAX_HOLD", "stop", "fail or continue");
    check("HEARTHKEEP_NO_DATABASE", "yes", "true or false");
    check("HEARTHKEEP_KEEP", "7", "must be like last=7");
    check("HEARTHKEEP_KEEP", "hourly=7", "must be like last=7");
    check("HEARTHKEEP_KEEP", "last=0", "must keep something");
    check("HEARTHKEEP_LOG", "syslog", "\"syslog\" must be plain, json or journal");
    check("HEARTHKEEP_PASSWORD", "", "it is empty");
    let names =
        ["HEARTHKEEP_STROE", "HEARTHKEEP_STORE", "HEARTHKEEP_TEST_X", "HEARTHKEEP_XYZZY", "PATH"];
    let meant = Some("HEARTHKEEP_STORE".to_owned());
    let wanted = [("HEARTHKEEP_STROE".to_owned(), meant), ("HEARTHKEEP_XYZZY".to_owned(), None)];
    assert_eq!(unknown_variables(names.into_iter()), wanted);
}

#[test]
fn of_two_places_for_a_password_the_higher_counts_and_two_variables_are_refused() {
    let file = "password-file: /file\n";
    let password =
        |text: &str, variables: &[(&str, &str)]| settings(text, variables).nameless.password;
    let at = |path: &str| Some(Password::File(path.into()));
    let known = Some(Password::Known(crate::secret::Secret::new("hunter2".to_owned())));
    let variable = ("HEARTHKEEP_PASSWORD", "hunter2");
    let variable_file = ("HEARTHKEEP_PASSWORD_FILE", "/variable");
    assert_eq!(password("", &[]), None);
    assert_eq!(password(file, &[]), at("/file"));
    assert_eq!(password(file, &[variable_file]), at("/variable"));
    assert_eq!(password(file, &[variable]), known);
    let words = Written { password: at("/word"), ..Written::default() };
    let settings = build(file, &[variable], words).expect("settings");
    assert_eq!(settings.nameless.password, at("/word"));

    let err = build("", &[variable, variable_file], Written::default()).expect_err("two");
    for said in ["HEARTHKEEP_PASSWORD: ", "HEARTHKEEP_PASSWORD_FILE", "/variable"] {
        assert!(err.contains(said) && !err.contains("hunter2"), "{err}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused_at_once() {
    let mut text = "x0: &a0 [a,a,a,a,a,a,a,a,a,a]\n".to_owned();
    for n in 1..12 {
        let all = vec![format!("*a{}", n - 1); 10].join(",");
        text += &format!("x{n}: &a{n} [{all}]\n");
    }
    let err = build(&text, &[], Written::default()).expect_err("a bomb");
    assert!(err.contains("unknown key x0"), "{err}");
    // In a value that is read.
    let text = text.replace("x0:", "only:").replace("x1:", "exclude:");
    assert!(build(&text, &[], Written::default()).is_err());
}

/// The file that comes with the package.
const EXAMPLE: &str = include_str!("../../packaging/config.yaml");

#[test]
fn the_example_sets_nothing_and_could_set_all_that_works() {
    let as_it_is = settings(EXAMPLE, &[]);
    assert_eq!(as_it_is.all().count(), 1);
    assert!(as_it_is.nameless.store.is_none() && as_it_is.nameless.keep.is_none());

    // A key stands right behind its mark, a sentence does not.
    let is_key = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let in_profiles = |line: &str| line.starts_with("#  ");
    // Of the ways to say when, one at a time.
    let is_another = |line: &str| line.starts_with("#schedule: {");
    let set: String = EXAMPLE
        .lines()
        .filter(|it| (is_key(it) && !is_another(it)) || in_profiles(it))
        .map(|it| format!("{}\n", &it[1..]))
        .collect();
    let others: Vec<&str> = EXAMPLE.lines().filter(|it| is_another(it)).collect();
    let all = settings(&set, &[]);
    let night = all.profile(Some("night")).expect("the example has it");
    assert_eq!(night.keep, Some(Keep { daily: 7, weekly: 4, ..Keep::default() }));
    for it in [&all.nameless, night] {
        assert!(it.schedule.is_some(), "{it:?}");
    }
    assert_eq!(others.len(), 2);
    for it in &others {
        assert!(settings(&it[1..], &[]).nameless.schedule.is_some(), "{it}");
    }
    assert!(all.profile(Some("away")).is_ok_and(|it| it.only == ["homeassistant"]));

    // The parser knows all keys, and tells them where one is none of them.
    let told = |text: &str| build(text, &[], Written::default()).expect_err(text);
    for text in ["xyzzy: 1", "keep: { xyzzy: 1 }", "schedule: { xyzzy: 1 }"] {
        let err = told(text);
        let (_, keys) = err.split_once("there are ").unwrap_or_else(|| panic!("{err}"));
        for key in keys.split(", ") {
            let shown = format!("{set}{}", others.join("\n"));
            let is_there = [": ", ":\n"].iter().any(|it| shown.contains(&format!("{key}{it}")));
            assert!(is_there, "{key}");
        }
    }
}

#[test]
fn what_the_example_calls_default_is_what_holds() {
    let usual = settings("", &[]).nameless;
    for (key, is_so) in [
        ("level: 2", usual.level == 2),
        ("uncompressed: false", !usual.uncompressed),
        ("format-version: 3", usual.format_version == 3),
        ("max-hold: 30", usual.limit.longest == Duration::from_secs(30)),
        ("on-max-hold: fail", usual.limit.then == OnMaxHold::Fail),
        ("patience: 300", usual.patience == Duration::from_secs(300)),
        ("settle: 2", usual.settle == Duration::from_secs(2)),
        ("no-database: false", !usual.no_database),
    ] {
        assert!(EXAMPLE.contains(&format!("\n#{key}\n")) && is_so, "{key}");
    }
}
