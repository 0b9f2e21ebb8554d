//! An engine in memory: the same contract as Docker's, with faults, for tests and tours.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::script::Actor;
use super::{About, Backend, Command, Error, Executed, Forbidden, Script, Session};
use crate::model::{Confidential, Container, Health, Recipe, State};

/// An engine in memory. Clones are handles to the same engine, so that a test keeps one to prepare
/// faults and to see what was asked for.
#[derive(Debug, Clone)]
pub struct Simulator {
    world: Arc<Mutex<World>>,
}

/// What can go wrong, now or later. Calls are named after the methods of
/// [`Engine`](super::Engine); `at` counts all calls from the moment of injection, the next one
/// being 1.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Such a call on this container is refused.
    Refuse {
        /// The call, such as `pause`.
        call: &'static str,
        /// The name of the container.
        container: String,
        /// The engine's words.
        message: String,
        /// Whether it is over after one time.
        once: bool,
    },
    /// The container is gone from that call on.
    Vanish {
        /// The name of the container.
        container: String,
        /// The first call to miss it.
        at: usize,
    },
    /// A stop of this container is answered only after so long, and the container runs until
    /// then or until a test says otherwise.
    SlowStop {
        /// The name of the container.
        container: String,
        /// How long the engine takes.
        seconds: u64,
    },
    /// The engine hangs over this container: its list shows it, an inspection gets no answer.
    Silent {
        /// The name of the container.
        container: String,
    },
    /// Nothing answers from that call on.
    Unreachable {
        /// The first call without an answer.
        at: usize,
    },
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) containers: Vec<Simulated>,
    /// What was made, by name, with its mark.
    pub(super) networks: Vec<(String, String)>,
    pub(super) volumes: Vec<(String, String)>,
    /// With the number of calls before each was injected.
    faults: Vec<(usize, Fault)>,
    calls: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Simulated {
    pub(super) container: Container,
    log: String,
    /// How much of the log is from before its last start.
    old_log: usize,
    n_starts: usize,
    /// With a piece of the commands that they are for.
    scripts: Vec<(String, Script)>,
}

impl Simulator {
    /// An engine with these containers.
    pub fn new(containers: Vec<Container>) -> Simulator {
        let containers = containers.into_iter().map(Simulated::new).collect();
        let (networks, volumes) = (Vec::new(), Vec::new());
        let (faults, calls) = (Vec::new(), Vec::new());
        let world = World { containers, networks, volumes, faults, calls };
        Simulator { world: Arc::new(Mutex::new(world)) }
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) {
        let mut world = self.world();
        let n_calls = world.calls.len();
        world.faults.push((n_calls, fault));
    }

    /// Ends all faults; what vanished comes back.
    pub fn mend(&self) {
        self.world().faults.clear();
    }

    /// All calls so far, failed ones too, such as `look` and `pause homeassistant`.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    /// Changes what a container is doing, as if somebody else had done it.
    pub fn set_state(&self, container: &str, state: State) {
        if let Some(it) = self.world().containers.iter_mut().find(|it| it.is(container)) {
            it.becomes(state);
        }
    }

    /// Changes what the health check of a container says.
    pub fn set_health(&self, container: &str, health: Health) {
        if let Some(it) = self.world().containers.iter_mut().find(|it| it.is(container)) {
            it.container.health = health;
        }
    }

    /// What a container has printed since it last started.
    pub fn set_log(&self, container: &str, log: &str) {
        if let Some(it) = self.world().containers.iter_mut().find(|it| it.is(container)) {
            it.log.truncate(it.old_log);
            it.log.push_str(log);
        }
    }

    /// What commands do in a container whose words contain `piece`. Without a script, a command
    /// ends well and prints nothing.
    pub fn set_script(&self, container: &str, piece: &str, script: Script) {
        if let Some(it) = self.world().containers.iter_mut().find(|it| it.is(container)) {
            it.scripts.insert(0, (piece.to_owned(), script));
        }
    }

    /// A panic in one test thread must not hide behind a poisoned lock in another.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call: notes it, meets its faults, and changes the state where `to` allows it.
    fn deed(
        &self,
        call: &'static str,
        container: &str,
        to: fn(State) -> Result<State, &'static str>,
    ) -> Result<(), Error> {
        let mut world = self.world();
        let subject = world.call(call, container)?;
        match to(subject.container.state) {
            Ok(state) => subject.becomes(state),
            Err(message) => return Err(refused(call, container, message)),
        }
        Ok(())
    }
}

