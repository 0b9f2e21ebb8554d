//! Which database an image is, as far as that changes how it is backed up.

/// A database server that is known by its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// MariaDB: its commits can be made to wait.
    MariaDb,
    /// MySQL: its tables can be locked for writing.
    MySql,
    /// PostgreSQL, whatever is built on it.
    PostgreSql,
    /// InfluxDB of any version.
    InfluxDb,
    /// Redis and what speaks like it.
    Redis,
    /// Mosquitto, which keeps what it knows in memory and writes it down when told to.
    Mosquitto,
}

/// Image names without registry, tag and digest.
const IMAGES: &[(Database, &[&str])] = &[
    (Database::MariaDb, &["mariadb", "alpine-mariadb", "mariadb-galera"]),
    (Database::MySql, &["mysql", "mysql-server", "percona", "percona-server"]),
    (
        Database::PostgreSql,
        &[
            "postgres",
            "postgresql",
            "timescaledb",
            "timescaledb-ha",
            "postgis",
            "pgvector",
            "pgvecto-rs",
        ],
    ),
    (Database::InfluxDb, &["influxdb", "influxdb3-core", "influxdb3-enterprise"]),
    (Database::Redis, &["redis", "redis-stack", "redis-stack-server", "valkey", "keydb"]),
    (Database::Mosquitto, &["eclipse-mosquitto", "mosquitto"]),
];

impl Database {
    /// The database that an image is, whatever its registry, publisher, tag and digest. Nothing is
    /// said of any other image: what files of SQLite it has, the capture finds by itself.
    pub fn by_image(image: &str) -> Option<Database> {
        let name = super::repository(image).rsplit('/').next().unwrap_or_default();
        IMAGES.iter().find(|(_, names)| names.contains(&name)).map(|(database, _)| *database)
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Database::MariaDb => "MariaDB",
            Database::MySql => "MySQL",
            Database::PostgreSql => "PostgreSQL",
            Database::InfluxDb => "InfluxDB",
            Database::Redis => "Redis",
            Database::Mosquitto => "Mosquitto",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_whatever_their_publisher() {
        use Database::{InfluxDb, MariaDb, Mosquitto, MySql, PostgreSql, Redis};
        for (image, wanted) in [
            ("mariadb:11.8", Some(MariaDb)),
            ("lscr.io/linuxserver/mariadb:latest", Some(MariaDb)),
            ("mysql:8.4@sha256:00ff", Some(MySql)),
            ("postgres", Some(PostgreSql)),
            ("timescale/timescaledb-ha:pg17", Some(PostgreSql)),
            ("registry:5000/postgis/postgis:17-3.5", Some(PostgreSql)),
            ("influxdb:2", Some(InfluxDb)),
            ("docker.io/valkey/valkey:8", Some(Redis)),
            ("eclipse-mosquitto:2", Some(Mosquitto)),
            ("oliver006/redis_exporter", None),
            ("prom/mysqld-exporter", None),
            ("koenkk/zigbee2mqtt", None),
        ] {
            assert_eq!(Database::by_image(image), wanted, "{image}");
        }
    }
}
