//! From Docker's account of a container and of its image to what it takes to make the container
//! again. Pure: answers in, a recipe out. What the image says already is left out.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, DeviceMapping, EndpointSettings, HealthConfig,
    HostConfig, ImageConfig, ImageInspect, MountPoint, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use serde_json::{Value, json};

use crate::model::{Confidential, Recipe, RecipeMount};
use crate::secret::Secret;

/// What Docker gives every container.
const SHM_SIZE: i64 = 64 * 1024 * 1024;

/// Docker cuts an identifier to this many digits where it makes a name of it.
const SHORT_ID: usize = 12;

/// Labels that say what a container is to hearthkeep. Its commands are not among them: what they
/// say may be secret.
const OWN_LABELS: [&str; 9] = [
    "hearthkeep.enable",
    "hearthkeep.role",
    "hearthkeep.slug",
    "hearthkeep.hold",
    "hearthkeep.stop-timeout",
    "hearthkeep.priority",
    "hearthkeep.exclude",
    "hearthkeep.port",
    "hearthkeep.boot",
];

/// What it takes to make a container again. Mounts, networks and `container:` are still as the
/// engine names them; the service is the one of the container's own project.
pub(super) fn recipe(
    response: ContainerInspectResponse,
    image: ImageInspect,
) -> (Recipe, Confidential) {
    let config = response.config.unwrap_or_default();
    let host = response.host_config.unwrap_or_default();
    let digest = image.repo_digests.into_iter().flatten().next();
    let image = image.config.unwrap_or_default();
    let id = response.id.unwrap_or_default();
    let name = response.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let networks = response.network_settings.and_then(|it| it.networks).unwrap_or_default();
    let labels: BTreeMap<&str, &str> =
        config.labels.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let compose = |key: &str| labels.get(format!("com.docker.compose.{key}").as_str()).copied();
    let service = compose("service").unwrap_or(&name).to_owned();
    let project = compose("project");
    let has_own_name = project.is_none_or(|project| {
        ["-", "_"].iter().all(|it| !name.starts_with(&format!("{project}{it}{service}{it}")))
    });
    let (environment, words) = (environment(&config, &image), words(&config, &image));
    let is_own = |(key, value): &(&&str, &&str)| {
        let of_image = image.labels.as_ref().and_then(|it| it.get(**key));
        !key.starts_with("com.docker.") && of_image.is_none_or(|it| it != **value)
    };
    let (plain, more): (BTreeMap<&str, &str>, BTreeMap<&str, &str>) = labels
        .iter()
        .filter(is_own)
        .map(|(key, value)| (*key, *value))
        .partition(|(key, _)| OWN_LABELS.contains(key));
    let is_running = response.state.and_then(|it| it.running) == Some(true);
    let mut settings = settings(&config, &image, &host, &id);
    let mut health_times = BTreeMap::new();
    match words.get("healthcheck").map(Vec::as_slice) {
        Some([none]) if none.expose() == "NONE" => {
            settings.insert("healthcheck".to_owned(), json!({ "disable": true }));
        }
        Some(_) => health_times = times(config.healthcheck.as_ref()),
        None => (),
    }
    let words: BTreeMap<_, _> =
        words.into_iter().filter(|(key, _)| !settings.contains_key(*key)).collect();
    let recipe = Recipe {
        has_own_name,
        runs: is_running,
        image: config.image.clone().unwrap_or_default(),
        digest,
        not_kept: not_kept(&host, &networks),
        mounts: response.mounts.into_iter().flatten().filter_map(mount).collect(),
        network_mode: joined(&host),
        networks: networks
            .into_iter()
            .map(|(network, it)| {
                let aliases = aliases(it, [&service, &name, id.get(..SHORT_ID).unwrap_or(&id)]);
                (network, aliases)
            })
            .collect(),
        depends_on: compose("depends_on").map(depends_on).unwrap_or_default(),
        labels: plain.into_iter().map(owned).collect(),
        variables: environment.keys().cloned().collect(),
        more_labels: more.keys().map(|it| (*it).to_owned()).collect(),
        words: words.keys().map(|it| (*it).to_owned()).collect(),
        health_times,
        container: name,
        service,
        settings,
    };
    let secret = |(key, value): (&str, &str)| (key.to_owned(), Secret::new(value.to_owned()));
    let confidential = Confidential {
        environment,
        labels: more.into_iter().map(secret).collect(),
        words: words.into_iter().map(|(key, it)| (key.to_owned(), it)).collect(),
    };
    (recipe, confidential)
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// The variables that the image does not have, or has otherwise.
fn environment(config: &ContainerConfig, image: &ImageConfig) -> BTreeMap<String, Secret> {
    let of_image = image.env.as_deref().unwrap_or_default();
    let own = config.env.iter().flatten().filter(|it| !of_image.contains(it));
    own.filter_map(|it| it.split_once('='))
        .map(|(key, value)| (key.to_owned(), Secret::new(value.to_owned())))
        .collect()
}

/// What runs in it, where the image says otherwise.
fn words(config: &ContainerConfig, image: &ImageConfig) -> BTreeMap<&'static str, Vec<Secret>> {
    let kept = |it: &[String]| it.iter().cloned().map(Secret::new).collect::<Vec<_>>();
    let of = |it: &Option<Vec<String>>| it.clone().unwrap_or_default();
    let mut words = BTreeMap::new();
    let (entrypoint, command) = (of(&config.entrypoint), of(&config.cmd));
    let has_own_entrypoint = entrypoint != of(&image.entrypoint);
    if has_own_entrypoint {
        words.insert("entrypoint", kept(&entrypoint));
    }
    // An entrypoint of its own makes it forget the image's command.
    let wanted = if has_own_entrypoint { Vec::new() } else { of(&image.cmd) };
    if command != wanted {
        words.insert("command", kept(&command));
    }
    let test = config.healthcheck.as_ref().map(|it| of(&it.test)).unwrap_or_default();
    if config.healthcheck != image.healthcheck && !test.is_empty() {
        words.insert("healthcheck", kept(&test));
    }
    words
}

