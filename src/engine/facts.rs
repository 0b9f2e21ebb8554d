//! From Docker's account of a container to ours. Pure: an answer in, facts out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, EndpointSettings, HealthStatusEnum, HostConfig, MountPoint,
};

use crate::model::{Container, Health, Mount, MountKind, State};

/// What an inspection shows, in our words; `None` where the answer lacks what every container has.
/// Docker gives mounts and networks in an order of chance, so they are sorted.
pub(super) fn container(response: ContainerInspectResponse) -> Option<Container> {
    let state = response.state?;
    let config = response.config.unwrap_or_default();
    let host_config = response.host_config.unwrap_or_default();
    let reaches_host = reaches_host(&host_config);
    let network_mode = host_config.network_mode.unwrap_or_default();
    let networks = response.network_settings.and_then(|it| it.networks).unwrap_or_default();
    let mut mounts: Vec<Mount> = response.mounts.into_iter().flatten().map(mount).collect();
    mounts.extend(host_config.tmpfs.into_iter().flatten().map(tmpfs));
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    Some(Container {
        id: response.id?,
        name: response.name?.trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        labels: config.labels.into_iter().flatten().collect(),
        health: health(&state),
        started: state.started_at.unwrap_or_default(),
        state: state_now(state.status?),
        mounts,
        host_network: network_mode == "host",
        addresses: addresses(networks),
        joined_network: network_mode.strip_prefix("container:").map(str::to_owned),
        stop_timeout: config
            .stop_timeout
            .and_then(|it| u64::try_from(it).ok())
            .map(Duration::from_secs),
        auto_remove: host_config.auto_remove == Some(true),
        reaches_host,
        variables: names(&config.env.unwrap_or_default()),
        is_silent: false,
    })
}

/// What the list of all containers tells of one about which the engine does not answer; `None`
/// where it lacks what every container has.
pub(super) fn listed(summary: ContainerSummary) -> Option<Container> {
    let network_mode = summary.host_config.and_then(|it| it.network_mode).unwrap_or_default();
    let mut mounts: Vec<Mount> = summary.mounts.into_iter().flatten().map(mount).collect();
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    Some(Container {
        id: summary.id?,
        name: own_name(summary.names?)?,
        image: summary.image.unwrap_or_default(),
        labels: summary.labels.into_iter().flatten().collect(),
        health: Health::None,
        state: state_listed(summary.state?),
        started: String::new(),
        mounts,
        host_network: network_mode == "host",
        addresses: Vec::new(),
        joined_network: network_mode.strip_prefix("container:").map(str::to_owned),
        stop_timeout: None,
        auto_remove: false,
        reaches_host: false,
        variables: Vec::new(),
        is_silent: true,
    })
}

/// Whether it was given more than an ordinary container has.
fn reaches_host(config: &HostConfig) -> bool {
    let is_host = |it: &Option<String>| it.as_deref() == Some("host");
    config.privileged == Some(true)
        || config.devices.as_ref().is_some_and(|it| !it.is_empty())
        || config.device_requests.as_ref().is_some_and(|it| !it.is_empty())
        || config.device_cgroup_rules.as_ref().is_some_and(|it| !it.is_empty())
        || config.cap_add.as_ref().is_some_and(|it| !it.is_empty())
        || is_host(&config.pid_mode)
        || is_host(&config.ipc_mode)
        || is_host(&config.uts_mode)
}

/// A container that others are linked to has a name of theirs too, with a slash in the middle.
fn own_name(names: Vec<String>) -> Option<String> {
    let mut names = names.into_iter().map(|it| it.trim_start_matches('/').to_owned());
    names.find(|it| !it.contains('/'))
}

fn state_listed(state: ContainerSummaryStateEnum) -> State {
    use ContainerSummaryStateEnum as Listed;
    match state {
        Listed::RUNNING | Listed::STOPPING => State::Running,
        Listed::PAUSED => State::Paused,
        Listed::RESTARTING => State::Restarting,
        Listed::CREATED | Listed::EXITED | Listed::DEAD | Listed::REMOVING | Listed::EMPTY => {
            State::Stopped
        }
    }
}

fn state_now(status: ContainerStateStatusEnum) -> State {
    use ContainerStateStatusEnum as Status;
    match status {
        Status::RUNNING | Status::STOPPING => State::Running,
        Status::PAUSED => State::Paused,
        Status::RESTARTING => State::Restarting,
        Status::CREATED | Status::EXITED | Status::DEAD | Status::REMOVING | Status::EMPTY => {
            State::Stopped
        }
    }
}

fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|it| it.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

