//! JSON of strangers: read as home-assistant/supervisor would take it, within bounds.
//!
//! A key may stand twice, the last one counts; `serde` alone would refuse that. So values are
//! built first, of the keys that are asked for and no more than any backup has, and then read.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Values in one file. A home with a hundred add-ons has some thousands; each takes some hundred
/// bytes of memory.
const MAX_VALUES: u32 = 100_000;

const MAX_MESSAGE_CHARS: usize = 200;

/// The object in a text with these of its keys.
pub(super) fn object(text: &str, keys: &[&str]) -> serde_json::Result<Value> {
    let left = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = deserializer.deserialize_map(Builder { left: &left, keys: Some(keys) })?;
    deserializer.end()?;
    Ok(object)
}

/// An error whose message is a line that can be read: those of `serde` hold the whole value.
pub(super) fn brief(err: serde_json::Error) -> serde_json::Error {
    let message = err.to_string();
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => serde_json::Error::custom(format!("{} …", &message[..end])),
        None => err,
    }
}

/// A text, or a number as one: YAML makes one of the version `1.0`.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(D::Error::custom("a version is no text")),
    }
}

/// A whole number, or a text or fraction that is one.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = number(&value).filter(|it| (0.0..=f64::from(u32::MAX)).contains(it));
    number.map(|it| it as u32).ok_or_else(|| D::Error::custom("the layout's version is no number"))
}

/// A number that is only for people: what is none is nought.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(number(&Value::deserialize(deserializer)?).unwrap_or(0.0))
}

/// A yes or no, as Python takes it, or as a word.
pub(super) fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => value,
        Value::Null => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(word) => {
            !["0", "false", "no", "off", "disable", ""].contains(&word.to_lowercase().as_str())
        }
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    })
}

/// A list, or null for an empty one.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        // JSON has no way to write the others that Rust reads, such as `nan`.
        Value::String(text) => text.trim().parse().ok().filter(|it: &f64| it.is_finite()),
        _ => None,
    }
}

/// Builds a value while values are left.
#[derive(Clone, Copy)]
struct Builder<'a> {
    left: &'a Cell<u32>,
    /// Of an object, only these.
    keys: Option<&'a [&'a str]>,
}

impl<'a> Builder<'a> {
    fn value<E: serde::de::Error>(&self, value: impl Into<Value>) -> Result<Value, E> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom("it holds more values than any backup"))?);
        Ok(value.into())
    }

    fn inside(self) -> Builder<'a> {
        Builder { keys: None, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Builder<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Builder<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.keys.is_some() { "an object" } else { "a value" })
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.value(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self.inside())? {
            list.push(value);
        }
        self.value(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if self.keys.is_some_and(|it| !it.contains(&key.as_str())) {
                access.next_value::<IgnoredAny>()?;
            } else {
                object.insert(key, access.next_value_seed(self.inside())?);
            }
        }
        self.value(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_key_counts_wherever_it_stands() {
        let check = |text: &str, wanted: &str| {
            let read = object(text, &["a"]).unwrap_or_else(|err| panic!("{text}: {err}"));
            assert_eq!(read.to_string(), wanted, "{text}");
        };
        check(r#"{"a":1,"b":[[{}]],"a":2}"#, r#"{"a":2}"#);
        check(r#"{"a":{"x":1,"x":{"y":0,"y":[null,true,-1,0.5,"\u00e9"]}}}"#, {
            r#"{"a":{"x":{"y":[null,true,-1,0.5,"é"]}}}"#
        });
        check("{}", "{}");
    }

    #[test]
    fn bounds_are_kept() {
        let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
        let many = format!("{{\"a\":[0{}]}}", ",0".repeat(MAX_VALUES as usize));
        let twice = format!("{{{}\"a\":0}}", "\"a\":0,".repeat(MAX_VALUES as usize));
        for bad in [&deep[..], &many, &twice, "[]", "null", "", "{} {}", "{\"a\":1"] {
            let start = bad.chars().take(30).collect::<String>();
            assert!(object(bad, &["a"]).is_err(), "{start}");
        }
        // What nobody asks for costs nothing.
        let many = format!("{{\"b\":[0{}]}}", ",0".repeat(2_000_000));
        assert!(object(&many, &["a"]).is_ok());
    }
}
