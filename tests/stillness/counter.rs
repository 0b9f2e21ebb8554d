//! A number that is committed to MariaDB and then noted in Home Assistant's configuration: in
//! every backup both are the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::home::{Home, VERSION, bind, tool};
use crate::support::{Run, docker, wait_until};

const MARIADB: &str = "hearthkeep-lab/mariadb:11.8";
const PASSWORD: &str = "secret";

/// Counts as fast as it can: a number is noted as soon as its commit is acknowledged, or a little
/// later where it is told to `dawdle`. The note is one write in place, so that no hold ever meets
/// half of it.
const CLIENT: &str = r#"
coproc server { exec mariadb --host=127.0.0.1 --user=root --batch --skip-column-names --unbuffered t; }
for ((n = 1; ; n++)); do
    echo "UPDATE counter SET n = $n; SELECT $n;" >&${server[1]}
    read -r said <&${server[0]} || exit
    [ -z "$dawdle" ] || sleep "$dawdle"
    printf '%010d' "$said" 1<>/config/counter
done
"#;

/// Small files, since nothing but one row is in there.
const SMALL: [&str; 2] = ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"];

fn client(container: &str, statement: &str) -> Command {
    let mut command = Command::new("docker");
    let password = format!("MYSQL_PWD={PASSWORD}");
    command.args(["exec", "--env", &password, container, "mariadb", "--user=root", "--batch"]);
    command.args(["--skip-column-names", "--execute", statement]);
    command
}

fn says(container: &str, statement: &str) -> Option<String> {
    let run = Run::from(client(container, statement).output().expect("docker is installed"));
    (run.code == 0).then(|| run.stdout.trim().to_owned())
}

/// MariaDB, and what counts in it as the home's Home Assistant.
fn home(dawdle: &str) -> Home {
    let home = Home::empty("counter");
    let data = bind(&home.bench.folder("db"), "/var/lib/mysql");
    let variable = format!("MARIADB_ROOT_PASSWORD={PASSWORD}");
    let options = ["--network", "none", "--env", &variable, "--volume", &data];
    let db = home.run("db", &options, MARIADB, &SMALL);
    wait_until("MariaDB answers", || says(&db, "SELECT 1").is_some());
    let table = "CREATE DATABASE t; CREATE TABLE t.counter (n INT) ENGINE = InnoDB; \
                 INSERT INTO t.counter VALUES (0)";
    assert!(says(&db, table).is_some(), "the table cannot be made");

    home.write("config/.HA_VERSION", VERSION);
    let config = bind(&home.config(), "/config");
    let (network, password) = (format!("container:{db}"), format!("MYSQL_PWD={PASSWORD}"));
    // By another name, as by its own it would be taken for a database.
    let image = home.tag(MARIADB, &format!("{}-client:1", home.project));
    let role = ["--label", "hearthkeep.role=homeassistant", "--entrypoint", "bash"];
    let dawdle = format!("dawdle={dawdle}");
    let rest = ["--network", &network, "--env", &password, "--env", &dawdle, "--volume", &config];
    home.run("homeassistant", &[role.as_slice(), &rest].concat(), &image, &["-c", CLIENT]);
    wait_until("it counts", || home.read("config/counter").is_some_and(|it| it > many(10)));
    home
}

fn many(n: u32) -> String {
    format!("{n:010}")
}

/// Takes a part out of a backup, by no means of our own.
fn extract(backup: &Path, part: &str, folder: &Path) {
    let [backup, folder] = [backup, folder].map(|it| it.display().to_string());
    let member = format!("*{part}.tar.gz");
    let outer = ["--extract", "--file", &backup, "--directory", &folder, "--wildcards", &member];
    tool("tar", &outer);
    let inner = format!("{folder}/{part}.tar.gz");
    tool("tar", &["--extract", "--file", &inner, "--directory", &folder]);
}

fn find(folder: &Path, name: &str) -> PathBuf {
    let found = tool("find", &[folder.as_os_str(), "-name".as_ref(), name.as_ref()]);
    let found = String::from_utf8(found).expect("a plain path");
    found.lines().next().unwrap_or_else(|| panic!("{name} is not in the backup")).into()
}

/// What a server finds in the database that lies in a backup.
fn committed(home: &Home, folder: &Path) -> String {
    let data = find(folder, "ibdata1").parent().expect("it lies in a folder").to_owned();
    let data = bind(&data, "/var/lib/mysql");
    let options = ["--network", "none", "--label", "hearthkeep.enable=false", "--volume", &data];
    let server = home.run("restored", &options, MARIADB, &SMALL);
    wait_until("it has recovered", || says(&server, "SELECT 1").is_some());
    let n = says(&server, "SELECT LPAD(n, 10, '0') FROM t.counter").expect("it is there");
    docker(&["rm", "--force", "--volumes", &server]);
    n
}

#[test]
fn what_is_committed_and_what_is_noted_are_the_same_in_every_backup() {
    check("", 10);
}

#[test]
fn a_client_that_is_late_with_its_notes_is_waited_for() {
    check("0.03", 4);
}

fn check(dawdle: &str, n_backups: usize) {
    let _alone = crate::alone();
    let home = home(dawdle);
    let mut last = many(0);
    for n in 0..n_backups {
        let report = home.hearthkeep(&["--json", "backup"]).ends(0).json();
        let databases = report["databases"].to_string();
        assert!(databases.contains("MariaDB: locked over the hold"), "{databases}");
        let path = PathBuf::from(report["path"].as_str().expect("a path"));
        let folder = tempfile::tempdir().expect("a folder");
        extract(&path, "homeassistant", folder.path());
        extract(&path, "core_mariadb", folder.path());
        let noted = std::fs::read_to_string(find(folder.path(), "counter")).expect("it is text");
        assert_eq!(committed(&home, folder.path()), noted, "committed and noted, backup {n}");
        assert!(noted > last, "it counts on: {noted} after {last}");
        last = noted;
        std::fs::remove_file(path).expect("it is there");
    }
}