impl World {
    /// Notes a call, and fails where nothing answers. Returns its number.
    pub(super) fn note(&mut self, call: String) -> Result<usize, Error> {
        self.calls.push(call);
        let n = self.calls.len();
        match self.faults.iter().any(|(since, fault)| fault.cuts_off(n - since)) {
            true => Err(Error::Unreachable {
                address: "simulator".to_owned(),
                reason: "simulated fault".to_owned(),
            }),
            false => Ok(n),
        }
    }

    /// Notes a call on one container, and finds it unless a fault comes between.
    pub(super) fn call(&mut self, call: &'static str, name: &str) -> Result<&mut Simulated, Error> {
        let n = self.note(format!("{call} {name}"))?;
        let not_found = || Error::NotFound { container: name.to_owned() };
        let index = self.find(name).ok_or_else(not_found)?;
        let subject = &self.containers[index];
        if self.is_gone(subject, n) {
            return Err(not_found());
        }
        if call == "inspect" && self.is_silent(subject) {
            return Err(refused(call, name, "no answer within 120 s"));
        }
        let refusal = self.faults.iter().position(|(_, fault)| fault.refuses(call, subject));
        if let Some(at) = refusal
            && let Fault::Refuse { message, once, .. } = self.faults[at].1.clone()
        {
            if once {
                self.faults.remove(at);
            }
            return Err(refused(call, name, &message));
        }
        Ok(&mut self.containers[index])
    }

    /// Where a container stands among all, by identifier or name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.containers.iter().position(|it| it.is(name))
    }

    /// What a command in a container does, where that is in a state to run any.
    fn script(
        &mut self,
        call: &'static str,
        name: &str,
        command: &Command,
    ) -> Result<Script, Error> {
        let subject = self.call(call, name)?;
        let message = match subject.container.state {
            State::Running => {
                let words = command.words.join(" ");
                let mut scripts = subject.scripts.iter();
                let script = scripts.find(|(piece, _)| words.contains(piece.as_str()));
                return Ok(script.map(|(_, it)| it.clone()).unwrap_or_default());
            }
            State::Paused => "the container is paused",
            State::Restarting => "the container is restarting",
            State::Stopped => "the container is not running",
        };
        Err(refused(call, name, message))
    }

    fn stops_slowly(&self, name: &str) -> Option<u64> {
        self.faults.iter().find_map(|(_, fault)| match fault {
            Fault::SlowStop { container, seconds } if container == name => Some(*seconds),
            _ => None,
        })
    }

    fn is_silent(&self, subject: &Simulated) -> bool {
        let is = |it: &Fault| matches!(it, Fault::Silent { container } if subject.is(container));
        self.faults.iter().any(|(_, fault)| is(fault))
    }

    fn is_gone(&self, subject: &Simulated, n: usize) -> bool {
        self.faults.iter().any(|(since, fault)| fault.takes(subject, n - since))
    }
}

/// Here `n` is the number of a call since the injection.
impl Fault {
    fn refuses(&self, it: &str, subject: &Simulated) -> bool {
        matches!(self, Fault::Refuse { call, container, .. } if *call == it && subject.is(container))
    }

    fn takes(&self, subject: &Simulated, n: usize) -> bool {
        matches!(self, Fault::Vanish { container, at } if subject.is(container) && *at <= n)
    }

    fn cuts_off(&self, n: usize) -> bool {
        matches!(self, Fault::Unreachable { at } if *at <= n)
    }
}

impl Simulated {
    pub(super) fn new(container: Container) -> Simulated {
        Simulated { container, log: String::new(), old_log: 0, n_starts: 0, scripts: Vec::new() }
    }

    pub(super) fn log(&self) -> &str {
        &self.log
    }

    fn is(&self, reference: &str) -> bool {
        self.container.id == reference || self.container.name == reference
    }

    fn becomes(&mut self, state: State) {
        let had_ended = matches!(self.container.state, State::Stopped | State::Restarting);
        if had_ended && state == State::Running {
            self.n_starts += 1;
            self.container.started = format!("start {}", self.n_starts);
            self.old_log = self.log.len();
        }
        self.container.state = state;
    }

    /// As the engine's list shows it.
    fn listed(&self) -> Container {
        Container {
            health: Health::None,
            started: String::new(),
            addresses: Vec::new(),
            stop_timeout: None,
            auto_remove: false,
            reaches_host: false,
            variables: Vec::new(),
            is_silent: true,
            ..self.container.clone()
        }
    }

    /// As the engine shows it: what does not run has no address, but gets one back.
    fn seen(&self) -> Container {
        let mut container = self.container.clone();
        if container.state == State::Stopped {
            container.addresses.clear();
        }
        container
    }
}

