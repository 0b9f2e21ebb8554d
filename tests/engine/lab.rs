//! Containers for the cases: made before, gone after, also when a case panics.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hearthkeep::engine::{Engine, Executed, Script, Simulator};
use hearthkeep::model::{
    Container, Health, Join, Mount, MountKind, Replica, ReplicaMount, Source, State,
};

use super::Outcome;

pub(crate) const IMAGE: &str = "hearthkeep-lab/helper:1";
pub(crate) const LABEL: &str = "io.hearthkeep.test";

/// A lab image with a shell in it.
const WITH_SHELL: &str = "hearthkeep-lab/mosquitto:2";

/// Long enough for a busy machine; nothing here takes longer than a second by itself.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Where a case runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Lab {
    Simulator,
    Docker,
}

/// What the one container of a case does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ways {
    Runs,
    IgnoresItsStopSignal,
    CrashesAgainAndAgain,
    PrintsAndEnds,
    HasLostItsNetwork,
    HasAShell,
}

/// A container of its own for a case, gone when the case is over.
pub(crate) struct Home {
    pub(crate) engine: Engine,
    pub(crate) name: String,
    lab: Lab,
}

impl Lab {
    pub(crate) async fn container(self, ways: Ways) -> Home {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hearthkeep-test-{}-{n}", process::id());
        match self {
            Lab::Simulator => Home { engine: simulated(&name, ways), name, lab: self },
            Lab::Docker => {
                let engine = Engine::connect().await.expect("these tests need Docker");
                // First the guard, then what it guards: a failed run may leave a container too.
                let home = Home { engine, name, lab: self };
                create(&home.name, ways);
                home
            }
        }
    }
}

impl Home {
    /// The name of whatever a case makes.
    pub(crate) fn made(&self) -> String {
        format!("{}-made", self.name)
    }

    /// What runs in a container with a shell.
    pub(crate) fn program(&self) -> &'static str {
        "/bin/sh"
    }

    /// A container like that of the case, on a network of that name.
    pub(crate) fn replica(&self) -> Replica {
        let mount = |source, destination: &str, writable| ReplicaMount {
            source,
            destination: destination.into(),
            writable,
        };
        Replica {
            of: self.name.clone(),
            name: self.made(),
            join: Join::Network { name: self.made(), aliases: vec!["alias".to_owned()] },
            mounts: vec![
                mount(Source::Path(tests_folder()), "/given", false),
                mount(Source::Empty, "/empty", true),
            ],
        }
    }

    pub(crate) async fn is(&self, state: State) -> Outcome {
        assert_eq!(self.engine.inspect(&self.name).await?.state, state);
        Ok(())
    }

    pub(crate) async fn becomes(&self, state: State) -> Outcome {
        let since = Instant::now();
        while self.engine.inspect(&self.name).await?.state != state {
            assert!(since.elapsed() < DEADLINE, "{} does not become {state:?}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if matches!(self.lab, Lab::Docker) {
            // Nothing may panic in here, and a case that failed has said so already.
            for name in [&self.made(), &format!("hearthkeep-job-{}", self.name), &self.name] {
                for arguments in [["rm", "-fv"], ["volume", "rm"], ["network", "rm"]] {
                    _ = Command::new("docker").args(arguments).arg(name).output();
                }
            }
        }
    }
}

/// A container as Docker would show it.
pub(crate) fn facts(name: &str) -> Container {
    Container {
        id: format!("{name:0>64}"),
        name: name.to_owned(),
        image: IMAGE.to_owned(),
        labels: [(LABEL.to_owned(), "1".to_owned())].into(),
        state: State::Running,
        started: String::new(),
        health: Health::None,
        mounts: mounts(name),
        host_network: false,
        networks: Vec::new(),
        addresses: vec![IpAddr::from([172, 17, 0, 2])],
        joined_network: None,
        stop_timeout: Some(Duration::from_secs(1)),
        auto_remove: false,
        reaches_host: false,
        variables: Vec::new(),
        is_silent: false,
    }
}

fn simulated(name: &str, ways: Ways) -> Engine {
    let simulator = Simulator::new(vec![facts(name)]);
    match ways {
        Ways::CrashesAgainAndAgain => simulator.set_state(name, State::Restarting),
        Ways::PrintsAndEnds => {
            simulator.set_state(name, State::Stopped);
            simulator.set_log(name, "panicked:\nhttp=PORT is free\nnote: run again\n");
        }
        Ways::HasAShell => set_scripts(&simulator, name),
        Ways::Runs | Ways::IgnoresItsStopSignal | Ways::HasLostItsNetwork => (),
    }
    Engine::simulated(simulator)
}

/// What a shell would do with the commands of the cases.
fn set_scripts(simulator: &Simulator, name: &str) {
    let ends = |exit_code, output: &str| {
        Script::Ends(Executed { exit_code, output: output.to_owned(), cut: false })
    };
    let answers = [("echo hello", "hello\n"), ("nonsense", "nonsense: not found\n"), ("sleep", "")];
    let answers = answers.map(|(question, answer)| (question.to_owned(), answer.to_owned()));
    simulator.set_script(name, "echo out", ends(3, "out\nerr\n"));
    simulator.set_script(name, "sleep", Script::Hangs);
    simulator.set_script(name, "cat; exit", Script::Hangs);
    simulator.set_script(name, "exec /bin/sh", Script::Answers(answers.into()));
}

/// What every container here has mounted, in the order of the destinations.
pub(crate) fn mounts(name: &str) -> Vec<Mount> {
    let volume = MountKind::Volume { name: name.to_owned(), local: true };
    let source = format!("/var/lib/docker/volumes/{name}/_data").into();
    let mount = |kind, source, destination: &str, writable| Mount {
        kind,
        source,
        destination: destination.into(),
        writable,
    };
    vec![
        mount(MountKind::Bind, tests_folder(), "/bind", false),
        mount(volume, source, "/data", true),
        mount(MountKind::Tmpfs, PathBuf::new(), "/memory", true),
        mount(MountKind::Tmpfs, PathBuf::new(), "/scratch", true),
    ]
}

pub(crate) fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn create(name: &str, ways: Ways) {
    let label = format!("{LABEL}=1");
    let bind = format!("{}:/bind:ro", tests_folder().display());
    let volume = format!("{name}:/data");
    let mut arguments = vec!["create", "--name", name, "--label", &label, "--stop-timeout", "1"];
    arguments.extend(["--volume", &bind, "--volume", &volume, "--tmpfs", "/scratch"]);
    arguments.extend(["--mount", "type=tmpfs,destination=/memory"]);
    match ways {
        Ways::Runs | Ways::PrintsAndEnds | Ways::HasAShell => (),
        // The kernel ignores for a first process what it has no handler for.
        Ways::IgnoresItsStopSignal => arguments.extend(["--stop-signal", "SIGUSR1"]),
        Ways::CrashesAgainAndAgain => arguments.extend(["--restart", "always"]),
        Ways::HasLostItsNetwork => {
            docker(&["network", "create", "--label", &label, name]);
            arguments.extend(["--network", name]);
        }
    }
    arguments.push(if ways == Ways::HasAShell { WITH_SHELL } else { IMAGE });
    if ways == Ways::HasAShell {
        arguments.extend(["sleep", "infinity"]);
    }
    if matches!(ways, Ways::CrashesAgainAndAgain | Ways::PrintsAndEnds) {
        arguments.push("http=nonsense");
    }
    docker(&arguments);
    match ways {
        Ways::HasLostItsNetwork => docker(&["network", "rm", name]),
        _ => docker(&["start", name]),
    };
}

pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
