//! Making things on the engine and taking them away again: volumes, networks, containers that are
//! like others. All of it carries a mark, by which it is found when nobody remembers its name.

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use bollard::errors::Error as Failure;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig,
    HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkCreateRequest,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::docker::{Docker, PATIENCE, is_reference};
use super::{Error, MARK};
use crate::model::{Join, Replica, ReplicaMount, Source};

/// Nobody takes what is made here for a part of a home.
pub(super) const NOT_OF_A_HOME: (&str, &str) = ("hearthkeep.enable", "false");

/// Where memory runs short, what is only tried out ends before what is in use.
const ENDS_FIRST: i64 = 500;

/// What carries a mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    /// The identifiers of containers.
    pub containers: Vec<String>,
    /// The names of networks.
    pub networks: Vec<String>,
    /// The names of volumes.
    pub volumes: Vec<String>,
}

impl Marked {
    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        *self == Marked::default()
    }
}

/// What both engines do; the contract is on the methods of [`Engine`](super::Engine).
#[async_trait]
pub(super) trait Make {
    async fn create_volume(&self, name: &str, mark: &str) -> Result<PathBuf, Error>;
    async fn create_network(&self, name: &str, mark: &str) -> Result<(), Error>;
    async fn create_replica(&self, replica: &Replica, mark: &str) -> Result<String, Error>;
    async fn remove_container(&self, container: &str) -> Result<(), Error>;
    async fn remove_idle_container(&self, container: &str) -> Result<(), Error>;
    async fn remove_network(&self, name: &str) -> Result<(), Error>;
    async fn remove_volume(&self, name: &str) -> Result<(), Error>;
    async fn marked(&self, mark: &str) -> Result<Marked, Error>;
}

