//! Home Assistant's HTTP interface, as far as a person needs it who comes home.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// The application that logs in. A token belongs to it, wherever Home Assistant runs.
pub(crate) const CLIENT: &str = "http://app.test/";

/// One Home Assistant, asked by one user.
pub(crate) struct Api {
    pub(crate) address: String,
    /// The access token; empty for nobody.
    pub(crate) access: String,
}

impl Api {
    pub(crate) fn answers(&self, path: &str) -> bool {
        self.ask("GET", path, "text/plain", "").is_ok_and(|(status, _)| status == 200)
    }

    /// What it answers, where it answers.
    pub(crate) fn try_get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.ask("GET", path, "text/plain", "").ok()?;
        if status == 200 { serde_json::from_str(&body).ok() } else { None }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.done(path, self.ask("GET", path, "text/plain", ""))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.done(path, self.ask("POST", path, "application/json", &body.to_string()))
    }

    /// Turns a code or a refresh token into tokens.
    pub(crate) fn tokens(&self, grant: &str, key: &str, value: &str) -> super::home::Tokens {
        let form = format!("client_id={CLIENT}&grant_type={grant}&{key}={value}");
        let path = "/auth/token";
        let kind = "application/x-www-form-urlencoded";
        let tokens = self.done(path, self.ask("POST", path, kind, &form));
        let token = |key: &str| tokens[key].as_str().unwrap_or_default().to_owned();
        super::home::Tokens { access: token("access_token"), refresh: token("refresh_token") }
    }

    /// Logs in with name and password; gives the answer of the last step.
    pub(crate) fn log_in(&self, user: &str, password: &str) -> Value {
        let begin = json!({
            "client_id": CLIENT, "redirect_uri": CLIENT, "handler": ["homeassistant", null],
        });
        let flow = self.post("/auth/login_flow", &begin);
        let path = format!("/auth/login_flow/{}", flow["flow_id"].as_str().expect("a flow"));
        let answer = json!({ "client_id": CLIENT, "username": user, "password": password });
        self.post(&path, &answer)
    }

    fn done(&self, path: &str, answer: io::Result<(u16, String)>) -> Value {
        let (status, body) = answer.unwrap_or_else(|err| panic!("{}{path}: {err}", self.address));
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap_or_else(|err| panic!("{path}: {err}: {body}"))
    }

    /// One request. HTTP 1.0, so that the answer comes in one piece and ends with the connection.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> io::Result<(u16, String)> {
        let address = (self.address.trim(), 8123);
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {}:8123\r\n", address.0);
        if !self.access.is_empty() {
            head += &format!("Authorization: Bearer {}\r\n", self.access);
        }
        head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        Ok((status, body.to_owned()))
    }
}