fn mount(point: MountPoint) -> Mount {
    let kind = match (point.typ.as_deref(), point.name) {
        (Some("volume"), Some(name)) => {
            MountKind::Volume { name, local: point.driver.as_deref() == Some("local") }
        }
        (Some("bind"), _) => MountKind::Bind,
        (Some("tmpfs"), _) => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    Mount {
        kind,
        source: point.source.unwrap_or_default().into(),
        destination: point.destination.unwrap_or_default().into(),
        writable: point.rw.unwrap_or(true),
    }
}

/// The names of variables alone: what passwords a container has is its own affair.
fn names(environment: &[String]) -> Vec<String> {
    let name = |it: &String| it.split('=').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = environment.iter().map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// `--tmpfs` and Compose's `tmpfs:` do not appear among the mounts.
fn tmpfs((destination, options): (String, String)) -> Mount {
    Mount {
        kind: MountKind::Tmpfs,
        source: PathBuf::new(),
        destination: destination.into(),
        writable: options.split(',').all(|it| it != "ro"),
    }
}

fn addresses(networks: HashMap<String, EndpointSettings>) -> Vec<IpAddr> {
    let mut networks: Vec<_> = networks.into_iter().collect();
    networks.sort_by(|a, b| a.0.cmp(&b.0));
    networks
        .into_iter()
        .flat_map(|(_, it)| [it.ip_address, it.global_ipv6_address])
        .flatten()
        .filter_map(|address| address.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An inspection with only what every container has, and on top what the case is about.
    fn inspected(changes: Value) -> Option<Container> {
        let mut response = json!({
            "Id": "4f2a", "Name": "/homeassistant", "State": { "Status": "running" },
        });
        match (&mut response, changes) {
            (Value::Object(response), Value::Object(changes)) => response.extend(changes),
            _ => panic!("both are objects"),
        }
        container(serde_json::from_value(response).expect("the engine may answer so"))
    }

    #[test]
    fn takes_name_image_labels_and_stop_timeout() {
        let container = inspected(json!({ "Config": {
            "Image": "ghcr.io/home-assistant/home-assistant:2026.2.3",
            "Labels": { "com.docker.compose.project": "home" },
            "StopTimeout": 260,
        }}))
        .expect("complete");
        assert_eq!(container.name, "homeassistant");
        assert_eq!(container.image, "ghcr.io/home-assistant/home-assistant:2026.2.3");
        assert_eq!(container.project(), Some("home"));
        assert_eq!(container.stop_timeout, Some(Duration::from_secs(260)));
    }

    #[test]
    fn takes_from_a_list_what_it_tells() {
        let summary = json!({
            "Id": "4f2a", "Names": ["/ha/db", "/db"], "Image": "mariadb:11", "State": "paused",
            "Labels": { "com.docker.compose.project": "home" },
            "HostConfig": { "NetworkMode": "container:4f2b" },
            "Mounts": [{ "Type": "bind", "Source": "/srv/db", "Destination": "/data", "RW": true }],
        });
        let summary = serde_json::from_value(summary).expect("the engine may answer so");
        let container = listed(summary).expect("complete");
        assert_eq!((container.name.as_str(), container.state), ("db", State::Paused));
        assert_eq!(container.project(), Some("home"));
        assert_eq!(container.joined_network.as_deref(), Some("4f2b"));
        let bind = container.mounted_at("/data").expect("it is mounted");
        assert_eq!((&bind.kind, bind.writable), (&MountKind::Bind, true));
        assert!(container.is_silent);
        assert_eq!(listed(ContainerSummary::default()), None);
    }

    #[test]
    fn tells_what_it_is_doing() {
        let cases = [
            ("created", State::Stopped),
            ("running", State::Running),
            ("paused", State::Paused),
            ("restarting", State::Restarting),
            ("stopping", State::Running),
            ("removing", State::Stopped),
            ("exited", State::Stopped),
            ("dead", State::Stopped),
        ];
        for (status, expected) in cases {
            // Docker calls a paused container running as well.
            let state = json!({ "State": { "Status": status, "Running": true } });
            assert_eq!(inspected(state).map(|it| it.state), Some(expected), "{status}");
        }
    }

    #[test]
    fn tells_its_health() {
        let cases = [
            (Value::Null, Health::None),
            (json!({ "Status": "none" }), Health::None),
            (json!({ "Status": "starting" }), Health::Starting),
            (json!({ "Status": "healthy" }), Health::Healthy),
            (json!({ "Status": "unhealthy" }), Health::Unhealthy),
        ];
        for (health, expected) in cases {
            let state = json!({ "State": { "Status": "running", "Health": health } });
            assert_eq!(inspected(state).map(|it| it.health), Some(expected), "{health}");
        }
    }

    #[test]
    fn tells_where_a_mount_comes_from() {
        let volume = |local| MountKind::Volume { name: "data".to_owned(), local };
        let cases = [
            (json!({ "Type": "volume", "Name": "data", "Driver": "local" }), volume(true)),
            (json!({ "Type": "volume", "Name": "data", "Driver": "nfs" }), volume(false)),
            (json!({ "Type": "bind" }), MountKind::Bind),
            (json!({ "Type": "tmpfs" }), MountKind::Tmpfs),
            (json!({ "Type": "image" }), MountKind::Other),
            (json!({ "Type": "something new" }), MountKind::Other),
        ];
        for (point, expected) in cases {
            let container = inspected(json!({ "Mounts": [point] })).expect("complete");
            assert_eq!(container.mounts[0].kind, expected, "{point}");
        }
    }

    #[test]
    fn sorts_mounts_and_knows_those_that_docker_hides() {
        let container = inspected(json!({
            "Mounts": [
                { "Type": "bind", "Source": "/etc/localtime", "Destination": "/etc/localtime", "RW": false },
                { "Type": "bind", "Source": "/srv/ha", "Destination": "/config", "RW": true },
            ],
            "HostConfig": { "Tmpfs": { "/tmp": "size=64m", "/ro": "size=1m,ro" } },
        }))
        .expect("complete");
        let mounts: Vec<_> =
            container.mounts.iter().map(|it| (it.destination.to_str(), it.writable)).collect();
        let expected =
            [("/config", true), ("/etc/localtime", false), ("/ro", false), ("/tmp", true)];
        assert_eq!(mounts, expected.map(|(path, writable)| (Some(path), writable)));
    }

    #[test]
    fn tells_how_it_is_reached() {
        let networks = json!({
            "b": { "IPAddress": "172.19.0.2", "GlobalIPv6Address": "" },
            "a": { "IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2" },
        });
        let cases = [
            ("host", json!({ "host": { "IPAddress": "" } }), true, None, vec![]),
            ("container:4f2a", json!({}), false, Some("4f2a"), vec![]),
            ("home_default", networks, false, None, vec!["172.18.0.2", "fd00::2", "172.19.0.2"]),
        ];
        for (mode, networks, host, joined, addresses) in cases {
            let container = inspected(json!({
                "HostConfig": { "NetworkMode": mode }, "NetworkSettings": { "Networks": networks },
            }))
            .expect("complete");
            let found: Vec<String> = container.addresses.iter().map(IpAddr::to_string).collect();
            assert_eq!(found, addresses, "{mode}");
            assert_eq!(container.host_network, host, "{mode}");
            assert_eq!(container.joined_network.as_deref(), joined, "{mode}");
        }
    }

    #[test]
    fn tells_whether_it_is_removed_when_it_stops() {
        let cases = [(json!(true), true), (json!(false), false), (Value::Null, false)];
        for (value, expected) in cases {
            let container = inspected(json!({ "HostConfig": { "AutoRemove": value } }));
            assert_eq!(container.map(|it| it.auto_remove), Some(expected), "{value}");
        }
    }

    #[test]
    fn tells_who_reaches_the_host() {
        let device = json!([{ "PathOnHost": "/dev/ttyUSB0", "PathInContainer": "/dev/ttyUSB0" }]);
        let cases = [
            (json!({}), false),
            (json!({ "Privileged": false, "Devices": [], "CapAdd": null }), false),
            (json!({ "NetworkMode": "host", "IpcMode": "private", "PidMode": "" }), false),
            (json!({ "Privileged": true }), true),
            (json!({ "Devices": device }), true),
            (json!({ "DeviceRequests": [{ "Driver": "nvidia" }] }), true),
            (json!({ "DeviceCgroupRules": ["c 188:* rmw"] }), true),
            (json!({ "CapAdd": ["NET_ADMIN"] }), true),
            (json!({ "PidMode": "host" }), true),
            (json!({ "IpcMode": "host" }), true),
            (json!({ "UTSMode": "host" }), true),
        ];
        for (config, expected) in cases {
            let container = inspected(json!({ "HostConfig": config }));
            assert_eq!(container.map(|it| it.reaches_host), Some(expected), "{config}");
        }
    }

    #[test]
    fn does_without_an_incomplete_answer() {
        for key in ["Id", "Name", "State"] {
            assert_eq!(inspected(json!({ key: null })), None, "{key}");
        }
    }
}
