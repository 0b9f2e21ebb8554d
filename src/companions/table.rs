//! The known companions. One row each: images, the add-on twin, where the add-on keeps what the
//! container keeps at a path, and what is not worth keeping.

use super::Addon;

/// A companion that is known by its image.
#[derive(Debug)]
pub struct Known {
    /// What people call it.
    pub name: &'static str,
    /// Image names without registry, tag and digest.
    pub images: &'static [&'static str],
    /// The add-on that is the same program, where there is one.
    pub addon: Option<Addon>,
    /// Path in the container → place in the add-on's part.
    pub mounts: &'static [(&'static str, &'static str)],
    /// Globs of what can be fetched or built again.
    pub exclude: &'static [&'static str],
}

const fn addon(
    repository_id: &'static str,
    slug: &'static str,
    repository: &'static str,
) -> Option<Addon> {
    Some(Addon { repository_id, slug, repository })
}

const CORE: &str = "core";
const COMMUNITY: &str = "https://github.com/hassio-addons/repository";

/// The table. Add-on names and layouts are those of the add-ons' own repositories, named in
/// `repository`; an add-on's identifier is `core` or the first eight hexadecimal digits of SHA-1
/// over its repository's address.
pub const TABLE: &[Known] = &[
    Known {
        name: "Mosquitto broker",
        images: &["eclipse-mosquitto", "mosquitto"],
        addon: addon(CORE, "mosquitto", CORE),
        mounts: &[("/mosquitto/data", "data")],
        exclude: &[],
    },
    Known {
        name: "Zigbee2MQTT",
        images: &["koenkk/zigbee2mqtt"],
        addon: addon(
            "45df7312",
            "zigbee2mqtt",
            "https://github.com/zigbee2mqtt/hassio-zigbee2mqtt",
        ),
        mounts: &[("/app/data", "config")],
        exclude: &["/app/data/log/**"],
    },
    Known {
        name: "Z-Wave JS UI",
        images: &["zwavejs/zwave-js-ui"],
        addon: addon("a0d7b954", "zwavejs2mqtt", COMMUNITY),
        mounts: &[("/usr/src/app/store", "data/store")],
        exclude: &["/usr/src/app/store/logs/**"],
    },
    Known {
        name: "Node-RED",
        images: &["nodered/node-red"],
        addon: addon("a0d7b954", "nodered", COMMUNITY),
        mounts: &[("/data", "config")],
        exclude: &["/data/node_modules/**"],
    },
    Known {
        name: "ESPHome",
        images: &["esphome/esphome"],
        addon: addon("5c53de3b", "esphome", "https://github.com/esphome/home-assistant-addon"),
        mounts: &[],
        exclude: &["/config/.esphome/build/**", "/config/.esphome/platformio/**"],
    },
    Known {
        name: "MariaDB",
        images: &["mariadb"],
        addon: addon(CORE, "mariadb", CORE),
        mounts: &[("/var/lib/mysql", "data/databases")],
        exclude: &[],
    },
    Known {
        name: "TimescaleDB",
        images: &["timescale/timescaledb", "timescale/timescaledb-ha"],
        addon: None,
        mounts: &[],
        exclude: &[],
    },
    Known { name: "PostgreSQL", images: &["postgres"], addon: None, mounts: &[], exclude: &[] },
    Known {
        name: "InfluxDB",
        images: &["influxdb"],
        addon: addon("a0d7b954", "influxdb", COMMUNITY),
        mounts: &[("/var/lib/influxdb", "data/influxdb")],
        exclude: &[],
    },
    Known {
        name: "Frigate",
        images: &["blakeblackshear/frigate"],
        addon: addon(
            "ccab4aaf",
            "frigate",
            "https://github.com/blakeblackshear/frigate-hass-addons",
        ),
        mounts: &[("/config", "config")],
        exclude: &["/media/frigate/**"],
    },
    Known {
        name: "Music Assistant",
        images: &["music-assistant/server"],
        addon: addon(
            "d5369777",
            "music_assistant",
            "https://github.com/music-assistant/home-assistant-addon",
        ),
        mounts: &[("/data", "data")],
        exclude: &["/data/cache.db", "/data/collage_images/**", "/data/.cache/**"],
    },
    Known {
        name: "Matter Server",
        images: &["matter-js/matterjs-server", "home-assistant-libs/python-matter-server"],
        addon: addon(CORE, "matter_server", CORE),
        mounts: &[("/data", "data")],
        exclude: &[],
    },
    Known {
        name: "OpenThread Border Router",
        images: &["openthread/border-router", "openthread/otbr", "ownbee/hass-otbr-docker"],
        addon: addon(CORE, "openthread_border_router", CORE),
        mounts: &[("/var/lib/thread", "data/thread"), ("/data/thread", "data/thread")],
        exclude: &[],
    },
    Known {
        name: "deCONZ",
        images: &["deconzcommunity/deconz"],
        addon: addon(CORE, "deconz", CORE),
        mounts: &[("/opt/deCONZ", "data/.local/share/dresden-elektronik/deCONZ")],
        exclude: &["/opt/deCONZ/otau/**"],
    },
    Known {
        name: "Vaultwarden",
        images: &["vaultwarden/server"],
        addon: addon("a0d7b954", "bitwarden", COMMUNITY),
        mounts: &[("/data", "data")],
        exclude: &[],
    },
    Known {
        name: "AppDaemon",
        images: &["acockburn/appdaemon"],
        addon: addon("a0d7b954", "appdaemon", COMMUNITY),
        mounts: &[("/conf", "config")],
        exclude: &[],
    },
    Known {
        name: "Grafana",
        images: &["grafana/grafana", "grafana/grafana-oss"],
        addon: addon("a0d7b954", "grafana", COMMUNITY),
        mounts: &[("/var/lib/grafana", "data")],
        exclude: &[],
    },
    Known {
        name: "Nginx Proxy Manager",
        images: &["jc21/nginx-proxy-manager"],
        addon: addon("a0d7b954", "nginxproxymanager", COMMUNITY),
        mounts: &[("/data", "config"), ("/etc/letsencrypt", "config/letsencrypt")],
        exclude: &["/data/logs/**"],
    },
    Known {
        name: "Uptime Kuma",
        images: &["louislam/uptime-kuma"],
        addon: addon("a0d7b954", "uptime-kuma", COMMUNITY),
        mounts: &[("/app/data", "data")],
        exclude: &[],
    },
    Known {
        name: "AdGuard Home",
        images: &["adguard/adguardhome"],
        addon: addon("a0d7b954", "adguard", COMMUNITY),
        mounts: &[("/opt/adguardhome/work", "data/adguard")],
        exclude: &["/opt/adguardhome/work/data/querylog.json*"],
    },
    Known {
        name: "EMQX",
        images: &["emqx/emqx", "emqx"],
        addon: addon("a0d7b954", "emqx", COMMUNITY),
        mounts: &[("/opt/emqx/data", "data")],
        exclude: &[],
    },
    Known {
        name: "Tailscale",
        images: &["tailscale/tailscale"],
        addon: addon("a0d7b954", "tailscale", COMMUNITY),
        mounts: &[("/var/lib/tailscale", "data")],
        exclude: &[],
    },
    Known {
        name: "Whisper",
        images: &["rhasspy/wyoming-whisper"],
        addon: addon(CORE, "whisper", CORE),
        mounts: &[("/data", "data")],
        exclude: &["/data/models*/**"],
    },
    Known {
        name: "Piper",
        images: &["rhasspy/wyoming-piper"],
        addon: addon(CORE, "piper", CORE),
        mounts: &[("/data", "data")],
        exclude: &["*.onnx", "*.onnx.json"],
    },
    Known {
        name: "openWakeWord",
        images: &["rhasspy/wyoming-openwakeword"],
        addon: addon(CORE, "openwakeword", CORE),
        mounts: &[("/data", "data")],
        exclude: &["*.tflite"],
    },
];