fn times(health: Option<&HealthConfig>) -> BTreeMap<String, Value> {
    let Some(health) = health else { return BTreeMap::new() };
    let mut times = Settings::default();
    times.put("interval", health.interval.filter(|it| *it > 0).map(duration));
    times.put("timeout", health.timeout.filter(|it| *it > 0).map(duration));
    times.put("start_period", health.start_period.filter(|it| *it > 0).map(duration));
    times.put("retries", health.retries.filter(|it| *it > 0));
    times.0
}

/// Nanoseconds as Compose writes them.
fn duration(nanoseconds: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let fitting = UNITS.iter().find(|(unit, _)| nanoseconds % unit == 0);
    fitting.map_or_else(
        || format!("{nanoseconds}ns"),
        |(unit, word)| format!("{}{word}", nanoseconds / unit),
    )
}

/// Settings by Compose's own words; what is empty is left out.
#[derive(Default)]
struct Settings(BTreeMap<String, Value>);

impl Settings {
    fn put(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
    }

    fn text(&mut self, key: &str, value: Option<&String>) {
        self.put(key, value.filter(|it| !it.is_empty()).cloned());
    }

    fn list(&mut self, key: &str, values: Option<&Vec<String>>) {
        self.put(key, values.filter(|it| !it.is_empty()).cloned());
    }

    fn yes(&mut self, key: &str, value: Option<bool>) {
        self.put(key, value.filter(|it| *it));
    }

    fn number(&mut self, key: &str, value: Option<i64>) {
        self.put(key, value.filter(|it| *it > 0));
    }
}

