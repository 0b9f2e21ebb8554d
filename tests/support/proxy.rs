//! A proxy before the engine's socket that passes what the documentation lists, and nothing else.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

/// The engine's own socket.
const ENGINE: &str = "/var/run/docker.sock";

/// Where the calls are listed.
const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/docker.md");

/// A call of the API, with asterisks for names: `POST /containers/*/pause`.
pub(crate) type Call = String;

/// The calls that the documentation lists.
pub(crate) fn documented() -> Vec<Call> {
    let text = fs::read_to_string(LIST).expect("the documentation is there");
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let methods = ["GET ", "HEAD ", "POST ", "PUT ", "DELETE "];
    let calls = cells.map(|(call, _)| call).filter(|it| methods.iter().any(|m| it.starts_with(m)));
    let mut calls: Vec<Call> = calls.map(str::to_owned).collect();
    calls.sort();
    calls.dedup();
    calls
}

/// A proxy in this process, as long as that lives.
pub(crate) struct Proxy {
    socket: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

/// What was asked for.
#[derive(Default)]
struct Seen {
    passed: Vec<Call>,
    refused: Vec<String>,
}

impl Proxy {
    /// A proxy that passes these calls.
    pub(crate) fn passing(folder: &Path, calls: Vec<Call>) -> Proxy {
        let socket = folder.join("proxy.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noting = seen.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                let (calls, noting) = (calls.clone(), noting.clone());
                // A client that goes away in the middle is no concern of a test.
                thread::spawn(move || drop(serve(client, &calls, &noting)));
            }
        });
        Proxy { socket, seen }
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Has it listen on a port of this machine too; gives the port.
    pub(crate) fn port(&self) -> u16 {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        let socket = self.socket.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (mut asked, mut told) = {
                    let client = client.expect("a client");
                    (client.try_clone().expect("a second handle"), client)
                };
                let mut here = UnixStream::connect(&socket).expect("it listens");
                let mut there = here.try_clone().expect("a second handle");
                thread::spawn(move || {
                    _ = io::copy(&mut asked, &mut here);
                    here.shutdown(Shutdown::Write)
                });
                thread::spawn(move || {
                    _ = io::copy(&mut there, &mut told);
                    told.shutdown(Shutdown::Both)
                });
            }
        });
        port
    }

    /// The calls that passed, each as it is listed.
    pub(crate) fn passed(&self) -> Vec<Call> {
        let mut calls = self.seen.lock().expect("nobody panics with it").passed.clone();
        calls.sort();
        calls.dedup();
        calls
    }

    /// The calls that were refused, as they were made.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panics with it").refused.clone()
    }
}

/// One request a connection, so that nothing slips through behind one that may pass.
fn serve(mut client: UnixStream, calls: &[Call], seen: &Mutex<Seen>) -> io::Result<()> {
    let head = head(&mut client)?;
    let asked = asked(&head);
    let Some(call) = calls.iter().find(|it| fits(it, &asked)) else {
        seen.lock().expect("nobody panics with it").refused.push(asked);
        return refuse(client);
    };
    seen.lock().expect("nobody panics with it").passed.push(call.clone());
    let mut engine = UnixStream::connect(ENGINE)?;
    engine.write_all(once(&head).as_bytes())?;
    let (mut asking, mut telling) = (client.try_clone()?, engine.try_clone()?);
    thread::spawn(move || {
        _ = io::copy(&mut asking, &mut telling);
        telling.shutdown(Shutdown::Write)
    });
    io::copy(&mut engine, &mut client)?;
    client.shutdown(Shutdown::Both)
}

fn head(client: &mut UnixStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Method and path, without the version of the API and without what stands behind a question mark.
fn asked(head: &str) -> String {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = target.split('?').next().unwrap_or("");
    let versioned = path.strip_prefix("/v1.").and_then(|it| it.split_once('/'));
    match versioned {
        Some((version, rest)) if version.bytes().all(|it| it.is_ascii_digit()) => {
            format!("{method} /{rest}")
        }
        _ => format!("{method} {path}"),
    }
}

fn fits(call: &str, asked: &str) -> bool {
    let (call, asked): (Vec<&str>, Vec<&str>) =
        (call.split('/').collect(), asked.split('/').collect());
    let is_one = |(call, asked): (&&str, &&str)| {
        (*call == "*" && !asked.is_empty() && **asked != *"..") || call == asked
    };
    call.len() == asked.len() && call.iter().zip(&asked).all(is_one)
}

/// The same request, after which the engine hangs up; one that wants to go on talking may do so.
fn once(head: &str) -> String {
    match head.to_ascii_lowercase().contains("\r\nupgrade:") {
        true => head.to_owned(),
        false => head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1),
    }
}

fn refuse(mut client: UnixStream) -> io::Result<()> {
    let body = "{\"message\":\"not on the list\"}";
    let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close";
    write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    client.shutdown(Shutdown::Write)?;
    // Hanging up on somebody who still talks would take the answer away from him.
    client.read_to_end(&mut Vec::new()).map(drop)
}
