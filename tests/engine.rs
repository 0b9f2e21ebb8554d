//! One suite for both engines, so that what is proved on the simulator holds on Docker.
//!
//! Docker must run here and have the image of `tests/lab/images helper`; without it the tests fail
//! rather than say nothing. Each makes what it needs by the command line and takes it away again.

#[path = "engine/docker_only.rs"]
mod docker_only;
#[path = "engine/lab.rs"]
mod lab;
#[path = "engine/simulator_only.rs"]
mod simulator_only;

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use hearthkeep::engine::{Command, Error, MARK, Marked, Progress, Said};
use hearthkeep::model::{
    Health, JOB_LABEL, Meets, MountKind, Outpost, Replica, STATE_LABEL, State,
};
use hearthkeep::secret::Secret;

use self::lab::{DEADLINE, Home, IMAGE, LABEL, Lab, Ways, mounts, tests_folder};

type Outcome = Result<(), Error>;

/// Makes each case a test on the simulator and one on Docker.
macro_rules! on_both {
    ($($case:ident)*) => {
        mod simulator {
            $(#[test] fn $case() { super::run(super::$case(super::Lab::Simulator)); })*
        }
        mod docker {
            $(#[test] fn $case() { super::run(super::$case(super::Lab::Docker)); })*
        }
    };
}

on_both! {
    shows_a_container_as_it_is
    finds_by_name_and_by_identifier
    may_do_everything_and_does_nothing_to_know
    pauses_and_goes_on
    asking_twice_is_asking_once
    refuses_to_pause_or_unpause_what_is_stopped
    stops_and_starts
    stops_what_is_paused
    starts_what_is_paused
    stops_a_crash_loop
    has_addresses_unless_stopped
    does_not_know_what_does_not_exist
    reads_the_end_of_the_log
    runs_a_command
    gives_up_on_a_command
    runs_nothing_in_what_stands_still
    talks_to_a_client
    hears_why_a_client_ended
    gives_up_on_a_silent_client
    makes_and_removes_by_mark
    makes_a_container_like_another
    makes_nothing_like_nobody
    posts_a_container_and_hears_it
    tells_a_posted_container_a_secret
}

async fn shows_a_container_as_it_is(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    let all = home.engine.look().await?;
    assert!(all.is_sorted_by(|a, b| a.name <= b.name), "sorted by name");
    let container = all.into_iter().find(|it| it.name == home.name).expect("look shows it");
    assert_eq!(container, home.engine.inspect(&home.name).await?);
    assert_eq!(container.image, IMAGE);
    assert_eq!(container.label(LABEL), Some("1"));
    assert_eq!(container.state, State::Running);
    assert_eq!(container.health, Health::None);
    assert_eq!(container.stop_timeout, Some(Duration::from_secs(1)));
    assert!(!container.host_network);
    assert_eq!(container.joined_network, None);
    let mounts = mounts(&home.name);
    let found: Vec<_> =
        container.mounts.iter().map(|it| (&it.kind, &it.destination, it.writable)).collect();
    let expected: Vec<_> =
        mounts.iter().map(|it| (&it.kind, &it.destination, it.writable)).collect();
    assert_eq!(found, expected);
    let sources: Vec<_> = container.mounts.iter().map(|it| it.source.as_path()).collect();
    assert_eq!(sources[0], tests_folder());
    assert!(sources[1].ends_with(Path::new(&home.name).join("_data")), "{sources:?}");
    assert_eq!(sources[2..], [Path::new(""), Path::new("")]);
    Ok(())
}

async fn finds_by_name_and_by_identifier(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    let by_name = home.engine.inspect(&home.name).await?;
    assert_eq!(by_name.id.len(), 64);
    assert_eq!(home.engine.inspect(&by_name.id).await?, by_name);
    home.engine.pause(&by_name.id).await?;
    home.is(State::Paused).await
}

async fn may_do_everything_and_does_nothing_to_know(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    assert_eq!(home.engine.rights().await?, []);
    home.is(State::Running).await
}

async fn pauses_and_goes_on(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    home.engine.pause(&home.name).await?;
    home.is(State::Paused).await?;
    home.engine.unpause(&home.name).await?;
    home.is(State::Running).await
}

async fn asking_twice_is_asking_once(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    home.engine.unpause(&home.name).await?;
    home.engine.start(&home.name).await?;
    home.is(State::Running).await?;
    for _ in 0..2 {
        home.engine.pause(&home.name).await?;
        home.is(State::Paused).await?;
    }
    for _ in 0..2 {
        home.engine.unpause(&home.name).await?;
        home.is(State::Running).await?;
    }
    for _ in 0..2 {
        home.engine.stop(&home.name, None).await?;
        home.is(State::Stopped).await?;
    }
    Ok(())
}

async fn refuses_to_pause_or_unpause_what_is_stopped(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    home.engine.stop(&home.name, None).await?;
    for (doing, answer) in [
        ("pausing", home.engine.pause(&home.name).await),
        ("unpausing", home.engine.unpause(&home.name).await),
    ] {
        let error = answer.expect_err("it does not run");
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{doing} {}: ", home.name)), "{error}");
    }
    home.is(State::Stopped).await
}

async fn stops_and_starts(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    let since = Instant::now();
    home.engine.stop(&home.name, Some(DEADLINE)).await?;
    assert!(since.elapsed() < DEADLINE, "it ends when it is asked to");
    home.is(State::Stopped).await?;
    home.engine.start(&home.name).await?;
    home.is(State::Running).await
}

async fn stops_what_is_paused(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    home.engine.pause(&home.name).await?;
    let since = Instant::now();
    home.engine.stop(&home.name, Some(DEADLINE)).await?;
    assert!(since.elapsed() < DEADLINE, "a frozen process cannot end, so it had to go on");
    home.is(State::Stopped).await
}

async fn starts_what_is_paused(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    home.engine.pause(&home.name).await?;
    home.engine.start(&home.name).await?;
    home.is(State::Running).await
}

async fn stops_a_crash_loop(lab: Lab) -> Outcome {
    let home = lab.container(Ways::CrashesAgainAndAgain).await;
    home.becomes(State::Restarting).await?;
    home.engine.stop(&home.name, None).await?;
    home.is(State::Stopped).await
}

async fn has_addresses_unless_stopped(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    assert_eq!(home.engine.inspect(&home.name).await?.addresses.len(), 1);
    home.engine.pause(&home.name).await?;
    assert_eq!(home.engine.inspect(&home.name).await?.addresses.len(), 1);
    home.engine.stop(&home.name, None).await?;
    assert_eq!(home.engine.inspect(&home.name).await?.addresses, [] as [IpAddr; 0]);
    Ok(())
}

async fn does_not_know_what_does_not_exist(lab: Lab) -> Outcome {
    let engine = lab.container(Ways::Runs).await.engine.clone();
    for name in ["hearthkeep-test-nobody", "..", "a/../b", ""] {
        for answer in [
            engine.inspect(name).await.map(drop),
            engine.pause(name).await,
            engine.unpause(name).await,
            engine.stop(name, None).await,
            engine.stop(name, Some(DEADLINE)).await,
            engine.start(name).await,
            engine.log_tail(name, 1).await.map(drop),
            engine.exec(name, &Command::shell("true"), DEADLINE).await.map(drop),
            engine.session(name, &Command::shell("cat")).await.map(drop),
        ] {
            match answer {
                Err(Error::NotFound { container }) => assert_eq!(container, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    Ok(())
}

async fn reads_the_end_of_the_log(lab: Lab) -> Outcome {
    let home = lab.container(Ways::PrintsAndEnds).await;
    home.becomes(State::Stopped).await?;
    let all = home.engine.log_tail(&home.name, 1000).await?;
    assert!(all.contains("http=PORT"), "{all}");
    let last = all.lines().last().expect("it printed something");
    assert!(all.lines().count() > 1, "{all}");
    assert_eq!(home.engine.log_tail(&home.name, 1).await?.trim_end(), last);
    assert_eq!(home.engine.log_tail(&home.name, 0).await?, "");
    Ok(())
}

async fn runs_a_command(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let command = Command::shell("echo out; echo err >&2; exit 3");
    let executed = home.engine.exec(&home.name, &command, DEADLINE).await?;
    assert_eq!(executed.exit_code, 3);
    // The order of two streams is nobody's promise.
    let mut lines: Vec<&str> = executed.output.lines().collect();
    lines.sort_unstable();
    assert_eq!((lines, executed.cut), (vec!["err", "out"], false));
    Ok(())
}

async fn gives_up_on_a_command(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let since = Instant::now();
    let command = Command::shell("sleep 1000");
    let error = home.engine.exec(&home.name, &command, Duration::from_secs(1)).await;
    let error = error.expect_err("it sleeps");
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(since.elapsed() < DEADLINE);
    home.is(State::Running).await
}

async fn runs_nothing_in_what_stands_still(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    for state in [State::Paused, State::Stopped] {
        match state {
            State::Paused => home.engine.pause(&home.name).await?,
            _ => home.engine.stop(&home.name, None).await?,
        }
        let command = Command::shell("true");
        for answer in [
            home.engine.exec(&home.name, &command, DEADLINE).await.map(drop),
            home.engine.session(&home.name, &command).await.map(drop),
        ] {
            let error = answer.expect_err("nothing can run there");
            assert!(matches!(error, Error::Refused { .. }), "{error}");
        }
    }
    Ok(())
}

async fn talks_to_a_client(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let mut session = home.engine.session(&home.name, &Command::shell("exec /bin/sh")).await?;
    for _ in 0..2 {
        assert_eq!(session.ask("echo hello\n", "hell", DEADLINE).await?, "hello");
    }
    assert!(session.end().await, "it reads its input to the end");
    Ok(())
}

async fn hears_why_a_client_ended(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let mut session = home.engine.session(&home.name, &Command::shell("exec /bin/sh")).await?;
    let error = session.ask("nonsense; exit\n", "hello", DEADLINE).await.expect_err("it ends");
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("nonsense: not found"), "{error}");
    Ok(())
}

async fn gives_up_on_a_silent_client(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let mut session = home.engine.session(&home.name, &Command::shell("cat; exit")).await?;
    let error = session.ask("hello\n", "goodbye", Duration::from_secs(1)).await;
    let error = error.expect_err("it only repeats");
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    Ok(())
}

async fn makes_and_removes_by_mark(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    let (engine, name) = (&home.engine, home.made());
    assert_eq!(engine.marked(&name).await?, Marked::default());
    let folder = engine.create_volume(&name, &name).await?;
    assert!(folder.ends_with(Path::new(&name).join("_data")), "{}", folder.display());
    engine.create_network(&name, &name).await?;
    let id = engine.create_replica(&home.replica(), &name).await?;
    let marked = engine.marked(&name).await?;
    assert_eq!((marked.containers, marked.networks), (vec![id.clone()], vec![name.clone()]));
    // One by its name, and the one that came with the container.
    assert_eq!(marked.volumes.len(), 2, "{:?}", marked.volumes);
    engine.start(&id).await?;
    assert_eq!(engine.progress(&id).await?, Progress::Runs);
    let runs = engine.remove_idle_container(&id).await;
    assert!(matches!(runs, Err(Error::Refused { .. })), "{runs:?}");
    for _ in 0..2 {
        engine.remove_container(&id).await?;
        engine.remove_network(&name).await?;
        assert_eq!(engine.marked(&name).await?.volumes, [name.as_str()]);
    }
    for _ in 0..2 {
        engine.remove_volume(&name).await?;
        assert!(engine.marked(&name).await?.is_empty());
    }
    home.is(State::Running).await
}

async fn makes_a_container_like_another(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    let (engine, name) = (&home.engine, home.made());
    engine.create_network(&name, &name).await?;
    engine.create_replica(&home.replica(), &name).await?;
    let made = engine.inspect(&name).await?;
    let like = engine.inspect(&home.name).await?;
    assert_eq!(made.state, State::Stopped);
    assert_eq!(made.stop_timeout, like.stop_timeout);
    assert_eq!(made.label(MARK), Some(name.as_str()));
    assert_eq!(made.label("hearthkeep.enable"), Some("false"));
    let mounts: Vec<_> =
        made.mounts.iter().map(|it| (it.destination.to_str(), it.writable)).collect();
    let in_memory = like.mounts.iter().filter(|it| it.kind == MountKind::Tmpfs);
    let mut expected: Vec<_> = in_memory.map(|it| (it.destination.to_str(), it.writable)).collect();
    expected.extend([(Some("/empty"), true), (Some("/given"), false)]);
    expected.sort_unstable();
    assert_eq!(mounts, expected);
    engine.start(&name).await?;
    assert_eq!(engine.inspect(&name).await?.addresses.len(), 1);
    let again = engine.create_replica(&home.replica(), &name).await.expect_err("it is there");
    assert!(matches!(again, Error::Refused { .. }), "{again}");
    Ok(())
}

/// What a case posts: its own image with a mount more.
fn outpost(home: &Home, words: &[&str], is_told: bool) -> Outpost {
    let more = hearthkeep::model::Mount {
        kind: MountKind::Bind,
        source: tests_folder(),
        destination: "/mounts/tests".into(),
        writable: false,
    };
    Outpost {
        of: home.name.clone(),
        job: home.name.clone(),
        state: "/nowhere".into(),
        program: home.program().into(),
        words: words.iter().map(|it| (*it).to_owned()).collect(),
        folder: "/".into(),
        variables: Vec::new(),
        mounts: vec![more],
        meets: Meets::Same,
        is_told,
    }
}

async fn hear(home: &Home, container: &str) -> Result<String, Error> {
    let mut listener = home.engine.listen(container).await?;
    let mut heard = Vec::new();
    while let Some(said) = listener.next().await? {
        match said {
            Said::Out(bytes) | Said::Err(bytes) => heard.extend(bytes),
        }
    }
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

async fn posts_a_container_and_hears_it(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let outpost = outpost(&home, &["-c", "echo one; sleep 0.2; echo two; exit 3"], false);
    let id = home.engine.create_outpost(&outpost).await?;
    let made = home.engine.inspect(&outpost.name()).await?;
    assert_eq!((made.id.as_str(), made.state), (id.as_str(), State::Stopped));
    assert_eq!(made.label(JOB_LABEL), Some(home.name.as_str()));
    assert_eq!(made.label(STATE_LABEL), Some("/nowhere"));
    assert_eq!(made.label("hearthkeep.enable"), Some("false"));
    // Its own mounts and those of the one that it is like.
    let of = home.engine.inspect(&home.name).await?;
    for mount in of.mounts.iter().chain(&outpost.mounts) {
        assert!(made.mounts.contains(mount), "{mount:?}: {:?}", made.mounts);
    }
    let progress = home.engine.progress(&id).await?;
    assert!(
        matches!(progress, Progress::Made(age) if age < Duration::from_mins(1)),
        "{progress:?}"
    );
    home.engine.start(&id).await?;
    if lab == Lab::Docker {
        assert_eq!(hear(&home, &id).await?, "one\ntwo\n");
        assert_eq!(home.engine.progress(&id).await?, Progress::Ended(3));
        // From its beginning on, also for whoever comes later.
        assert_eq!(hear(&home, &id).await?, "one\ntwo\n");
    }
    let again = home.engine.create_outpost(&outpost).await.expect_err("it is there");
    assert!(matches!(again, Error::Refused { .. }), "{again}");
    home.engine.remove_container(&id).await?;
    let gone = home.engine.progress(&id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    Ok(())
}

async fn tells_a_posted_container_a_secret(lab: Lab) -> Outcome {
    let home = lab.container(Ways::HasAShell).await;
    let outpost = outpost(&home, &["-c", "cat; echo end"], true);
    let id = home.engine.create_outpost(&outpost).await?;
    home.engine.start_telling(&id, &Secret::new("hunter2".to_owned())).await?;
    if lab == Lab::Docker {
        assert_eq!(hear(&home, &id).await?, "hunter2\nend\n");
    }
    home.engine.remove_container(&id).await?;
    let idle = home.engine.create_outpost(&outpost).await?;
    home.engine.remove_idle_container(&idle).await?;
    let gone = home.engine.progress(&idle).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    Ok(())
}

async fn makes_nothing_like_nobody(lab: Lab) -> Outcome {
    let home = lab.container(Ways::Runs).await;
    for name in ["hearthkeep-test-nobody", "..", ""] {
        let replica = Replica { of: name.to_owned(), ..home.replica() };
        match home.engine.create_replica(&replica, &home.made()).await {
            Err(Error::NotFound { container }) => assert_eq!(container, name),
            other => panic!("{name}: {other:?}"),
        }
        home.engine.remove_container(&home.made()).await?;
    }
    Ok(())
}

fn run(case: impl Future<Output = Outcome>) {
    run_to_end(case).expect("the engine does as asked");
}

fn run_to_end<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(case)
}
