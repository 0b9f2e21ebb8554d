//! The labels `hearthkeep.*` of a container, as written → as meant.

use std::time::Duration;

use super::{Hook, How, OnError, Refused};
use crate::model::{Container, JOB_LABEL, STATE_LABEL};
use crate::nearest::nearest;

/// How long a hook may take that does not say: long enough for a dump of a large database.
const HOOK_TIMEOUT: Duration = Duration::from_mins(5);

/// What a container is to the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    HomeAssistant,
    Companion,
}

/// The labels of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) slug: Option<String>,
    pub(super) hold: Option<How>,
    pub(super) stop_timeout: Option<Duration>,
    pub(super) exclude: Vec<String>,
    pub(super) boot: Option<bool>,
    pub(super) before: Option<Hook>,
    pub(super) after: Option<Hook>,
}

/// Begins the names of all of them.
const PREFIX: &str = "hearthkeep.";

/// Every label that there is.
const KEYS: [&str; 20] = [
    ENABLE,
    ROLE,
    SLUG,
    "hearthkeep.port",
    "hearthkeep.hold",
    "hearthkeep.stop-timeout",
    PRIORITY,
    "hearthkeep.boot",
    COPY,
    JOB_LABEL,
    STATE_LABEL,
    "hearthkeep.exclude",
    BEFORE.command,
    BEFORE.user,
    BEFORE.timeout,
    BEFORE.on_error,
    AFTER.command,
    AFTER.user,
    AFTER.timeout,
    AFTER.on_error,
];

const ENABLE: &str = "hearthkeep.enable";
const ROLE: &str = "hearthkeep.role";
const SLUG: &str = "hearthkeep.slug";

/// What the copies of a boot test carry, which are of no home.
const COPY: &str = "hearthkeep.boot-test";

/// Refuses labels that nobody knows, and those that contradict each other.
pub(super) fn check(container: &Container) -> Result<(), Refused> {
    let (enable, role) = belonging(container)?;
    let ours = || KEYS.iter().map(|it| &it[PREFIX.len()..]);
    for key in container.labels.keys() {
        let Some(word) = key.strip_prefix(PREFIX).filter(|_| !KEYS.contains(&key.as_str())) else {
            continue;
        };
        let advice = match nearest(word, ours()) {
            Some(meant) => format!("there is no such label, probably {PREFIX}{meant}"),
            None => "there is no such label".to_owned(),
        };
        return Err(bad(container, key, advice));
    }
    if role.is_some() && enable == Some(false) {
        return Err(bad(container, ROLE, format!("contradicts {ENABLE}=false: take one away")));
    }
    if role == Some(Role::HomeAssistant) && container.label(SLUG).is_some() {
        let advice = format!("contradicts {ROLE}=homeassistant, whose part has a name of its own");
        return Err(bad(container, SLUG, advice));
    }
    Ok(())
}

/// Refuses a slug that two containers have.
pub(super) fn check_slugs(containers: &[Container]) -> Result<(), Refused> {
    for (n, container) in containers.iter().enumerate() {
        let Some(slug) = container.label(SLUG) else { continue };
        let before = containers[..n].iter().find(|it| it.label(SLUG) == Some(slug));
        if let Some(other) = before {
            return Err(bad(container, SLUG, format!("is the slug of {} as well", other.name)));
        }
    }
    Ok(())
}

fn bad(container: &Container, key: &str, wanted: String) -> Refused {
    Refused::BadLabel {
        container: container.name.clone(),
        label: key.to_owned(),
        value: container.label(key).unwrap_or_default().to_owned(),
        wanted,
    }
}

/// Whether a container says that it belongs to a home, and as what: `enable` and `role`.
pub(super) fn belonging(container: &Container) -> Result<(Option<bool>, Option<Role>), Refused> {
    let label = |key: &'static str| Label { container, key };
    let enable = label(ENABLE).parse("true or false", |it| it.parse().ok())?;
    let role = label(ROLE).parse("homeassistant or companion", |it| match it {
        "homeassistant" => Some(Role::HomeAssistant),
        "companion" => Some(Role::Companion),
        _ => None,
    })?;
    Ok((enable, role))
}

