//! The known companions. One row each: images, the add-ons that are the same program, where those
//! keep what the container keeps at a path, and what is not worth keeping.

use super::Addon;
use super::place::{Place, folder, homeassistant, own};

/// A companion that is known by its image.
#[derive(Debug)]
pub struct Known {
    /// What people call it.
    pub name: &'static str,
    /// Image names without registry, tag and digest.
    pub images: &'static [&'static str],
    /// The add-ons that are the same program, under all identifiers that they have or had. The first
    /// is the one that it is written as.
    pub addons: &'static [Addon],
    /// Path in the container → places in a backup of the Supervisor, the likeliest first. It is
    /// written to the first whole place in the add-on's own part.
    pub mounts: &'static [(&'static str, &'static [Place])],
    /// Globs of what can be fetched or built again.
    pub exclude: &'static [&'static str],
    /// User and group that the image's program runs as, where that is not root: by a word in the
    /// image's name or tag, the first that is in it.
    pub owners: &'static [(&'static str, u32, u32)],
    /// Options by which the add-on finds what is written to its part.
    pub options: &'static [(&'static str, &'static str)],
    /// The option that says where the add-on keeps its data.
    pub path_option: Option<&'static str>,
}

const PLAIN: Known = Known {
    name: "",
    images: &[],
    addons: &[],
    mounts: &[],
    exclude: &[],
    owners: &[],
    options: &[],
    path_option: None,
};

const fn addon(repository_id: &'static str, slug: &'static str, repository: &'static str) -> Addon {
    Addon { repository_id, slug, repository }
}

/// An official add-on.
const fn core(slug: &'static str) -> Addon {
    addon("core", slug, "core")
}

/// An add-on of the community's repository.
const fn community(slug: &'static str) -> Addon {
    addon("a0d7b954", slug, "https://github.com/hassio-addons/repository")
}

const fn frigate(slug: &'static str) -> Addon {
    addon("ccab4aaf", slug, "https://github.com/blakeblackshear/frigate-hass-addons")
}

