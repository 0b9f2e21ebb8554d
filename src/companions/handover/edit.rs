//! Changes of text that leave every other byte as it is.

use std::ops::Range;

/// What the Supervisor's own name server puts behind its names.
const DOMAIN: &str = ".local.hass.io";

/// Keys of Home Assistant's stores whose values are no addresses, though they may look so.
const NO_ADDRESS: [&str; 4] = ["title", "unique_id", "entry_id", "name"];

/// Whether a file of this path is JSON; the others are YAML.
pub fn is_json(path: &str) -> bool {
    path.starts_with("data/.storage/") || path.ends_with(".json")
}

/// The text with one host name for another, wherever it stands as a whole word: in values of JSON,
/// and in lines of YAML that are no comments.
pub fn rename_hosts(text: &str, is_json: bool, from: &str, to: &str) -> String {
    replaced(text, &hosts(text, is_json, from), to)
}

/// Where a host name stands as a whole word.
pub(super) fn hosts(text: &str, is_json: bool, host: &str) -> Vec<Range<usize>> {
    let pieces = if is_json { addresses(text) } else { lines(text) };
    pieces
        .into_iter()
        .flat_map(|piece| {
            words(&text[piece.clone()], host).into_iter().map(move |it| (piece.start, it))
        })
        .map(|(start, it)| start + it.start..start + it.end)
        .collect()
}

/// The text of Home Assistant's integrations in which none asks for an add-on to be run.
pub fn without_addons(text: &str) -> String {
    let all = values(text).into_iter().filter(|it| &text[it.key.clone()] == "use_addon");
    let asks = all.map(|it| it.value).filter(|it| &text[it.clone()] == "true");
    replaced(text, &asks.collect::<Vec<_>>(), "false")
}

fn replaced(text: &str, ranges: &[Range<usize>], with: &str) -> String {
    let mut new = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        new.push_str(&text[end..range.start]);
        new.push_str(with);
        end = range.end;
    }
    new + &text[end..]
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut all = Vec::new();
    for line in text.split_inclusive('\n') {
        if !line.trim_start().starts_with('#') {
            all.push(at..at + line.len());
        }
        at += line.len();
    }
    all
}

fn addresses(text: &str) -> Vec<Range<usize>> {
    let is_address = |it: &Pair| !NO_ADDRESS.contains(&&text[it.key.clone()]);
    values(text).into_iter().filter(is_address).map(|it| it.value).collect()
}

/// A value of JSON that is no object or list, with the key that stands last before it; both without
/// quotation marks.
struct Pair {
    key: Range<usize>,
    value: Range<usize>,
}

/// The values in the order of the text. Text that is no JSON gives some or none; no byte is out of
/// place by that.
fn values(text: &str) -> Vec<Pair> {
    let bytes = text.as_bytes();
    let (mut all, mut key, mut at) = (Vec::new(), 0..0, 0);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let inner = start + 1..at.min(bytes.len());
                at += 1;
                let is_key = bytes[at.min(bytes.len())..].trim_ascii_start().first() == Some(&b':');
                match is_key {
                    true => key = inner,
                    false => all.push(Pair { key: key.clone(), value: inner }),
                }
            }
            it if it.is_ascii_alphanumeric() => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.') {
                    at += 1;
                }
                all.push(Pair { key: key.clone(), value: start..at });
            }
            _ => at += 1,
        }
    }
    // A mark that is cut off in the middle of a character is no JSON.
    all.retain(|it| text.get(it.value.clone()).is_some() && text.get(it.key.clone()).is_some());
    all
}

/// Where a host name is a whole word, the Supervisor's domain included.
fn words(text: &str, host: &str) -> Vec<Range<usize>> {
    let is_part = |it: char| it.is_alphanumeric() || it == '-' || it == '_';
    let mut all = Vec::new();
    // A backup may call an add-on anything, nothing at all included.
    let found = text.match_indices(host).filter(|_| !host.is_empty());
    for (start, _) in found {
        let (before, after) = (&text[..start], &text[start + host.len()..]);
        let (after, length) = match after.strip_prefix(DOMAIN) {
            Some(after) => (after, host.len() + DOMAIN.len()),
            None => (after, host.len()),
        };
        let mut next = after.chars();
        let goes_on = match next.next() {
            Some('.') => next.next().is_some_and(is_part),
            Some(it) => is_part(it),
            None => false,
        };
        if !goes_on && !before.ends_with(|it| is_part(it) || it == '.') {
            all.push(start..start + length);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_replaced_only_as_a_whole_word() {
        let check = |text: &str, wanted: &str| {
            assert_eq!(rename_hosts(text, false, "core-mariadb", "db"), wanted, "{text}");
        };
        check("db_url: mysql://u:p@core-mariadb/ha", "db_url: mysql://u:p@db/ha");
        check("host: core-mariadb\n", "host: db\n");
        check("host: core-mariadb.local.hass.io:3306\n", "host: db:3306\n");
        check("It is core-mariadb.", "It is db.");
        for same in [
            "host: core-mariadb2",
            "host: my-core-mariadb",
            "host: core-mariadb.example.org",
            "host: x.core-mariadb",
            "  # host: core-mariadb\n",
            "äcore-mariadb",
            "",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn json_keeps_every_other_byte() {
        let text = r#"{ "data":{"entries": [
  {"domain":"mqtt","title":"core-mosquitto","data":{"broker":"core-mosquitto","port":1883,"x\"y":"a\"core-mosquitto\""}},
  {"domain": "zwave_js", "data": {"url":"ws:\/\/core-mosquitto:3000","use_addon" : true, "use": true, "core-mosquitto": 1}}
]}}"#;
        let wanted = text
            .replace(r#""broker":"core-mosquitto""#, r#""broker":"broker""#)
            .replace(r#"\"core-mosquitto\""#, r#"\"broker\""#)
            .replace(r"\/core-mosquitto:3000", r"\/broker:3000");
        assert_eq!(rename_hosts(text, true, "core-mosquitto", "broker"), wanted);
        assert_eq!(
            without_addons(text),
            text.replace(r#""use_addon" : true"#, r#""use_addon" : false"#)
        );
    }

    #[test]
    fn what_is_no_json_harms_nobody() {
        for text in ["\"", "\"\\", "{\"a\":\"ä\\", "\\\"ä\"x", "{\"use_addon\": tru", "[[[[\"é"]
        {
            assert_eq!(without_addons(text), text);
            assert_eq!(rename_hosts(text, true, "zzz", "y"), text);
            assert_eq!(rename_hosts(text, false, "", "y"), text);
        }
    }
}