/// The label by which a person orders what is not otherwise related.
const PRIORITY: &str = "hearthkeep.priority";

/// The priority of a container: the higher, the later it is held and the earlier it starts again.
/// What is no number is refused by [`read`], and none here.
pub(super) fn priority(container: &Container) -> i32 {
    container.label(PRIORITY).and_then(|it| it.trim().parse().ok()).unwrap_or(0)
}

/// The port on which Home Assistant answers, where its configuration cannot tell.
pub(super) fn port(container: &Container) -> Result<Option<u16>, Refused> {
    let label = Label { container, key: "hearthkeep.port" };
    label.parse("a port, 1 to 65535", |it| it.parse().ok().filter(|it| *it > 0))
}

pub(super) fn read(container: &Container) -> Result<Labels, Refused> {
    check(container)?;
    let label = |key: &'static str| Label { container, key };
    label(PRIORITY).parse("a whole number", |it| it.parse::<i32>().ok())?;
    Ok(Labels {
        slug: label(SLUG).parse("letters, digits, - and _", |it| {
            let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (!it.is_empty() && it.chars().all(sound)).then(|| it.to_owned())
        })?,
        hold: label("hearthkeep.hold").parse("pause, stop or none", |it| match it {
            "pause" => Some(How::Pause),
            "stop" => Some(How::Stop),
            "none" => Some(How::None),
            _ => None,
        })?,
        stop_timeout: label("hearthkeep.stop-timeout")
            .parse("a number of seconds", |it| it.parse().ok().map(Duration::from_secs))?,
        exclude: container
            .label("hearthkeep.exclude")
            .map(|it| it.split(',').map(|glob| glob.trim().to_owned()).collect())
            .unwrap_or_default(),
        boot: label("hearthkeep.boot").parse("true or false", |it| it.parse().ok())?,
        before: hook(container, &BEFORE)?,
        after: hook(container, &AFTER)?,
    })
}

/// The keys of a hook: its command, and what may stand beside that.
struct HookKeys {
    command: &'static str,
    user: &'static str,
    timeout: &'static str,
    on_error: &'static str,
}

const BEFORE: HookKeys = HookKeys {
    command: "hearthkeep.before",
    user: "hearthkeep.before.user",
    timeout: "hearthkeep.before.timeout",
    on_error: "hearthkeep.before.on-error",
};

const AFTER: HookKeys = HookKeys {
    command: "hearthkeep.after",
    user: "hearthkeep.after.user",
    timeout: "hearthkeep.after.timeout",
    on_error: "hearthkeep.after.on-error",
};

fn hook(container: &Container, keys: &HookKeys) -> Result<Option<Hook>, Refused> {
    let label = |key: &'static str| Label { container, key };
    let said = |it: &str| (!it.is_empty()).then(|| it.to_owned());
    let command = label(keys.command).parse("a command", said)?;
    let user = label(keys.user).parse("a user", said)?;
    let timeout = label(keys.timeout).parse("a number of seconds, at least 1", |it| {
        it.parse().ok().filter(|it| *it > 0).map(Duration::from_secs)
    })?;
    let on_error = label(keys.on_error).parse("fail or continue", |it| match it {
        "fail" => Some(OnError::Fail),
        "continue" => Some(OnError::Continue),
        _ => None,
    })?;
    let Some(command) = command else {
        // Whoever wrote one of these believes that a command runs.
        for key in [keys.user, keys.timeout, keys.on_error] {
            label(key).parse(&format!("beside {}", keys.command), |_| None::<()>)?;
        }
        return Ok(None);
    };
    Ok(Some(Hook {
        command,
        user,
        timeout: timeout.unwrap_or(HOOK_TIMEOUT),
        on_error: on_error.unwrap_or_default(),
    }))
}

struct Label<'a> {
    container: &'a Container,
    key: &'static str,
}

impl Label<'_> {
    fn parse<T>(
        &self,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refused> {
        debug_assert!(KEYS.contains(&self.key), "{} would be refused as unknown", self.key);
        let Some(value) = self.container.label(self.key) else { return Ok(None) };
        match read(value.trim()) {
            Some(meant) => Ok(Some(meant)),
            None => Err(bad(self.container, self.key, format!("must be {wanted}"))),
        }
    }
}