/// The table. Add-on names and layouts are those of the add-ons' own repositories, named in
/// `repository`; an add-on's identifier is `core` or the first eight hexadecimal digits of SHA-1
/// over its repository's address.
pub const TABLE: &[Known] = &[
    Known {
        name: "Mosquitto broker",
        images: &["eclipse-mosquitto", "mosquitto"],
        addons: &[core("mosquitto")],
        mounts: &[("/mosquitto/data", &[own("data")])],
        owners: &[("", 1883, 1883)],
        ..PLAIN
    },
    Known {
        name: "Zigbee2MQTT",
        images: &["koenkk/zigbee2mqtt"],
        addons: &[addon(
            "45df7312",
            "zigbee2mqtt",
            "https://github.com/zigbee2mqtt/hassio-zigbee2mqtt",
        )],
        mounts: &[(
            "/app/data",
            &[
                own("config"),
                homeassistant("data/zigbee2mqtt"),
                own("config/zigbee2mqtt"),
                folder("share", "zigbee2mqtt"),
            ],
        )],
        exclude: &["/app/data/log/**"],
        options: &[("data_path", "/addon_config")],
        path_option: Some("data_path"),
        ..PLAIN
    },
    Known {
        name: "Z-Wave JS UI",
        images: &["zwavejs/zwave-js-ui"],
        addons: &[community("zwavejs2mqtt"), core("zwave_js")],
        mounts: &[("/usr/src/app/store", &[own("data/store"), own("config"), own("data/cache")])],
        exclude: &["/usr/src/app/store/logs/**"],
        ..PLAIN
    },
    Known {
        name: "Node-RED",
        images: &["nodered/node-red"],
        addons: &[community("nodered")],
        mounts: &[("/data", &[own("config"), homeassistant("data/node-red")])],
        exclude: &["/data/node_modules/**"],
        owners: &[("", 1000, 1000)],
        ..PLAIN
    },
    Known {
        name: "ESPHome",
        images: &["esphome/esphome"],
        addons: &[
            addon("5c53de3b", "esphome", "https://github.com/esphome/home-assistant-addon"),
            addon("15ef4d2f", "esphome", "https://github.com/esphome/hassio"),
        ],
        mounts: &[("/config", &[homeassistant("data/esphome")])],
        exclude: &["/config/.esphome/build/**", "/config/.esphome/platformio/**"],
        ..PLAIN
    },
    Known {
        name: "MariaDB",
        images: &["mariadb"],
        addons: &[core("mariadb")],
        mounts: &[("/var/lib/mysql", &[own("data/databases")])],
        owners: &[("", 999, 999)],
        ..PLAIN
    },
    Known {
        name: "TimescaleDB",
        images: &["timescale/timescaledb-ha"],
        owners: &[("", 1000, 1000)],
        ..PLAIN
    },
    Known {
        name: "TimescaleDB",
        images: &["timescale/timescaledb"],
        owners: &[("", 70, 70)],
        ..PLAIN
    },
    Known {
        name: "PostgreSQL",
        images: &["postgres"],
        owners: &[("alpine", 70, 70), ("", 999, 999)],
        ..PLAIN
    },
    Known {
        name: "InfluxDB",
        images: &["influxdb"],
        addons: &[community("influxdb")],
        mounts: &[("/var/lib/influxdb", &[own("data/influxdb")])],
        owners: &[("", 1000, 1000)],
        ..PLAIN
    },
    Known {
        name: "Frigate",
        images: &["blakeblackshear/frigate"],
        addons: &[
            frigate("frigate"),
            frigate("frigate-fa"),
            frigate("frigate-beta"),
            frigate("frigate-fa-beta"),
            frigate("frigate-oldcpu"),
            frigate("frigate-hailo"),
        ],
        mounts: &[(
            "/config",
            &[
                own("config"),
                homeassistant("data/frigate.yml").named("config.yml"),
                homeassistant("data/frigate.yaml").named("config.yml"),
            ],
        )],
        exclude: &["/media/frigate/**"],
        ..PLAIN
    },
    Known {
        name: "Music Assistant",
        images: &["music-assistant/server"],
        addons: &[
            addon(
                "d5369777",
                "music_assistant",
                "https://github.com/music-assistant/home-assistant-addon",
            ),
            addon(
                "d5369777",
                "music_assistant_beta",
                "https://github.com/music-assistant/home-assistant-addon",
            ),
        ],
        mounts: &[("/data", &[own("data")])],
        exclude: &["/data/cache.db", "/data/collage_images/**", "/data/.cache/**"],
        ..PLAIN
    },
    Known {
        name: "Matter Server",
        images: &["matter-js/matterjs-server", "home-assistant-libs/python-matter-server"],
        addons: &[core("matter_server")],
        mounts: &[("/data", &[own("data")])],
        owners: &[("matterjs", 1000, 1000)],
        ..PLAIN
    },
    Known {
        name: "OpenThread Border Router",
        images: &["openthread/border-router", "openthread/otbr", "ownbee/hass-otbr-docker"],
        addons: &[core("openthread_border_router")],
        mounts: &[
            ("/var/lib/thread", &[own("data/thread")]),
            ("/data/thread", &[own("data/thread")]),
        ],
        ..PLAIN
    },
    Known {
        name: "deCONZ",
        images: &["deconzcommunity/deconz"],
        addons: &[core("deconz")],
        mounts: &[("/opt/deCONZ", &[own("data/.local/share/dresden-elektronik/deCONZ")])],
        exclude: &["/opt/deCONZ/otau/**"],
        ..PLAIN
    },
    Known {
        name: "Vaultwarden",
        images: &["vaultwarden/server"],
        addons: &[community("bitwarden")],
        mounts: &[("/data", &[own("data")])],
        ..PLAIN
    },
    Known {
        name: "AppDaemon",
        images: &["acockburn/appdaemon"],
        addons: &[community("appdaemon")],
        mounts: &[("/conf", &[own("config"), homeassistant("data/appdaemon")])],
        ..PLAIN
    },
    Known {
        name: "Grafana",
        images: &["grafana/grafana", "grafana/grafana-oss"],
        addons: &[community("grafana")],
        mounts: &[("/var/lib/grafana", &[own("data")])],
        owners: &[("", 472, 0)],
        ..PLAIN
    },
    Known {
        name: "Nginx Proxy Manager",
        images: &["jc21/nginx-proxy-manager"],
        addons: &[community("nginxproxymanager")],
        mounts: &[("/data", &[own("config")]), ("/etc/letsencrypt", &[own("config/letsencrypt")])],
        exclude: &["/data/logs/**"],
        ..PLAIN
    },
    Known {
        name: "Uptime Kuma",
        images: &["louislam/uptime-kuma"],
        addons: &[community("uptime-kuma")],
        mounts: &[("/app/data", &[own("data")])],
        ..PLAIN
    },
    Known {
        name: "AdGuard Home",
        images: &["adguard/adguardhome"],
        addons: &[community("adguard")],
        mounts: &[
            ("/opt/adguardhome/work", &[own("data/adguard")]),
            (
                "/opt/adguardhome/conf",
                &[own("data/adguard/AdGuardHome.yaml").named("AdGuardHome.yaml")],
            ),
        ],
        exclude: &["/opt/adguardhome/work/data/querylog.json*"],
        ..PLAIN
    },
    Known {
        name: "EMQX",
        images: &["emqx/emqx", "emqx"],
        addons: &[community("emqx")],
        mounts: &[("/opt/emqx/data", &[own("data")])],
        owners: &[("", 1000, 1000)],
        ..PLAIN
    },
    Known {
        name: "Tailscale",
        images: &["tailscale/tailscale"],
        addons: &[community("tailscale")],
        mounts: &[("/var/lib/tailscale", &[own("data")])],
        ..PLAIN
    },
    Known {
        name: "Whisper",
        images: &["rhasspy/wyoming-whisper"],
        addons: &[core("whisper")],
        mounts: &[("/data", &[own("data")])],
        exclude: &["/data/models*/**"],
        ..PLAIN
    },
    Known {
        name: "Piper",
        images: &["rhasspy/wyoming-piper"],
        addons: &[core("piper")],
        mounts: &[("/data", &[own("data")])],
        exclude: &["*.onnx", "*.onnx.json"],
        ..PLAIN
    },
    Known {
        name: "openWakeWord",
        images: &["rhasspy/wyoming-openwakeword"],
        addons: &[core("openwakeword")],
        mounts: &[("/data", &[own("data")])],
        exclude: &["*.tflite"],
        ..PLAIN
    },
];