fn settings(
    config: &ContainerConfig,
    image: &ImageConfig,
    host: &HostConfig,
    id: &str,
) -> BTreeMap<String, Value> {
    let mut it = Settings::default();
    let own = |it: &Option<String>, image: &Option<String>| it.clone().filter(|_| it != image);
    it.text("user", own(&config.user, &image.user).as_ref());
    it.text("working_dir", own(&config.working_dir, &image.working_dir).as_ref());
    it.text("stop_signal", own(&config.stop_signal, &image.stop_signal).as_ref());
    it.put("stop_grace_period", config.stop_timeout.map(|it| format!("{it}s")));
    let has_host_name = host.network_mode.as_deref() == Some("host") || joined(host).is_some();
    let hostname = config.hostname.as_ref().filter(|it| !has_host_name && !id.starts_with(*it));
    it.text("hostname", hostname);
    it.text("domainname", config.domainname.as_ref());
    it.yes("tty", config.tty);
    it.yes("stdin_open", config.open_stdin);
    it.put("restart", host.restart_policy.as_ref().and_then(restart));
    it.yes("privileged", host.privileged);
    it.yes("read_only", host.readonly_rootfs);
    it.put("init", host.init);
    it.list("cap_add", host.cap_add.as_ref());
    it.list("cap_drop", host.cap_drop.as_ref());
    let options: Vec<String> = security_options(host).0;
    it.list("security_opt", Some(&options));
    it.list("group_add", host.group_add.as_ref());
    it.list("extra_hosts", host.extra_hosts.as_ref());
    it.list("dns", host.dns.as_ref());
    it.list("dns_search", host.dns_search.as_ref());
    it.list("device_cgroup_rules", host.device_cgroup_rules.as_ref());
    it.list("devices", Some(&host.devices.iter().flatten().map(device).collect()));
    it.number("shm_size", host.shm_size.filter(|it| *it != SHM_SIZE));
    it.number("mem_limit", host.memory);
    it.number("mem_reservation", host.memory_reservation);
    it.number("cpu_shares", host.cpu_shares);
    it.put("cpus", host.nano_cpus.filter(|it| *it > 0).map(|it| it as f64 / 1e9));
    it.text("pid", host.pid_mode.as_ref());
    it.text("ipc", host.ipc_mode.as_ref().filter(|it| !["private", "shareable"].contains(&&***it)));
    it.text("userns_mode", host.userns_mode.as_ref());
    it.text("runtime", host.runtime.as_ref().filter(|it| *it != "runc"));
    let sysctls: BTreeMap<_, _> = host.sysctls.iter().flatten().collect();
    it.put("sysctls", (!sysctls.is_empty()).then(|| json!(sysctls)));
    let ulimits: BTreeMap<_, _> = host.ulimits.iter().flatten().filter_map(ulimit).collect();
    it.put("ulimits", (!ulimits.is_empty()).then(|| json!(ulimits)));
    it.list("tmpfs", Some(&tmpfs(host)));
    it.list("ports", Some(&ports(host)));
    it.0
}

fn restart(policy: &RestartPolicy) -> Option<String> {
    use RestartPolicyNameEnum as Name;
    match (policy.name?, policy.maximum_retry_count) {
        (Name::EMPTY | Name::NO, _) => None,
        (Name::ON_FAILURE, Some(times)) if times > 0 => Some(format!("on-failure:{times}")),
        (name, _) => Some(name.to_string()),
    }
}

/// Options, and whether there are more, which no Compose file can hold: profiles as their text.
fn security_options(host: &HostConfig) -> (Vec<String>, bool) {
    let (profiles, options): (Vec<_>, Vec<_>) =
        host.security_opt.iter().flatten().cloned().partition(|it| it.contains('{'));
    (options, !profiles.is_empty())
}

fn device(device: &DeviceMapping) -> String {
    let part = |it: &Option<String>| it.clone().unwrap_or_default();
    let [from, to, may] =
        [&device.path_on_host, &device.path_in_container, &device.cgroup_permissions].map(part);
    match may.as_str() {
        "rwm" | "" => format!("{from}:{to}"),
        _ => format!("{from}:{to}:{may}"),
    }
}

