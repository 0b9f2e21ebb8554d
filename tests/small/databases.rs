//! Databases over the hold, on real ones.

use std::process::{Child, Command, Stdio};

use hearthkeep::companions::Database;
use hearthkeep::engine::Engine;
use hearthkeep::plan::Served;
use hearthkeep::quiesce::databases::{self, Consistency, Locked};
use tokio_util::sync::CancellationToken;

use crate::support::home::Home;
use crate::support::{docker, on_engine, wait_until};

const MARIADB: &str = "hearthkeep-lab/mariadb:11.8";
const MOSQUITTO: &str = "hearthkeep-lab/mosquitto:2";
const PASSWORD: &str = "it's \"a\" $secret";

/// No network is needed, and no other test's home takes what is known by its image for its own.
const OPTIONS: [&str; 4] = ["--network", "none", "--label", "hearthkeep.enable=false"];

/// MariaDB with an empty table, and who may look into it.
struct Server {
    home: Home,
    name: String,
    password: &'static str,
}

impl Server {
    fn start(what: &str) -> Server {
        let home = Home::empty(what);
        let name = run_mariadb(&home, "db", &format!("MARIADB_ROOT_PASSWORD={PASSWORD}"));
        let server = Server { home, name, password: PASSWORD };
        wait_until("MariaDB answers", || server.client("SELECT 1").output().is_ok_and(succeeded));
        server.says("CREATE DATABASE t; CREATE TABLE t.counter (n INT) ENGINE = InnoDB");
        server
    }

    fn client(&self, statement: &str) -> Command {
        let mut command = Command::new("docker");
        let password = format!("MYSQL_PWD={}", self.password);
        command.args(["exec", "--env", &password, &self.name, "mariadb", "--user=root"]);
        command.args(["--batch", "--skip-column-names", "--execute", statement]);
        command
    }