#[async_trait]
impl Backend for Simulator {
    async fn about(&self) -> Result<About, Error> {
        self.world().note("about".to_owned())?;
        Ok(About {
            version: "simulated".to_owned(),
            api: "1.41".to_owned(),
            root: "/var/lib/docker".into(),
            is_podman: false,
            over_network: false,
        })
    }

    async fn rights(&self) -> Result<Vec<Forbidden>, Error> {
        self.world().note("rights".to_owned())?;
        Ok(Vec::new())
    }

    async fn look(&self) -> Result<Vec<Container>, Error> {
        let mut world = self.world();
        let n = world.note("look".to_owned())?;
        let here = world.containers.iter().filter(|it| !world.is_gone(it, n));
        let look = |it: &Simulated| if world.is_silent(it) { it.listed() } else { it.seen() };
        let mut containers: Vec<Container> = here.map(look).collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    async fn inspect(&self, container: &str) -> Result<Container, Error> {
        self.world().call("inspect", container).map(|it| it.seen())
    }

    async fn recipe(&self, container: &str) -> Result<(Recipe, Confidential), Error> {
        let mut world = self.world();
        let container = &world.call("recipe", container)?.container;
        let recipe = Recipe {
            container: container.name.clone(),
            service: container.service().unwrap_or(&container.name).to_owned(),
            runs: container.state != State::Stopped,
            image: container.image.clone(),
            ..Recipe::default()
        };
        Ok((recipe, Confidential::default()))
    }

    async fn pause(&self, container: &str) -> Result<(), Error> {
        self.deed("pause", container, |state| match state {
            State::Running | State::Paused => Ok(State::Paused),
            State::Restarting => Err("the container is restarting"),
            State::Stopped => Err("the container is not running"),
        })
    }

    async fn unpause(&self, container: &str) -> Result<(), Error> {
        self.deed("unpause", container, |state| match state {
            State::Running | State::Paused => Ok(State::Running),
            State::Restarting => Ok(State::Restarting),
            State::Stopped => Err("the container is not paused"),
        })
    }

    async fn stop(&self, container: &str, _timeout: Option<Duration>) -> Result<(), Error> {
        let slow = self.world().stops_slowly(container);
        if let Some(seconds) = slow {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        self.deed("stop", container, |_| Ok(State::Stopped))
    }

    async fn start(&self, container: &str) -> Result<(), Error> {
        self.deed("start", container, |state| match state {
            State::Restarting => Ok(State::Restarting),
            State::Running | State::Paused | State::Stopped => Ok(State::Running),
        })
    }

    async fn log_tail(&self, container: &str, lines: usize) -> Result<String, Error> {
        let mut world = self.world();
        let log = &world.call("log_tail", container)?.log;
        let all: Vec<&str> = log.split_inclusive('\n').collect();
        Ok(all[all.len().saturating_sub(lines)..].concat())
    }

    async fn log_since_start(&self, container: &str) -> Result<String, Error> {
        let mut world = self.world();
        let subject = world.call("log_since_start", container)?;
        Ok(subject.log[subject.old_log..].to_owned())
    }

    async fn exec(
        &self,
        container: &str,
        command: &Command,
        timeout: Duration,
    ) -> Result<Executed, Error> {
        match self.world().script("exec", container, command)? {
            Script::Ends(executed) => Ok(executed),
            // Nobody has to wait for what is known beforehand.
            Script::Hangs | Script::Answers(_) => Err(Error::TimedOut {
                doing: doing("exec"),
                container: container.to_owned(),
                after: timeout,
                said: String::new(),
            }),
        }
    }

    async fn session(&self, container: &str, command: &Command) -> Result<Session, Error> {
        let script = self.world().script("session", container, command)?;
        Ok(Session::new(container, Box::new(Actor::new(script))))
    }
}

pub(super) fn refused(call: &'static str, container: &str, message: &str) -> Error {
    let (container, message) = (container.to_owned(), message.to_owned());
    Error::Refused { doing: doing(call), container, message }
}

fn doing(call: &'static str) -> &'static str {
    match call {
        "inspect" | "recipe" | "progress" => "inspecting",
        "pause" => "pausing",
        "unpause" => "unpausing",
        "stop" => "stopping",
        "start" => "starting",
        "create_replica" | "create_outpost" => "making",
        "start_telling" => "talking to",
        "listen" => "listening to",
        "remove_container" => "removing",
        "exec" => "running a command in",
        "session" => "talking to a client in",
        _ => "reading the log of",
    }
}
