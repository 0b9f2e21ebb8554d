//! YAML as Compose reads it: text that means the same to YAML 1.1 and 1.2, and in which a dollar
//! is a dollar.

use serde_json::Value;

/// A piece of YAML.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Goes on the line as it is.
    Line(String),
    /// Keys in this order.
    Map(Vec<(String, Node)>),
    /// Items in this order.
    List(Vec<Node>),
}

impl Node {
    /// A text.
    pub(super) fn text(text: &str) -> Node {
        Node::Line(scalar(&text.replace('$', "$$")))
    }

    /// Texts.
    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Node {
        Node::List(texts.into_iter().map(Node::text).collect())
    }

    /// A map that keeps its order.
    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Node {
        Node::Map(entries.into_iter().map(|(key, it)| (key.into(), it)).collect())
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Node::Line(_) => false,
            Node::Map(entries) => entries.is_empty(),
            Node::List(items) => items.is_empty(),
        }
    }

    /// Writes it, each line behind so many spaces.
    pub(super) fn write(&self, indent: usize, out: &mut String) {
        let space = " ".repeat(indent);
        match self {
            Node::Line(line) => *out += &format!("{space}{line}\n"),
            Node::Map(entries) => {
                for (key, node) in entries {
                    *out += &format!("{space}{}:", scalar(key));
                    node.write_behind(indent, out);
                }
            }
            Node::List(items) => {
                for item in items {
                    *out += &format!("{space}-");
                    item.write_behind(indent, out);
                }
            }
        }
    }

    /// The same behind a key or a dash.
    fn write_behind(&self, indent: usize, out: &mut String) {
        match self {
            Node::Line(line) if line.is_empty() => *out += "\n",
            Node::Line(line) => *out += &format!(" {line}\n"),
            Node::Map(entries) if entries.is_empty() => *out += " {}\n",
            Node::List(items) if items.is_empty() => *out += " []\n",
            _ => {
                *out += "\n";
                self.write(indent + 2, out);
            }
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Node {
        match value {
            Value::String(text) => Node::text(text),
            Value::Array(items) => Node::List(items.iter().map(Node::from).collect()),
            Value::Object(entries) => {
                Node::map(entries.iter().map(|(key, it)| (key.as_str(), Node::from(it))))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Node::Line(value.to_string()),
        }
    }
}

/// A text on one line, in quotes where it could be taken for anything else.
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            _ if is_printable(c) => quoted.push(c),
            _ => quoted += &format!("\\U{:08x}", u32::from(c)),
        }
    }
    quoted + "\""
}

/// Whether a text is a text without quotes, to every reader. Most that need none by the letter get
/// some all the same: a port as `22:22` is a number to base 60, `no` is false.
fn is_plain(text: &str) -> bool {
    const TAKEN: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        || text.starts_with("./");
    let goes_on_well = text.chars().all(|c| c.is_ascii_alphanumeric() || "._/@-:+=".contains(c));
    begins_well
        && goes_on_well
        && !text.ends_with(':')
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether every reader takes a character as it is.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        // Ends of lines to some, and a mark of the order of bytes.
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => c >= '\u{a0}',
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_could_be_anything_else_is_quoted() {
        let plain = ["a", "./config:/config", "ghcr.io/a/b:1.2", "/x", "a=b", "unless-stopped"];
        for it in plain {
            assert_eq!(scalar(it), it);
        }
        let cases = [
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("Off", "\"Off\""),
            ("null", "\"null\""),
            ("~", "\"~\""),
            ("0123", "\"0123\""),
            ("22:22", "\"22:22\""),
            ("1e3", "\"1e3\""),
            (".inf", "\".inf\""),
            ("a: b", "\"a: b\""),
            ("a:", "\"a:\""),
            ("a #b", "\"a #b\""),
            ("- a", "\"- a\""),
            ("&a", "\"&a\""),
            ("a\nb\t\"\\", "\"a\\nb\\t\\\"\\\\\""),
            ("ä\u{7f}\u{85}\u{2028}\r", "\"ä\\U0000007f\\U00000085\\U00002028\\U0000000d\""),
        ];
        for (text, wanted) in cases {
            assert_eq!(scalar(text), wanted);
        }
    }

    #[test]
    fn a_dollar_is_a_dollar() {
        assert_eq!(Node::text("$A${B}"), Node::Line("\"$$A$${B}\"".to_owned()));
    }

    #[test]
    fn maps_and_lists_lie_in_each_other() {
        let value = json!({ "a": { "b": [true, 1, "x"], "c": {} }, "d": [] });
        let mut text = String::new();
        Node::from(&value).write(0, &mut text);
        assert_eq!(text, "a:\n  b:\n    - true\n    - 1\n    - x\n  c: {}\nd: []\n");
    }
}
