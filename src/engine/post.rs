//! Containers of this program's own image that do one job: made, started, listened to.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error as Failure;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings,
    HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountBindOptions, MountPoint, MountType,
    NetworkConnectRequest, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, LogsOptionsBuilder,
};
use futures_util::{Stream, TryStreamExt};
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;

use super::Error;
use super::docker::{Docker, PATIENCE, is_reference};
use super::make::{Make, NOT_OF_A_HOME};
use crate::lines::VARIABLE;
use crate::model::{self, JOB_LABEL, Meets, MountKind, Outpost, STATE_LABEL};
use crate::secret::{self, Secret};

/// Ends a job in good order.
const STOP_SIGNAL: &str = "SIGINT";

/// How long it may take to put back what it has done until it is killed, in seconds.
const STOP_TIMEOUT: i64 = 600;

/// A piece of what a container says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// On its standard output.
    Out(Vec<u8>),
    /// On its standard error.
    Err(Vec<u8>),
}

/// How far a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It was made, so long ago, and never started.
    Made(Duration),
    /// It runs, or is about to end.
    Runs,
    /// It has ended, with this exit code.
    Ended(i64),
}

/// Listens to a container from the beginning of its log on.
pub struct Listener {
    pub(super) container: String,
    pub(super) hear: Box<dyn Hear>,
}

/// The end of a log.
#[async_trait]
pub(super) trait Hear: Send {
    async fn next(&mut self) -> Result<Option<Said>, String>;
}

impl Listener {
    /// The next piece; nothing where the container has ended, or the engine has.
    pub async fn next(&mut self) -> Result<Option<Said>, Error> {
        self.hear.next().await.map_err(|message| Error::Refused {
            doing: "listening to",
            container: self.container.clone(),
            message,
        })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("container", &self.container).finish_non_exhaustive()
    }
}

/// What both engines do; the contract is on the methods of [`Engine`](super::Engine).
#[async_trait]
pub(super) trait Post {
    async fn create_outpost(&self, outpost: &Outpost) -> Result<String, Error>;
    async fn start_telling(&self, container: &str, secret: &Secret) -> Result<(), Error>;
    async fn listen(&self, container: &str) -> Result<Listener, Error>;
    async fn progress(&self, container: &str) -> Result<Progress, Error>;
}

#[async_trait]
impl Post for Docker {
    async fn create_outpost(&self, outpost: &Outpost) -> Result<String, Error> {
        is_reference(&outpost.of)?;
        let name = outpost.name();
        let call = self.client.inspect_container(&outpost.of, None);
        let of = self.ask("inspecting", &outpost.of, PATIENCE, call).await?;
        let (body, others) = body(of, outpost);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let call = self.client.create_container(Some(options), body);
        let id = self.ask("making", &name, PATIENCE, call).await?.id;
        for network in others {
            let request =
                NetworkConnectRequest { container: id.clone(), ..NetworkConnectRequest::default() };
            let call = self.client.connect_network(&network, request);
            if let Err(err) = self.ask("connecting", &name, PATIENCE, call).await {
                // Nobody else knows of it.
                let _ = self.remove_idle_container(&id).await;
                return Err(err);
            }
        }
        Ok(id)
    }