    fn says(&self, statement: &str) -> String {
        let output = self.client(statement).output().expect("docker is installed");
        assert!(output.status.success(), "{statement}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Begins to commit something, and waits until that waits for the lock.
    fn commit_that_waits(&self) -> Child {
        let mut client = self.client("INSERT INTO t.counter VALUES (1)");
        let child = client.stdout(Stdio::null()).spawn().expect("docker is installed");
        let waiting = "SELECT COUNT(*) FROM information_schema.processlist \
                       WHERE info LIKE 'INSERT%' AND state LIKE 'Waiting for backup lock%'";
        wait_until("the commit waits", || self.says(waiting) == "1");
        child
    }

    fn served(&self) -> Vec<Served> {
        vec![served(&self.home, "db", Database::MariaDb)]
    }
}

fn run_mariadb(home: &Home, service: &str, variable: &str) -> String {
    let data = format!("{}:/var/lib/mysql", home.bench.folder("db").display());
    let options = [OPTIONS.as_slice(), &["--env", variable, "--volume", &data]].concat();
    home.run(service, &options, MARIADB, &[])
}

#[expect(clippy::needless_pass_by_value, reason = "a closure's last word")]
fn succeeded(output: std::process::Output) -> bool {
    output.status.success()
}

fn served(home: &Home, service: &str, database: Database) -> Served {
    let id = home.inspect(service, "{{.Id}}");
    Served { id, name: home.name(service), database }
}

async fn lock(engine: &Engine, served: &[Served]) -> Locked {
    databases::lock(engine, served, &CancellationToken::new()).await
}

fn words(given: &[Consistency]) -> Vec<&str> {
    given.iter().map(|it| it.consistency.as_str()).collect()
}

#[test]
fn a_lock_lets_no_commit_through_until_it_is_given_up() {
    let server = Server::start("db-lock");
    on_engine(async |engine| {
        let locked = lock(&engine, &server.served()).await;
        let mut commit = server.commit_that_waits();
        assert_eq!(server.says("SELECT COUNT(*) FROM t.counter"), "0");
        // The client that has the lock is frozen with its server.
        engine.pause(&server.name).await.expect("it runs");
        engine.unpause(&server.name).await.expect("it is paused");
        assert_eq!(server.says("SELECT COUNT(*) FROM t.counter"), "0");
        let given = databases::unlock(locked).await;
        assert_eq!(words(&given), ["MariaDB: locked over the hold"], "{given:?}");
        assert!(commit.wait().expect("it ends").success());
    });
    assert_eq!(server.says("SELECT COUNT(*) FROM t.counter"), "1");
    let processes = "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Sleep'";
    assert_eq!(server.says(processes), "0", "the client has ended");
}

#[test]
fn a_lock_goes_with_whoever_has_it() {
    let server = Server::start("db-killed");
    on_engine(async |engine| {
        // As where this process is killed: its sockets close.
        let locked = lock(&engine, &server.served()).await;
        let mut commit = server.commit_that_waits();
        drop(locked);
        assert!(commit.wait().expect("it ends").success());

        let locked = lock(&engine, &server.served()).await;
        let mut commit = server.commit_that_waits();
        let idle = "SELECT id FROM information_schema.processlist WHERE command = 'Sleep'";
        server.says(&format!("KILL CONNECTION {}", server.says(idle)));
        assert!(commit.wait().expect("it ends").success());
        let given = databases::unlock(locked).await;
        assert_eq!(words(&given), ["MariaDB: as after a power cut, in one instant"], "{given:?}");
        assert!(given[0].reason.is_some(), "{given:?}");
    });
    assert_eq!(server.says("SELECT COUNT(*) FROM t.counter"), "2");
}

#[test]
fn a_password_in_a_file_is_found() {
    let mut server = Server::start("db-file");
    docker(&["stop", &server.name]);
    server.home.write("db/password", &format!("{PASSWORD}\n"));
    let variable = "MARIADB_ROOT_PASSWORD_FILE=/var/lib/mysql/password";
    server.name = run_mariadb(&server.home, "db2", variable);
    wait_until("MariaDB answers", || server.client("SELECT 1").output().is_ok_and(succeeded));
    let given = on_engine(async |engine| {
        let served = [served(&server.home, "db2", Database::MariaDb)];
        databases::unlock(lock(&engine, &served).await).await
    });
    assert_eq!(words(&given), ["MariaDB: locked over the hold"], "{given:?}");
}

#[test]
fn without_a_way_in_nothing_is_locked_and_nothing_fails() {
    let mut server = Server::start("db-closed");
    server.says("ALTER USER root@localhost IDENTIFIED BY 'other'");
    server.password = "other";
    let without_client = server.home.run("web", &OPTIONS, crate::support::home::IMAGE, &[]);
    on_engine(async |engine| {
        let mut all = server.served();
        all.push(served(&server.home, "web", Database::MySql));
        all.push(Served { id: "0".repeat(64), ..all[0].clone() });
        let locked = lock(&engine, &all).await;
        server.says("INSERT INTO t.counter VALUES (1)");
        let given = databases::unlock(locked).await;
        let crash = "MariaDB: as after a power cut, in one instant";
        let mysql = "MySQL: as after a power cut, in one instant";
        assert_eq!(words(&given), [crash, mysql, crash], "{given:?}");
        let reason = given[0].reason.as_deref().expect("there is one");
        assert!(reason.contains("Access denied"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
        assert_eq!(given[1].container, without_client);
    });
}

#[test]
fn a_lock_that_others_have_is_not_waited_for_long() {
    let server = Server::start("db-busy");
    on_engine(async |engine| {
        let first = lock(&engine, &server.served()).await;
        let given = databases::unlock(lock(&engine, &server.served()).await).await;
        assert_eq!(words(&given), ["MariaDB: as after a power cut, in one instant"], "{given:?}");
        let given = databases::unlock(first).await;
        assert_eq!(words(&given), ["MariaDB: locked over the hold"], "{given:?}");
    });
    server.says("INSERT INTO t.counter VALUES (1)");
}

#[test]
fn mosquitto_writes_down_what_it_knows() {
    let home = Home::empty("db-mosquitto");
    let script = "printf '%s\\n' 'listener 1883' 'allow_anonymous true' 'persistence true' \
                  'autosave_interval 100000' 'persistence_location /data/' >/tmp/conf; \
                  chown mosquitto /data; mosquitto -c /tmp/conf";
    // The shell stays process 1, which is not to be told anything.
    let script = format!("{script}; exit 1");
    let data = format!("{}:/data", home.bench.folder("broker").display());
    let policy = ["--restart", "always", "--volume", data.as_str()];
    let options = [OPTIONS.as_slice(), &policy].concat();
    let broker = home.run("broker", &options, MOSQUITTO, &["/bin/sh", "-c", &script]);
    let publish = ["exec", &broker, "mosquitto_pub", "-r", "-t", "house", "-m", "retained words"];
    wait_until("the broker answers", || {
        Command::new("docker").args(publish).output().is_ok_and(succeeded)
    });
    let saved = || {
        let bytes = std::fs::read(home.bench.path().join("broker/mosquitto.db"));
        bytes.is_ok_and(|it| String::from_utf8_lossy(&it).contains("retained words"))
    };
    assert!(!saved(), "it saves by itself");
    on_engine(async |engine| {
        let served = [served(&home, "broker", Database::Mosquitto)];
        let given = databases::unlock(lock(&engine, &served).await).await;
        assert_eq!(words(&given), ["Mosquitto: saved right before the hold"], "{given:?}");
    });
    assert!(saved(), "it was told to");
    // The engine takes no offence: a broker that crashes is started again.
    docker(&["exec", &broker, "/bin/sh", "-c", "kill -KILL $(pidof mosquitto)"]);
    wait_until("it is started again", || home.inspect("broker", "{{.RestartCount}}") == "1");
}