fn ulimit(limit: &ResourcesUlimits) -> Option<(&String, Value)> {
    Some((limit.name.as_ref()?, json!({ "soft": limit.soft?, "hard": limit.hard? })))
}

fn tmpfs(host: &HostConfig) -> Vec<String> {
    let join = |(path, options): (&String, &String)| match options.as_str() {
        "" => path.clone(),
        _ => format!("{path}:{options}"),
    };
    let short = host.tmpfs.iter().flatten().map(join);
    let long = host.mounts.iter().flatten().filter_map(|it| {
        let is_memory = it.typ.is_some_and(|it| it.to_string() == "tmpfs");
        let target = it.target.as_ref().filter(|_| is_memory)?;
        let size = it.tmpfs_options.as_ref().and_then(|it| it.size_bytes).filter(|it| *it > 0);
        Some(size.map_or_else(|| target.clone(), |size| format!("{target}:size={size}")))
    });
    let mut all: Vec<String> = short.chain(long).collect();
    all.sort();
    all
}

fn ports(host: &HostConfig) -> Vec<String> {
    let published = |(port, bindings): (&String, &Option<Vec<PortBinding>>)| {
        let port = port.strip_suffix("/tcp").unwrap_or(port).to_owned();
        let bindings = bindings.clone().unwrap_or_default();
        bindings.into_iter().map(move |binding| {
            let from = binding.host_port.filter(|it| !it.is_empty() && it != "0");
            match (binding.host_ip.filter(|it| !it.is_empty()), from) {
                (None, None) => port.clone(),
                (None, Some(from)) => format!("{from}:{port}"),
                (Some(ip), from) => {
                    let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
                    format!("{ip}:{}:{port}", from.unwrap_or_default())
                }
            }
        })
    };
    let mut ports: Vec<String> = host.port_bindings.iter().flatten().flat_map(published).collect();
    ports.sort();
    ports
}

/// A mode of the network that is no network of its own.
fn joined(host: &HostConfig) -> Option<String> {
    let is_mode = |it: &String| {
        it == "host" || it == "none" || it.starts_with("container:") || it.starts_with("ns:")
    };
    host.network_mode.clone().filter(is_mode)
}

/// The further names of a container in a network, without those that it has there anyway.
fn aliases(endpoint: EndpointSettings, own: [&str; 3]) -> Vec<String> {
    let mut aliases: Vec<String> = endpoint.aliases.unwrap_or_default();
    aliases.retain(|it| !own.contains(&it.as_str()));
    aliases.sort();
    aliases.dedup();
    aliases
}

fn mount(point: MountPoint) -> Option<RecipeMount> {
    let is_volume = match point.typ?.to_string().as_str() {
        "volume" => true,
        "bind" => false,
        _ => return None,
    };
    let name = point.name.unwrap_or_default();
    let is_anonymous = name.len() == 64 && name.bytes().all(|it| it.is_ascii_hexdigit());
    let source = match is_volume {
        true if is_anonymous => String::new(),
        true => name,
        false => point.source.unwrap_or_default(),
    };
    let mut mode: Vec<&str> = Vec::new();
    if point.rw == Some(false) {
        mode.push("ro");
    }
    let said = point.mode.unwrap_or_default();
    // Docker marks all volumes for SELinux, asked for or not.
    mode.extend(said.split(',').filter(|it| !is_volume && ["z", "Z"].contains(it)));
    let spread = point.propagation.unwrap_or_default();
    if !is_volume && !["", "rprivate"].contains(&spread.as_str()) {
        mode.push(&spread);
    }
    let target = point.destination?.into();
    Some(RecipeMount { source, target, mode: mode.join(",") })
}

/// Compose's own label: `service:condition:restart,…`.
fn depends_on(label: &str) -> BTreeMap<String, String> {
    let words = label.split(',').filter(|it| !it.is_empty()).map(|it| {
        let mut words = it.split(':');
        let service = words.next().unwrap_or_default().to_owned();
        (service, words.next().unwrap_or("service_started").to_owned())
    });
    words.collect()
}

