//! Commands that run inside real containers before the hold and after it.

use std::time::{Duration, Instant};

use hearthkeep::engine::Engine;
use hearthkeep::plan::{self, BackupPlan, BackupRequest, Pick};
use hearthkeep::quiesce::hooks::{self, After, Before};
use hearthkeep::survey;
use tokio_util::sync::CancellationToken;

use crate::crashes::{ABORT_AFTER, BY_SIGNAL, MANY, NO_GUARDIAN, NOTHING, resume};
use crate::support::home::Home;
use crate::support::{DEADLINE, Run, docker, on_engine};

/// A lab image with a shell in it.
const WITH_SHELL: &str = "hearthkeep-lab/mosquitto:2";

/// A home whose hooks need no network.
fn homeassistant(what: &str) -> Home {
    Home::with(what, &["--network", "none"])
}

/// Runs a container with a shell and these labels, and a folder at `/data`.
fn hooked(home: &Home, service: &str, labels: &[(&str, &str)]) -> String {
    let data = format!("{}:/data", home.bench.folder(service).display());
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("hearthkeep.{key}={value}")).collect();
    let mut options = vec!["--network", "none", "--volume", data.as_str()];
    options.extend(labels.iter().flat_map(|it| ["--label", it.as_str()]));
    home.run(service, &options, WITH_SHELL, &["sleep", "infinity"])
}

async fn plan_of(engine: &Engine, home: &Home) -> BackupPlan {
    let facts = survey::look(engine).await.expect("it can be looked at").facts;
    let pick = Pick { container: Some(home.homeassistant()), project: None };
    let found = plan::find(&facts, &pick).expect("there is one");
    plan::backup(&facts, found, &BackupRequest::default()).expect("a plan")
}

/// All hooks of a home as a run has them, with nothing in between.
fn run(home: &Home, cancel: &CancellationToken) -> (Before, After) {
    on_engine(async |engine| {
        let plan = plan_of(&engine, home).await;
        let before = hooks::before(&engine, &plan.hooks, cancel).await;
        let intended = hooks::intended(&plan.hooks);
        assert!(before.owed.iter().all(|it| intended.contains(it)), "what is owed was intended");
        let after = hooks::after(&engine, &before.owed).await;
        (before, after)
    })
}

#[test]
fn hooks_run_where_and_as_whom_the_labels_say() {
    let home = homeassistant("hooks");
    let labels = [
        ("before", "id -u > /data/before; echo \"made ready\""),
        ("before.user", "1883"),
        ("after", "id -u > /data/after; echo told >&2"),
    ];
    hooked(&home, "broker", &labels);
    docker(&["exec", &home.name("broker"), "chmod", "777", "/data"]);
    let (before, after) = run(&home, &CancellationToken::new());
    assert!(before.failed.is_none(), "{before:?}");
    assert_eq!(home.read("broker/before").as_deref(), Some("1883\n"));
    assert_eq!(home.read("broker/after").as_deref(), Some("0\n"));
    let [ran] = before.log.as_slice() else { panic!("{before:?}") };
    assert_eq!((ran.hook, ran.exit_code, ran.output.as_str()), ("before", Some(0), "made ready\n"));
    let [ran] = after.log.as_slice() else { panic!("{after:?}") };
    assert_eq!((ran.hook, ran.exit_code, ran.output.as_str()), ("after", Some(0), "told\n"));
    assert_eq!((before.warnings, after.warnings), (vec![], vec![]));
    assert!(before.skipped.is_empty());
}

#[test]
fn a_part_is_skipped_when_its_container_wishes_so() {
    let home = homeassistant("hooks-skip");
    let broker = hooked(&home, "broker", &[("before", "exit 75"), ("after", "touch /data/after")]);
    let (before, after) = run(&home, &CancellationToken::new());
    assert!(before.failed.is_none(), "{before:?}");
    let skipped: Vec<_> = before.skipped.iter().map(|(item, it)| (item.to_string(), it)).collect();
    assert_eq!(skipped, [("core_mosquitto".to_owned(), &broker)]);
    assert_eq!((before.warnings, after.warnings), (vec![], vec![]));
    assert!(home.read("broker/after").is_some(), "what is owed is owed");
}

#[test]
fn a_failure_ends_the_run_after_what_is_owed() {
    let home = homeassistant("hooks-fail");
    let failing = [("before", "echo no room; exit 3"), ("after", "touch /data/after")];
    hooked(&home, "failing", &failing);
    // Held later, as the other one depends on it.
    let untouched = [("before", "touch /data/before"), ("after", "touch /data/after")];
    hooked(&home, "untouched", &untouched);
    docker(&["rm", "--force", "--volumes", &home.name("failing")]);
    let depends = format!("{}:service_started:false", "untouched");
    let data = format!("{}:/data", home.bench.folder("failing").display());
    let options = [
        "--network",
        "none",
        "--volume",
        &data,
        "--label",
        &format!("com.docker.compose.depends_on={depends}"),
        "--label",
        "hearthkeep.before=echo no room; exit 3",
        "--label",
        "hearthkeep.after=touch /data/after",
    ];
    let failing = home.run("failing", &options, WITH_SHELL, &["sleep", "infinity"]);
    let (before, after) = run(&home, &CancellationToken::new());
    let failed = before.failed.expect("it failed").to_string();
    assert_eq!(failed, format!("hearthkeep.before of {failing}: it ended with 3: no room"));
    assert!(home.read("failing/after").is_some(), "what is owed is owed");
    assert!(home.read("untouched/before").is_none(), "it was over by then");
    assert!(home.read("untouched/after").is_none(), "nothing was owed there");
    assert_eq!((before.log.len(), after.log.len()), (1, 1));
}

