//! On which port Home Assistant will answer, by its own files.

use serde_json::Value;

/// Home Assistant's port where nothing names another.
const PORT: u16 = 8123;

/// Home Assistant's configuration, below its folder.
pub const CONFIGURATION: &str = "configuration.yaml";

/// Where it keeps how it speaks HTTP, below its folder.
pub const STORED: &str = ".storage/http";

/// The port that Home Assistant will use, by its [`CONFIGURATION`] and what is [`STORED`];
/// empty where there is none. A newer one takes `http:` of the configuration over into its store,
/// and no longer looks at it then. An older one notes in its store what it last used, which helps
/// where the configuration names a secret or includes another file.
pub fn port(configuration: &str, stored: &str) -> u16 {
    let stored: Value = serde_json::from_str(stored).unwrap_or_default();
    let data = &stored["data"];
    let of = |it: &Value| it["server_port"].as_u64().and_then(|it| u16::try_from(it).ok());
    if data["yaml_migration_done"] == true {
        // What waits for its trial is used, unless it has failed one.
        let pending = Some(&data["pending"]).filter(|it| it["error"].is_null());
        return pending.and_then(of).or_else(|| of(&data["stable"])).unwrap_or(PORT);
    }
    in_configuration(configuration).or_else(|| of(data)).unwrap_or(PORT)
}

/// `server_port` in the section `http`, where it stands there plainly.
fn in_configuration(configuration: &str) -> Option<u16> {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    configuration
        .lines()
        .filter(is_content)
        .skip_while(|line| line.split('#').next().unwrap_or_default().trim_end() != "http:")
        .skip(1)
        .take_while(|line| line.starts_with([' ', '\t']))
        .find_map(|line| {
            line.trim().strip_prefix("server_port:")?.split('#').next()?.trim().parse().ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_port_where_it_stands_plainly() {
        let check = |text: &str, wanted: u16| assert_eq!(port(text, ""), wanted, "{text}");
        check("", 8123);
        check("http:\n", 8123);
        check("http: # web\n  # a comment\n  server_port: 80 # web\n", 80);
        check("mqtt:\n  server_port: 1\nhttp:\n  use_x: y\n\n  server_port: 443\nx:\n", 443);
        check("http:\nother:\n  server_port: 1\n", 8123);
        check("http:\n  server_port: !secret port\n", 8123);
    }

    #[test]
    fn the_store_counts_as_home_assistant_counts_it() {
        let older = r#"{"version":1,"data":{"server_port":8124}}"#;
        let newer = |pending: &str, done: bool| {
            format!(
                r#"{{"version":3,"data":{{"stable":{{"server_port":8125,"error":null}},"pending":{pending},"yaml_migration_done":{done}}}}}"#
            )
        };
        let plain = "http:\n  server_port: 80\n";
        for (configuration, stored, wanted) in [
            ("http:\n  server_port: !secret port\n", older.to_owned(), 8124),
            ("http: !include http.yaml\n", older.to_owned(), 8124),
            (plain, older.to_owned(), 80),
            (plain, newer("null", true), 8125),
            (plain, newer("null", false), 80),
            (plain, newer(r#"{"server_port":8126,"error":null}"#, true), 8126),
            (plain, newer(r#"{"server_port":8126,"error":"not_promoted"}"#, true), 8125),
            (plain, "{".to_owned(), 80),
        ] {
            assert_eq!(port(configuration, &stored), wanted, "{configuration} {stored}");
        }
    }
}