/// What a person has to look at, since it is not in the recipe.
fn not_kept(
    host: &HostConfig,
    networks: &std::collections::HashMap<String, EndpointSettings>,
) -> Vec<String> {
    let mut not_kept = Vec::new();
    let mut tell = |is: bool, what: &str| not_kept.extend(is.then(|| what.to_owned()));
    let log = host.log_config.as_ref().and_then(|it| it.typ.as_deref()).unwrap_or("json-file");
    tell(!["json-file", "local", "journald", ""].contains(&log), "where its log goes");
    tell(host.device_requests.as_ref().is_some_and(|it| !it.is_empty()), "its graphics cards");
    tell(host.links.as_ref().is_some_and(|it| !it.is_empty()), "its links");
    tell(security_options(host).1, "its security profile");
    let is_fixed = |it: &EndpointSettings| {
        let asked = it.ipam_config.as_ref();
        asked.is_some_and(|it| it.ipv4_address.as_ref().is_some_and(|it| !it.is_empty()))
    };
    tell(networks.values().any(is_fixed), "its fixed address");
    not_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(container: Value, image: Value) -> (Recipe, Confidential) {
        let container = serde_json::from_value(container).expect("the engine may answer so");
        recipe(container, serde_json::from_value(image).expect("and so"))
    }

    #[test]
    fn what_the_image_says_is_left_out() {
        let (recipe, confidential) = made(
            json!({
                "Id": "0123456789abcdef", "Name": "/home_broker_1", "State": { "Running": true },
                "Config": {
                    "Image": "eclipse-mosquitto:2", "Hostname": "0123456789ab",
                    "User": "1883", "WorkingDir": "/x", "Cmd": ["run", "--fast"],
                    "Entrypoint": ["/start"], "Env": ["PATH=/bin", "KEY=a=b", "LANG=de"],
                    "Labels": {
                        "com.docker.compose.project": "home", "com.docker.compose.service": "broker",
                        "com.docker.compose.depends_on": "db:service_healthy:false,other",
                        "of.image": "1", "own": "2", "hearthkeep.slug": "b", "hearthkeep.before": "x",
                    },
                },
            }),
            json!({
                "RepoDigests": ["eclipse-mosquitto@sha256:00"],
                "Config": {
                    "User": "", "WorkingDir": "/x", "Cmd": ["run"], "Entrypoint": ["/start"],
                    "Env": ["PATH=/bin", "LANG=en"], "Labels": { "of.image": "1" },
                },
            }),
        );
        assert_eq!(
            (recipe.container.as_str(), recipe.service.as_str()),
            ("home_broker_1", "broker")
        );
        assert!(recipe.runs && !recipe.has_own_name);
        assert_eq!(recipe.digest.as_deref(), Some("eclipse-mosquitto@sha256:00"));
        assert_eq!(recipe.settings, BTreeMap::from([("user".to_owned(), json!("1883"))]));
        assert_eq!(recipe.variables, ["KEY", "LANG"]);
        assert_eq!(confidential.environment["KEY"].expose(), "a=b");
        assert_eq!(recipe.words, ["command"]);
        let words: Vec<&str> = confidential.words["command"].iter().map(Secret::expose).collect();
        assert_eq!(words, ["run", "--fast"]);
        assert_eq!(recipe.labels, BTreeMap::from([("hearthkeep.slug".into(), "b".into())]));
        assert_eq!(recipe.more_labels, ["hearthkeep.before", "own"]);
        let depends_on = [("db", "service_healthy"), ("other", "service_started")];
        assert_eq!(recipe.depends_on, depends_on.map(owned).into());
        assert!(!serde_json::to_string(&recipe).expect("JSON").contains("a=b"));
    }

    #[test]
    fn an_entrypoint_of_its_own_forgets_the_command_of_the_image() {
        let check = |config: Value, wanted: &[&str]| {
            let image = json!({ "Config": { "Cmd": ["run"], "Entrypoint": ["/start"] } });
            let (recipe, _) = made(json!({ "Config": config }), image);
            assert_eq!(recipe.words, wanted, "{config}");
        };
        check(json!({ "Cmd": ["run"], "Entrypoint": ["/start"] }), &[]);
        check(json!({ "Cmd": ["run"], "Entrypoint": ["/x"] }), &["command", "entrypoint"]);
        check(json!({ "Entrypoint": ["/x"] }), &["entrypoint"]);
        check(json!({ "Entrypoint": ["/start"] }), &["command"]);
    }

    #[test]
    fn settings_are_in_the_words_of_compose() {
        let check = |host: Value, key: &str, wanted: Value| {
            let (recipe, _) = made(json!({ "HostConfig": host }), json!({}));
            assert_eq!(
                recipe.settings.get(key),
                Some(&wanted).filter(|it| !it.is_null()),
                "{host}"
            );
        };
        let port = |ip: &str, from: &str| json!({ "PortBindings": { "22/tcp": [{ "HostIp": ip, "HostPort": from }] } });
        check(port("", "22"), "ports", json!(["22:22"]));
        check(port("127.0.0.1", "23"), "ports", json!(["127.0.0.1:23:22"]));
        check(port("::1", "23"), "ports", json!(["[::1]:23:22"]));
        check(port("", ""), "ports", json!(["22"]));
        check(json!({ "PortBindings": { "53/udp": null } }), "ports", Value::Null);
        check(json!({ "RestartPolicy": { "Name": "no" } }), "restart", Value::Null);
        let failing = json!({ "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 } });
        check(failing, "restart", json!("on-failure:3"));
        check(json!({ "ShmSize": 67_108_864 }), "shm_size", Value::Null);
        check(json!({ "ShmSize": 128 }), "shm_size", json!(128));
        check(
            json!({ "Tmpfs": { "/run": "size=1m", "/x": "" } }),
            "tmpfs",
            json!(["/run:size=1m", "/x"]),
        );
        let stick = json!({ "Devices": [
            { "PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rwm" },
        ]});
        check(stick, "devices", json!(["/dev/a:/dev/b"]));
        check(json!({ "IpcMode": "private" }), "ipc", Value::Null);
        check(json!({ "Privileged": false, "CapAdd": [] }), "privileged", Value::Null);
        check(json!({ "SecurityOpt": ["seccomp={}"] }), "security_opt", Value::Null);
    }

    #[test]
    fn mounts_keep_what_was_asked_for() {
        let check = |point: Value, wanted: (&str, &str)| {
            let (recipe, _) = made(json!({ "Mounts": [point] }), json!({}));
            let found = (recipe.mounts[0].source.as_str(), recipe.mounts[0].mode.as_str());
            assert_eq!(found, wanted, "{point}");
        };
        let bind = |mode: &str, rw: bool, spread: &str| json!({ "Type": "bind", "Source": "/a", "Destination": "/b", "Mode": mode, "RW": rw, "Propagation": spread });
        check(bind("rw", true, "rprivate"), ("/a", ""));
        check(bind("ro,z", false, "rslave"), ("/a", "ro,z,rslave"));
        let volume = |name: &str| json!({ "Type": "volume", "Name": name, "Source": "/x", "Destination": "/b", "Mode": "z", "RW": true });
        check(volume("home_data"), ("home_data", ""));
        check(volume(&"0f".repeat(32)), ("", ""));
    }

    #[test]
    fn times_are_told_in_the_largest_unit_that_fits() {
        let cases =
            [(30_000_000_000, "30s"), (1_500_000_000, "1500ms"), (1_000, "1us"), (7, "7ns")];
        for (nanoseconds, wanted) in cases {
            assert_eq!(duration(nanoseconds), wanted);
        }
    }
}
