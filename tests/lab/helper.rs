//! The smallest container a test can hold: one static binary that does a little of what real services do.
//!
//! `helper [http=PORT] [tick=PATH] [healthy=PATH]` runs until SIGTERM:
//! - `http` answers every request on PORT with 200;
//! - `tick` appends a line with the next number to PATH every 10 ms, going on where the file ends;
//! - `healthy` creates PATH, so that a test can turn the container unhealthy by removing it.
//!
//! `helper check [http=PORT] [healthy=PATH]` is for a health check: 0 if PORT answers and PATH exists, else 1.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::{env, io};

const SIGTERM: i32 = 15;

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn end(_: i32) {
    // SAFETY: `_exit` may be called in a signal handler, and never returns.
    unsafe { _exit(0) }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let value = |key: &str| {
        args.iter().find_map(|a| a.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    let (http, tick, healthy) = (value("http"), value("tick"), value("healthy"));

    if args.first().is_some_and(|a| a == "check") {
        let answers = http.is_none_or(|port| answers(&port).unwrap_or(false));
        let exists = healthy.is_none_or(|path| fs::exists(path).unwrap_or(false));
        return if answers && exists { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }

    // The kernel ignores SIGTERM for a process 1 that has no handler.
    // SAFETY: `end` has the signature `signal` wants, and only does what a handler may do.
    unsafe { signal(SIGTERM, end) };

    if let Some(path) = healthy {
        File::create(path).expect("healthy=PATH can be created");
    }
    if let Some(port) = http {
        let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("http=PORT is free");
        thread::spawn(move || listener.incoming().flatten().for_each(|client| _ = answer(client)));
    }
    if let Some(path) = tick {
        let last = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.lines().last()?.parse::<u64>().ok());
        let mut file =
            File::options().create(true).append(true).open(path).expect("tick=PATH can be opened");
        for number in last.unwrap_or(0) + 1.. {
            // One unbuffered write a line: a reader never meets half a number.
            file.write_all(format!("{number}\n").as_bytes()).expect("tick=PATH can be written");
            thread::sleep(Duration::from_millis(10));
        }
    }
    loop {
        thread::park();
    }
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut chunk)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&chunk[..n]),
        }
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
}

fn answers(port: &str) -> io::Result<bool> {
    let mut server = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    server.set_read_timeout(Some(Duration::from_secs(2)))?;
    server.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut reply = [0; 12];
    server.read_exact(&mut reply)?;
    Ok(&reply == b"HTTP/1.1 200")
}