#[test]
fn a_failure_may_count_for_less() {
    let home = homeassistant("hooks-continue");
    let broker = hooked(
        &home,
        "broker",
        &[("before", "exit 4"), ("before.on-error", "continue"), ("after", "exit 5")],
    );
    let quiet = [("after", "exit 6"), ("after.on-error", "continue")];
    hooked(&home, "quiet", &quiet);
    let (before, after) = run(&home, &CancellationToken::new());
    assert!(before.failed.is_none(), "{before:?}");
    assert_eq!(before.warnings, [format!("hearthkeep.before of {broker}: it ended with 4")]);
    assert_eq!(after.warnings, [format!("hearthkeep.after of {broker}: it ended with 5")]);
    let mut codes: Vec<_> = after.log.iter().map(|it| it.exit_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(5), Some(6)]);
}

#[test]
fn a_hook_without_end_is_given_up() {
    let home = homeassistant("hooks-timeout");
    let labels = [
        ("before", "echo waiting for a lock; sleep 1000"),
        ("before.timeout", "1"),
        ("after", "touch /data/after"),
    ];
    let broker = hooked(&home, "broker", &labels);
    let since = Instant::now();
    let (before, _) = run(&home, &CancellationToken::new());
    assert!(since.elapsed() < DEADLINE);
    let failed = before.failed.expect("it failed").to_string();
    let wanted =
        format!("hearthkeep.before of {broker}: it did not end within 1 s: waiting for a lock");
    assert_eq!(failed, wanted);
    assert_eq!(before.log[0].exit_code, None);
    assert!(home.read("broker/after").is_some(), "what is owed is owed");
}

#[test]
fn a_cancelled_run_waits_for_no_hook_but_runs_what_is_owed() {
    let home = homeassistant("hooks-cancel");
    let labels = [("before", "touch /data/before; sleep 1000"), ("after", "touch /data/after")];
    hooked(&home, "broker", &labels);
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let begun = home.bench.path().join("broker/before");
    let watcher = std::thread::spawn(move || {
        crate::support::wait_until("the hook runs", || begun.exists());
        canceller.cancel();
    });
    let (before, after) = run(&home, &cancel);
    watcher.join().expect("it was seen");
    assert_eq!(before.failed.expect("it was cancelled").to_string(), "cancelled");
    assert_eq!(after.warnings, Vec::<String>::new());
    assert!(home.read("broker/after").is_some(), "what is owed is owed");
}

#[test]
fn any_amount_of_output_is_harmless() {
    let home = homeassistant("hooks-loud");
    hooked(
        &home,
        "broker",
        &[("before", "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end")],
    );
    let (before, _) = run(&home, &CancellationToken::new());
    assert!(before.failed.is_none(), "{:?}", before.failed);
    let output = &before.log[0].output;
    assert!(output.len() == 16 * 1024 && output.ends_with("x\nend\n"), "{}", output.len());
}

#[test]
fn a_hook_finds_a_container_that_was_recreated() {
    let home = homeassistant("hooks-recreated");
    let labels = [("after", "touch /data/after")];
    let broker = hooked(&home, "broker", &labels);
    let after = on_engine(async |engine| {
        let plan = plan_of(&engine, &home).await;
        docker(&["rm", "--force", "--volumes", &broker]);
        hooked(&home, "broker", &labels);
        hooks::after(&engine, &hooks::intended(&plan.hooks)).await
    });
    assert_eq!(after.warnings, Vec::<String>::new());
    assert!(home.read("broker/after").is_some());
    docker(&["rm", "--force", "--volumes", &broker]);
    let gone = on_engine(async |engine| {
        let hook = hearthkeep::plan::Hook {
            command: "true".to_owned(),
            user: None,
            timeout: Duration::from_secs(9),
            on_error: hearthkeep::plan::OnError::Fail,
        };
        let owed = hooks::Owed { id: "0".repeat(64), name: broker.clone(), hook };
        hooks::after(&engine, &[owed]).await
    });
    let wanted = format!("hearthkeep.after of {broker}: container {broker} does not exist");
    assert_eq!(gone.warnings, [wanted]);
}

#[test]
fn what_a_crashed_run_owed_is_done_by_resume() {
    let home = homeassistant("hooks-crash");
    let labels = [("before", "touch /data/before"), ("after", "echo done >> /data/after")];
    hooked(&home, "broker", &labels);
    for n in 1..MANY {
        let mut command = home.command(&["backup"]);
        command.env(ABORT_AFTER, n.to_string()).env(NO_GUARDIAN, "1");
        let run = Run::from(command.output().expect("the program can be started"));
        let is_whole = run.code != BY_SIGNAL;
        if !is_whole {
            let run_before = home.read("broker/after");
            resume(&home);
            let warnings = resume(&home).to_string();
            assert_eq!(warnings, NOTHING, "after append {n}");
            // It may be done twice where the crash came right after it, but never once more.
            let n_done = |it: &Option<String>| it.as_deref().map_or(0, |it| it.lines().count());
            let all = n_done(&home.read("broker/after"));
            // The first append tells of the run alone, the second that the command is owed.
            assert!(n == 1 || all > 0, "it never ran, append {n}");
            assert!(all <= n_done(&run_before) + 1, "{all} times, append {n}");
        }
        assert_eq!(home.read("broker/after").is_some(), n > 1, "append {n}");
        if is_whole {
            assert!(n > 6, "that were few crashes: {n}");
            run.ends(0);
            return;
        }
        _ = std::fs::remove_file(home.bench.path().join("broker/after"));
    }
    panic!("it never came to its end");
}