    async fn start_telling(&self, container: &str, secret: &Secret) -> Result<(), Error> {
        is_reference(container)?;
        // Before it starts: whatever becomes of us then, its input has an end.
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).build();
        let call = self.client.attach_container(container, Some(options));
        let mut attached = self.ask("attaching to", container, PATIENCE, call).await?;
        let call = self.client.start_container(container, None);
        self.ask("starting", container, PATIENCE, call).await?;
        let call = async {
            attached.input.write_all(secret.expose().as_bytes()).await?;
            // Whoever reads it takes one away.
            attached.input.write_all(b"\n").await?;
            attached.input.shutdown().await?;
            Ok(())
        };
        self.ask("talking to", container, PATIENCE, call).await
    }

    async fn listen(&self, container: &str) -> Result<Listener, Error> {
        is_reference(container)?;
        let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).build();
        let log = self.client.logs(container, Some(options));
        Ok(Listener { container: container.to_owned(), hear: Box::new(Log(Box::pin(log))) })
    }

    async fn progress(&self, container: &str) -> Result<Progress, Error> {
        is_reference(container)?;
        let call = async {
            match self.client.inspect_container(container, None).await {
                Err(Failure::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let answer = self.ask("inspecting", container, PATIENCE, call).await?;
        let not_found = || Error::NotFound { container: container.to_owned() };
        let answer = answer.ok_or_else(not_found)?;
        let state = answer.state.unwrap_or_default();
        Ok(match state.status {
            Some(ContainerStateStatusEnum::CREATED) => Progress::Made(age(answer.created)),
            Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => {
                Progress::Ended(state.exit_code.unwrap_or(1))
            }
            _ => Progress::Runs,
        })
    }
}

/// How long ago that was; where the engine does not say, it was just now.
fn age(created: Option<String>) -> Duration {
    let created: Option<Timestamp> = created.and_then(|it| it.parse().ok());
    let age = created.map(|it| Timestamp::now().duration_since(it));
    age.and_then(|it| it.try_into().ok()).unwrap_or_default()
}

/// What follows a log in the engine.
struct Log(Pin<Box<dyn Stream<Item = Result<LogOutput, Failure>> + Send>>);

#[async_trait]
impl Hear for Log {
    async fn next(&mut self) -> Result<Option<Said>, String> {
        let piece = self.0.try_next().await.map_err(|failure| failure.to_string())?;
        Ok(piece.map(|it| match it {
            LogOutput::StdErr { message } => Said::Err(message.to_vec()),
            other => Said::Out(other.as_ref().to_vec()),
        }))
    }
}

/// What the engine is asked to make, and the networks that it has to join besides.
fn body(of: ContainerInspectResponse, outpost: &Outpost) -> (ContainerCreateBody, Vec<String>) {
    let config = of.config.unwrap_or_default();
    let mut host = of.host_config.unwrap_or_default();
    let known = of.network_settings.and_then(|it| it.networks).unwrap_or_default();
    let (mode, mut networks) =
        networks(host.network_mode.take().unwrap_or_default(), known, &outpost.meets);
    // The engine joins one when it makes a container, and the others afterwards.
    let first = (!networks.is_empty()).then(|| networks.remove(0));
    let networking_config = first.map(|first| NetworkingConfig {
        endpoints_config: Some([(first, EndpointSettings::default())].into()),
    });
    host.network_mode = Some(mode);
    let asked = host.mounts.clone().unwrap_or_default();
    let mounts = of.mounts.into_iter().flatten().filter_map(|it| own_mount(it, &asked));
    let mounts = mounts.chain(outpost.mounts.iter().filter_map(mount)).collect();
    let body = ContainerCreateBody {
        user: config.user,
        env: Some(environment(config.env.unwrap_or_default(), outpost)),
        entrypoint: Some(vec![outpost.program.display().to_string()]),
        cmd: Some(outpost.words.clone()),
        // It says what it has to say itself, and would be ill for want of a daemon.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        // The image that it runs on, even if its name means another one by now.
        image: of.image.or(config.image),
        working_dir: Some(outpost.folder.display().to_string()),
        stop_signal: Some(STOP_SIGNAL.to_owned()),
        stop_timeout: Some(STOP_TIMEOUT),
        open_stdin: Some(outpost.is_told),
        stdin_once: Some(outpost.is_told),
        labels: Some(labels(outpost)),
        host_config: Some(host_config(host, mounts)),
        networking_config,
        ..ContainerCreateBody::default()
    };
    (body, networks)
}

/// The mode of the network, and the networks that can be named, that of the mode first.
fn networks(
    mode: String,
    known: HashMap<String, EndpointSettings>,
    meets: &Meets,
) -> (String, Vec<String>) {
    let more = match meets {
        Meets::Host => return ("host".to_owned(), Vec::new()),
        Meets::Networks(more) => more.as_slice(),
        Meets::Same => &[],
    };
    // The host reaches everybody.
    if mode == "host" {
        return (mode, Vec::new());
    }
    let has_own = !["", "default", "bridge", "none"].contains(&mode.as_str())
        && !mode.starts_with("container:");
    let mut all: Vec<String> = known.into_keys().filter(|_| has_own).collect();
    all.sort();
    // It may be named by its identifier.
    if let Some(first) = all.iter().position(|it| *it == mode) {
        all[..=first].rotate_right(1);
    }
    let more = more.iter().filter(|it| !all.contains(it) && **it != "bridge");
    let more: Vec<String> = more.cloned().collect();
    match (has_own, more.first()) {
        // Whoever has joined another's network, or has none, can join no second one.
        (false, Some(other)) => (other.clone(), more),
        (_, _) => (mode, [all, more].concat()),
    }
}

fn labels(outpost: &Outpost) -> HashMap<String, String> {
    let state = outpost.state.display().to_string();
    let (key, value) = NOT_OF_A_HOME;
    let all = [(JOB_LABEL, outpost.job.as_str()), (STATE_LABEL, &state), (key, value)];
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The variables of the other container, but no password, and none that is set otherwise here.
fn environment(of: Vec<String>, outpost: &Outpost) -> Vec<String> {
    let file = format!("{}_FILE", secret::VARIABLE);
    let is_set = |key: &str| {
        outpost.variables.iter().any(|it| it.split('=').next() == Some(key))
            || [secret::VARIABLE, VARIABLE].contains(&key)
            || (outpost.is_told && key == file)
    };
    let mut all = of;
    all.retain(|it| !is_set(it.split('=').next().unwrap_or_default()));
    all.extend(outpost.variables.iter().cloned());
    all.push(format!("{VARIABLE}={}", outpost.job));
    all
}

/// What the other container has: rights, limits and what keeps it apart. Nobody starts a job again
/// but who knows what became of it, and nobody takes its log away.
fn host_config(of: HostConfig, mounts: Vec<Mount>) -> HostConfig {
    let in_memory = of.mounts.into_iter().flatten().filter(|it| it.typ == Some(MountType::TMPFS));
    HostConfig {
        mounts: Some(mounts.into_iter().chain(in_memory).collect()),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
        network_mode: of.network_mode,
        tmpfs: of.tmpfs,
        privileged: of.privileged,
        cap_add: of.cap_add,
        cap_drop: of.cap_drop,
        security_opt: of.security_opt,
        group_add: of.group_add,
        userns_mode: of.userns_mode,
        pid_mode: of.pid_mode,
        readonly_rootfs: of.readonly_rootfs,
        init: of.init,
        ulimits: of.ulimits,
        shm_size: of.shm_size,
        memory: of.memory,
        memory_swap: of.memory_swap,
        memory_reservation: of.memory_reservation,
        nano_cpus: of.nano_cpus,
        cpu_shares: of.cpu_shares,
        cpu_period: of.cpu_period,
        cpu_quota: of.cpu_quota,
        cpuset_cpus: of.cpuset_cpus,
        blkio_weight: of.blkio_weight,
        pids_limit: of.pids_limit,
        oom_score_adj: of.oom_score_adj,
        extra_hosts: of.extra_hosts,
        dns: of.dns,
        ..HostConfig::default()
    }
}

/// What the other container has mounted, as it has it. What was asked for it then tells more than
/// what became of it: which folder of a volume.
fn own_mount(point: MountPoint, asked: &[Mount]) -> Option<Mount> {
    let typ = match point.typ.as_ref().map(ToString::to_string).as_deref() {
        Some("volume") => MountType::VOLUME,
        Some("bind") => MountType::BIND,
        _ => return None,
    };
    let source = if typ == MountType::VOLUME { point.name } else { point.source };
    let asked = asked.iter().find(|it| it.typ == Some(typ) && it.target == point.destination);
    // A mount that the engine makes of a short form is told by the point alone.
    let propagation = point.propagation.filter(|it| !it.is_empty());
    let propagated = propagation
        .and_then(|it| it.parse().ok())
        .map(|it| MountBindOptions { propagation: Some(it), ..MountBindOptions::default() });
    let bind_options = asked.and_then(|it| it.bind_options.clone()).or(propagated);
    Some(Mount {
        source,
        target: point.destination,
        read_only: Some(point.rw == Some(false)),
        bind_options: bind_options.filter(|_| typ == MountType::BIND),
        volume_options: asked.and_then(|it| it.volume_options.clone()),
        typ: Some(typ),
        ..Mount::default()
    })
}

fn mount(mount: &model::Mount) -> Option<Mount> {
    let (typ, source) = match &mount.kind {
        MountKind::Volume { name, .. } => (MountType::VOLUME, name.clone()),
        MountKind::Bind => (MountType::BIND, mount.source.display().to_string()),
        MountKind::Tmpfs | MountKind::Other => return None,
    };
    Some(Mount {
        typ: Some(typ),
        source: Some(source),
        target: Some(mount.destination.display().to_string()),
        read_only: Some(!mount.writable),
        ..Mount::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outpost(meets: Meets) -> Outpost {
        let more = model::Mount {
            kind: MountKind::Volume { name: "data".to_owned(), local: true },
            source: "/var/lib/docker/volumes/data/_data".into(),
            destination: "/mounts/x".into(),
            writable: false,
        };
        Outpost {
            of: "4f2a".to_owned(),
            job: "7".to_owned(),
            state: "/srv/state".into(),
            program: "/hearthkeep".into(),
            words: vec!["backup".to_owned()],
            folder: "/".into(),
            variables: vec!["HEARTHKEEP_HOME=new".to_owned()],
            mounts: vec![more],
            meets,
            is_told: true,
        }
    }

    /// What is asked for, where the one that starts it says this of itself, and what is joined
    /// afterwards.
    fn asked(of: Value, meets: Meets) -> (Value, Vec<String>) {
        let of = serde_json::from_value(of).expect("the engine may answer so");
        let (body, others) = body(of, &outpost(meets));
        (serde_json::to_value(body).expect("it is plain data"), others)
    }

    #[test]
    fn it_has_what_the_other_has_but_no_password_and_no_second_life() {
        let (asked, others) = asked(
            json!({
                "Image": "sha256:1",
                "Config": {
                    "User": "1000:1000", "Entrypoint": ["/hearthkeep"], "Cmd": ["serve"],
                    "Healthcheck": { "Test": ["CMD", "/hearthkeep", "status", "--health"] },
                    "Env": [
                        "PATH=/bin", "HEARTHKEEP_PASSWORD=x", "HEARTHKEEP_PASSWORD_FILE=/x",
                        "HEARTHKEEP_HOME=old",
                    ],
                    "Labels": { "com.docker.compose.project": "home" },
                },
                "HostConfig": {
                    "ReadonlyRootfs": true, "CapDrop": ["ALL"], "CapAdd": ["DAC_OVERRIDE"],
                    "SecurityOpt": ["no-new-privileges"], "Tmpfs": { "/tmp": "" }, "PidMode": "host",
                    "GroupAdd": ["998"], "RestartPolicy": { "Name": "always" }, "AutoRemove": true,
                    "NetworkMode": "home_default",
                    "Mounts": [{
                        "Type": "volume", "Source": "state", "Target": "/state",
                        "VolumeOptions": { "Subpath": "ours" },
                    }],
                },
                "NetworkSettings": { "Networks": { "a": {}, "home_default": {}, "z": {} } },
                "Mounts": [
                    { "Type": "volume", "Name": "state", "Source": "/v", "Destination": "/state", "RW": true },
                    {
                        "Type": "bind", "Source": "/srv/b", "Destination": "/b", "RW": false,
                        "Propagation": "rslave",
                    },
                    { "Type": "tmpfs", "Destination": "/tmp" },
                ],
            }),
            Meets::Networks(vec!["ha".to_owned(), "a".to_owned()]),
        );
        let mounts = json!([
            {
                "Type": "volume", "Source": "state", "Target": "/state", "ReadOnly": false,
                "VolumeOptions": { "Subpath": "ours" },
            },
            {
                "Type": "bind", "Source": "/srv/b", "Target": "/b", "ReadOnly": true,
                "BindOptions": { "Propagation": "rslave" },
            },
            { "Type": "volume", "Source": "data", "Target": "/mounts/x", "ReadOnly": true },
        ]);
        for (key, wanted) in [
            ("/Image", json!("sha256:1")),
            ("/User", json!("1000:1000")),
            ("/Entrypoint", json!(["/hearthkeep"])),
            ("/Cmd", json!(["backup"])),
            ("/Env", json!(["PATH=/bin", "HEARTHKEEP_HOME=new", "HEARTHKEEP_JOB=7"])),
            ("/Healthcheck/Test", json!(["NONE"])),
            ("/StopSignal", json!("SIGINT")),
            ("/OpenStdin", json!(true)),
            ("/StdinOnce", json!(true)),
            ("/HostConfig/ReadonlyRootfs", json!(true)),
            ("/HostConfig/CapDrop", json!(["ALL"])),
            ("/HostConfig/CapAdd", json!(["DAC_OVERRIDE"])),
            ("/HostConfig/SecurityOpt", json!(["no-new-privileges"])),
            ("/HostConfig/GroupAdd", json!(["998"])),
            ("/HostConfig/PidMode", json!("host")),
            ("/HostConfig/Tmpfs", json!({ "/tmp": "" })),
            ("/HostConfig/RestartPolicy/Name", json!("no")),
            ("/HostConfig/NetworkMode", json!("home_default")),
            ("/HostConfig/Mounts", mounts),
            ("/NetworkingConfig/EndpointsConfig", json!({ "home_default": {} })),
        ] {
            assert_eq!(asked.pointer(key), Some(&wanted), "{key}");
        }
        assert_eq!(asked.pointer("/HostConfig/AutoRemove"), None);
        let labels = json!({
            "hearthkeep.job": "7", "hearthkeep.state": "/srv/state", "hearthkeep.enable": "false",
        });
        assert_eq!(asked["Labels"], labels);
        assert_eq!(others, ["a", "z", "ha"]);
    }

    #[test]
    fn it_meets_whom_it_has_to() {
        let ha = || Meets::Networks(vec!["ha".to_owned()]);
        let check = |mode: &str, known: &[&str], meets: Meets, wanted: (&str, &[&str])| {
            let known = known.iter().map(|it| ((*it).to_owned(), EndpointSettings::default()));
            let (now, all) = networks(mode.to_owned(), known.collect(), &meets);
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            assert_eq!((now.as_str(), all.as_slice()), wanted, "{mode} {meets:?}");
        };
        check("default", &["bridge"], Meets::Same, ("default", &[]));
        check("default", &["bridge"], ha(), ("ha", &["ha"]));
        check("none", &["none"], Meets::Same, ("none", &[]));
        check("none", &["none"], ha(), ("ha", &["ha"]));
        check("host", &["host"], ha(), ("host", &[]));
        check("container:x", &[], Meets::Same, ("container:x", &[]));
        check("container:x", &[], ha(), ("ha", &["ha"]));
        check("b", &["a", "b", "c"], Meets::Same, ("b", &["b", "a", "c"]));
        check("b", &["a", "b"], ha(), ("b", &["b", "a", "ha"]));
        check("0f0f", &["a", "b"], Meets::Same, ("0f0f", &["a", "b"]));
        check("b", &["b"], Meets::Host, ("host", &[]));
    }
}