#[async_trait]
impl Make for Docker {
    async fn create_volume(&self, name: &str, mark: &str) -> Result<PathBuf, Error> {
        is_reference(name)?;
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some("local".to_owned()),
            labels: Some(labels(mark)),
            ..VolumeCreateRequest::default()
        };
        let call = self.client.create_volume(request);
        let volume = self.ask("making the volume", name, PATIENCE, call).await?;
        Ok(volume.mountpoint.into())
    }

    async fn create_network(&self, name: &str, mark: &str) -> Result<(), Error> {
        is_reference(name)?;
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            labels: Some(labels(mark)),
            ..NetworkCreateRequest::default()
        };
        let call = self.client.create_network(request);
        self.ask("making the network", name, PATIENCE, call).await.map(drop)
    }

    async fn create_replica(&self, replica: &Replica, mark: &str) -> Result<String, Error> {
        for name in [&replica.of, &replica.name] {
            is_reference(name)?;
        }
        let look = async {
            match self.client.inspect_container(&replica.of, None).await {
                Err(failure) if is_missing(&failure) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let of = self.ask("inspecting", &replica.of, PATIENCE, look).await?;
        let not_found = || Error::NotFound { container: replica.of.clone() };
        let body = body(of.ok_or_else(not_found)?, replica, mark);
        let options = CreateContainerOptionsBuilder::new().name(&replica.name).build();
        let call = self.client.create_container(Some(options), body);
        Ok(self.ask("making", &replica.name, PATIENCE, call).await?.id)
    }

    async fn remove_container(&self, container: &str) -> Result<(), Error> {
        is_reference(container)?;
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let call = gone(self.client.remove_container(container, Some(options)));
        self.ask("removing", container, PATIENCE, call).await
    }

    async fn remove_idle_container(&self, container: &str) -> Result<(), Error> {
        is_reference(container)?;
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        let call = gone(self.client.remove_container(container, Some(options)));
        self.ask("removing", container, PATIENCE, call).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), Error> {
        is_reference(name)?;
        let call = gone(self.client.remove_network(name));
        self.ask("removing the network", name, PATIENCE, call).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        is_reference(name)?;
        let options = RemoveVolumeOptionsBuilder::new().build();
        let call = gone(self.client.remove_volume(name, Some(options)));
        self.ask("removing the volume", name, PATIENCE, call).await
    }

    async fn marked(&self, mark: &str) -> Result<Marked, Error> {
        let doing = "looking for what was made";
        let filters = HashMap::from([("label", vec![format!("{MARK}={mark}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let call = self.client.list_containers(Some(options));
        let containers = self.ask(doing, "", PATIENCE, call).await?;
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let call = self.client.list_networks(Some(options));
        let networks = self.ask(doing, "", PATIENCE, call).await?;
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let call = self.client.list_volumes(Some(options));
        let volumes = self.ask(doing, "", PATIENCE, call).await?.volumes.unwrap_or_default();
        Ok(Marked {
            containers: containers.into_iter().filter_map(|it| it.id).collect(),
            networks: networks.into_iter().filter_map(|it| it.name).collect(),
            volumes: volumes.into_iter().map(|it| it.name).collect(),
        })
    }
}

fn labels(mark: &str) -> HashMap<String, String> {
    [(MARK.to_owned(), mark.to_owned())].into()
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure, Failure::DockerResponseServerError { status_code: 404, .. })
}

/// A removal, content with what is gone already.
async fn gone(call: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    match call.await {
        Err(failure) if is_missing(&failure) => Ok(()),
        answer => answer,
    }
}

/// What the engine is asked to make. Only what is named here goes from one container to the other:
/// what is not known cannot reach the host.
fn body(of: ContainerInspectResponse, replica: &Replica, mark: &str) -> ContainerCreateBody {
    let config = of.config.unwrap_or_default();
    let id = of.id.unwrap_or_default();
    let endpoints = of.network_settings.and_then(|it| it.networks).unwrap_or_default();
    // The engine itself gives each a name and an alias that begin its identifier.
    let is_own = |it: &String| !it.is_empty() && !id.starts_with(it.as_str());
    let known = endpoints.into_values().filter_map(|it| it.aliases).flatten().filter(is_own);
    let (network_mode, networking_config) = match &replica.join {
        Join::Container(other) => (format!("container:{other}"), None),
        Join::Network { name, aliases } => {
            let aliases = aliases.iter().cloned().chain(known).collect();
            let endpoint =
                EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
            let endpoints_config = Some([(name.clone(), endpoint)].into());
            (name.clone(), Some(NetworkingConfig { endpoints_config }))
        }
    };
    let has_own_name = networking_config.is_some();
    let mut labels = labels(mark);
    labels.insert(NOT_OF_A_HOME.0.to_owned(), NOT_OF_A_HOME.1.to_owned());
    ContainerCreateBody {
        hostname: config.hostname.filter(|it| has_own_name && is_own(it)),
        domainname: config.domainname.filter(|_| has_own_name),
        user: config.user,
        env: config.env,
        cmd: config.cmd,
        entrypoint: config.entrypoint,
        healthcheck: config.healthcheck,
        // The image that it runs on, even if its name means another one by now.
        image: of.image.or(config.image),
        working_dir: config.working_dir,
        shell: config.shell,
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        tty: config.tty,
        open_stdin: config.open_stdin,
        labels: Some(labels),
        host_config: Some(host_config(
            of.host_config.unwrap_or_default(),
            network_mode,
            &replica.mounts,
            mark,
        )),
        networking_config,
        ..ContainerCreateBody::default()
    }
}

fn host_config(
    of: HostConfig,
    network_mode: String,
    mounts: &[ReplicaMount],
    mark: &str,
) -> HostConfig {
    let in_memory = of.mounts.into_iter().flatten().filter(|it| it.typ == Some(MountType::TMPFS));
    HostConfig {
        network_mode: Some(network_mode),
        mounts: Some(mounts.iter().map(|it| mount(it, mark)).chain(in_memory).collect()),
        tmpfs: of.tmpfs,
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        // The other one may write its log to another machine, or where it cannot be read.
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
        oom_score_adj: Some(ENDS_FIRST),
        cap_drop: of.cap_drop,
        security_opt: of.security_opt,
        group_add: of.group_add,
        sysctls: of.sysctls,
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
        pids_limit: of.pids_limit,
        ..HostConfig::default()
    }
}

fn mount(mount: &ReplicaMount, mark: &str) -> Mount {
    let (typ, source, volume_options) = match &mount.source {
        Source::Path(path) => (MountType::BIND, Some(path.display().to_string()), None),
        Source::Empty => {
            let labels = Some(labels(mark));
            let options = MountVolumeOptions { labels, ..MountVolumeOptions::default() };
            (MountType::VOLUME, None, Some(options))
        }
    };
    Mount {
        typ: Some(typ),
        source,
        target: Some(mount.destination.display().to_string()),
        read_only: Some(!mount.writable),
        volume_options,
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is asked for, where a container says this of itself.
    fn asked(of: Value, join: Join) -> Value {
        let of = serde_json::from_value(of).expect("the engine may answer so");
        let path = |source, destination: &str, writable| ReplicaMount {
            source,
            destination: destination.into(),
            writable,
        };
        let mounts = vec![
            path(Source::Path("/volumes/t/_data/0".into()), "/config", true),
            path(Source::Empty, "/media", false),
        ];
        let replica = Replica { of: "4f2a".to_owned(), name: "copy".to_owned(), join, mounts };
        serde_json::to_value(body(of, &replica, "7")).expect("it is plain data")
    }

    fn on_network() -> Join {
        Join::Network { name: "net".to_owned(), aliases: vec!["broker".to_owned()] }
    }

    #[test]
    fn nothing_of_the_host_goes_along() {
        let asked = asked(
            json!({
                "Id": "4f2a91c0aaaa", "Image": "sha256:1",
                "Config": {
                    "Labels": { "com.docker.compose.project": "home", "hearthkeep.role": "homeassistant" },
                    "ExposedPorts": { "8123/tcp": {} },
                },
                "HostConfig": {
                    "Binds": ["/srv/ha:/config", "/var/run/docker.sock:/var/run/docker.sock"],
                    "Mounts": [
                        { "Type": "bind", "Source": "/srv/x", "Target": "/x" },
                        { "Type": "volume", "Source": "data", "Target": "/data" },
                    ],
                    "VolumesFrom": ["other"], "NetworkMode": "host", "Privileged": true,
                    "PortBindings": { "8123/tcp": [{ "HostPort": "8123" }] }, "PublishAllPorts": true,
                    "RestartPolicy": { "Name": "always" }, "AutoRemove": true,
                    "Devices": [{ "PathOnHost": "/dev/ttyUSB0" }], "CapAdd": ["SYS_ADMIN"],
                    "DeviceCgroupRules": ["c 188:* rmw"], "DeviceRequests": [{ "Driver": "nvidia" }],
                    "PidMode": "host", "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host",
                    "ExtraHosts": ["host.docker.internal:host-gateway"], "Links": ["/a:/b/a"],
                    "LogConfig": { "Type": "syslog", "Config": { "syslog-address": "tcp://10.0.0.1" } },
                    "CgroupParent": "/system", "Runtime": "nvidia", "OomScoreAdj": -900,
                },
            }),
            on_network(),
        );
        let host = asked["HostConfig"].as_object().expect("an object");
        let keys: Vec<&str> = host.keys().map(String::as_str).collect();
        let only = ["LogConfig", "Mounts", "NetworkMode", "OomScoreAdj", "RestartPolicy"];
        assert_eq!(keys, only, "{host:?}");
        assert_eq!(host["NetworkMode"], "net");
        assert_eq!(host["RestartPolicy"]["Name"], "no");
        assert_eq!(host["LogConfig"], json!({ "Type": "json-file" }));
        let mounts = json!([
            { "Type": "bind", "Source": "/volumes/t/_data/0", "Target": "/config", "ReadOnly": false },
            {
                "Type": "volume", "Target": "/media", "ReadOnly": true,
                "VolumeOptions": { "Labels": { "hearthkeep.boot-test": "7" } },
            },
        ]);
        assert_eq!(host["Mounts"], mounts);
        let labels = json!({ "hearthkeep.boot-test": "7", "hearthkeep.enable": "false" });
        assert_eq!(asked["Labels"], labels);
        assert_eq!(asked["ExposedPorts"], Value::Null);
        assert_eq!(asked["Image"], "sha256:1");
    }

    #[test]
    fn what_it_runs_and_may_use_goes_along() {
        let of = json!({
            "Id": "4f2a91c0aaaa",
            "Config": {
                "Hostname": "node-1", "User": "1883:1883", "Env": ["A=b"], "Cmd": ["-c", "x"],
                "Entrypoint": ["/run"], "WorkingDir": "/w", "StopSignal": "SIGINT", "Tty": true,
                "Healthcheck": { "Test": ["CMD", "/check"] },
            },
            "HostConfig": {
                "Tmpfs": { "/tmp": "size=1m" }, "Memory": 64, "PidsLimit": 9, "ReadonlyRootfs": true,
                "Mounts": [{ "Type": "tmpfs", "Target": "/cache" }], "CapDrop": ["ALL"], "Init": true,
            },
            "NetworkSettings": { "Networks": { "home": { "Aliases": ["mqtt", "4f2a91c0"] } } },
        });
        let alone = asked(of.clone(), on_network());
        for (key, wanted) in [
            ("/Hostname", json!("node-1")),
            ("/User", json!("1883:1883")),
            ("/Env", json!(["A=b"])),
            ("/Cmd", json!(["-c", "x"])),
            ("/Entrypoint", json!(["/run"])),
            ("/WorkingDir", json!("/w")),
            ("/StopSignal", json!("SIGINT")),
            ("/Tty", json!(true)),
            ("/Healthcheck/Test/1", json!("/check")),
            ("/HostConfig/Tmpfs", json!({ "/tmp": "size=1m" })),
            ("/HostConfig/Memory", json!(64)),
            ("/HostConfig/PidsLimit", json!(9)),
            ("/HostConfig/ReadonlyRootfs", json!(true)),
            ("/HostConfig/CapDrop/0", json!("ALL")),
            ("/HostConfig/Init", json!(true)),
            ("/HostConfig/Mounts/2", json!({ "Type": "tmpfs", "Target": "/cache" })),
            ("/NetworkingConfig/EndpointsConfig/net/Aliases", json!(["broker", "mqtt"])),
        ] {
            assert_eq!(alone.pointer(key), Some(&wanted), "{key}");
        }
        // Whoever shares a network has its name, too.
        let joined = asked(of, Join::Container("other".to_owned()));
        assert_eq!(joined["HostConfig"]["NetworkMode"], "container:other");
        assert_eq!(
            (&joined["Hostname"], &joined["NetworkingConfig"]),
            (&Value::Null, &Value::Null)
        );
    }
}
