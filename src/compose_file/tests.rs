use serde_json::json;

use super::*;
use crate::model::{Contents, Item};

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A broker with something of everything.
fn broker() -> (Recipe, BTreeMap<String, Confidential>) {
    let recipe = Recipe {
        container: "home_broker_1".to_owned(),
        service: "broker".to_owned(),
        runs: true,
        image: "mosquitto:2".to_owned(),
        digest: Some("mosquitto@sha256:00".to_owned()),
        settings: [("ports".to_owned(), json!(["22:22"])), ("privileged".to_owned(), json!(true))]
            .into(),
        mounts: [
            ("data", "/data", ""),
            ("./conf", "/conf", "ro"),
            ("", "/x", ""),
            ("/a:b", "/c", "ro"),
        ]
        .map(|(source, target, mode)| RecipeMount {
            source: source.to_owned(),
            target: target.into(),
            mode: mode.to_owned(),
        })
        .into(),
        networks: [("default".to_owned(), vec!["mqtt".to_owned()])].into(),
        depends_on: [("db".to_owned(), "service_healthy".to_owned())].into(),
        labels: [("hearthkeep.priority".to_owned(), "1".to_owned())].into(),
        variables: vec!["KEY".to_owned(), "TZ".to_owned()],
        more_labels: vec!["own".to_owned()],
        words: vec!["command".to_owned(), "healthcheck".to_owned()],
        health_times: [("interval".to_owned(), json!("5s"))].into(),
        ..Recipe::default()
    };
    let confidential = Confidential {
        environment: [("KEY".to_owned(), secret("a$b: \"c\"\n")), ("TZ".to_owned(), secret("UTC"))]
            .into(),
        labels: [("own".to_owned(), secret("yes"))].into(),
        words: [
            ("command".to_owned(), vec![secret("run"), secret("${X}")]),
            ("healthcheck".to_owned(), vec![secret("CMD"), secret("check")]),
        ]
        .into(),
    };
    let all = [(recipe.container.clone(), confidential)].into();
    (recipe, all)
}

/// Its database, which has a health check and nothing else of its own.
fn database() -> Recipe {
    Recipe {
        container: "db".to_owned(),
        service: "db".to_owned(),
        image: "db:1".to_owned(),
        variables: vec!["TZ".to_owned()],
        words: vec!["healthcheck".to_owned()],
        ..Recipe::default()
    }
}

#[test]
fn all_of_a_container_is_in_the_file() {
    let (recipe, all) = broker();
    let file = compose_file(&[recipe], Values::Known(&all));
    let wanted = "\
# Written by hearthkeep from a backup.
services:
  broker:
    image: mosquitto:2 # was mosquitto@sha256:00
    ports:
      - \"22:22\"
    privileged: true
    command:
      - run
      - \"$${X}\"
    healthcheck:
      test:
        - CMD
        - check
      interval: \"5s\"
    networks:
      default:
        aliases:
          - mqtt
    volumes:
      - data:/data
      - ./conf:/conf:ro
      - /x
      -
        type: bind
        source: /a:b
        target: /c
        read_only: true
    depends_on:
      db:
        condition: service_healthy
    environment:
      KEY: \"a$$b: \\\"c\\\"\\n\"
      TZ: \"UTC\"
    labels:
      hearthkeep.priority: \"1\"
      own: \"yes\"
volumes:
  data:
";
    assert_eq!(file.text.expose(), wanted);
    assert_eq!((file.to_set.len(), file.notes.len()), (0, 0), "{file:?}");
}

#[test]
fn what_is_not_known_is_asked_for_or_named() {
    let (recipe, _) = broker();
    let file = compose_file(&[recipe, database()], Values::Known(&BTreeMap::new()));
    let text = file.text.expose();
    for line in [
        "    command: \"${BROKER_COMMAND:?set it}\"\n",
        "      KEY: \"${KEY:?set it}\"\n",
        "      TZ: \"${BROKER_TZ:?set it}\"\n",
        "      TZ: \"${DB_TZ:?set it}\"\n",
        // Nothing would ever make it healthy.
        "    depends_on:\n      - db\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("healthcheck") && !text.contains("own:"), "{text}");
    assert_eq!(file.to_set, ["BROKER_COMMAND", "BROKER_TZ", "DB_TZ", "KEY"]);
    let notes = file.notes.join("\n");
    assert!(notes.contains("broker: not in the file: its health check; its labels own"), "{notes}");
    assert!(notes.contains("db: its image db:1 came from no registry"), "{notes}");
}

#[test]
fn what_is_hidden_is_not_seen() {
    let (recipe, _) = broker();
    let file = compose_file(&[recipe], Values::Hidden);
    assert!(
        file.text.expose().contains("      KEY: … # from the backup\n"),
        "{}",
        file.text.expose()
    );
    assert_eq!(file.to_set, [""; 0]);
}

#[test]
fn a_backup_without_recipes_gets_what_is_usual() {
    let items =
        ["homeassistant", "share", "core_mosquitto", "core_esphome", "a_b"].map(Item::parse);
    let version = Some("2026.2.3".to_owned());
    let contents =
        Contents { items: items.into(), homeassistant_version: version, ..Contents::default() };
    let (recipes, notes) = usual(&contents);
    let text = compose_file(&recipes, Values::Known(&BTreeMap::new())).text;
    for line in [
        "    image: ghcr.io/home-assistant/home-assistant:2026.2.3\n",
        "      - ./config:/config\n",
        "      - ./share:/share\n",
        "    network_mode: host\n",
        "    image: eclipse-mosquitto\n",
        "      - ./mosquitto/data:/mosquitto/data\n",
    ] {
        assert!(text.expose().contains(line), "{line}: {}", text.expose());
    }
    assert!(notes.iter().any(|it| it.starts_with("a_b is in the backup")), "{notes:?}");
}
