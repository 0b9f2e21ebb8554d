//! Whether somebody answers on a port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::model::Container;

const PATIENCE: Duration = Duration::from_secs(5);

/// The first byte of a TLS record that is part of a handshake, or of one that is an alert (RFC 8446,
/// section 5.1).
const TLS: [u8; 2] = [0x16, 0x15];

/// Whether a server speaks on the port: HTTP, unless it says that it is in trouble, or TLS.
pub async fn answers(container: &Container, port: u16) -> bool {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let addresses = match container.host_network {
        true => &[loopback][..],
        false => &container.addresses,
    };
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let request =
            format!("GET /manifest.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let plain = ask(address, request.as_bytes()).await;
        if plain.is_some_and(|it| is_well(&it)) {
            return true;
        }
        // Behind TLS Home Assistant hangs up on a plain request without a word.
        let hello = ask(address, &client_hello()).await;
        if hello.is_some_and(|it| it.first().is_some_and(|it| TLS.contains(it))) {
            return true;
        }
    }
    false
}

/// The beginning of what is answered to a request; nothing where that is nothing.
async fn ask(address: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        let mut answer = vec![0; 16];
        let n_bytes = stream.read(&mut answer).await?;
        answer.truncate(n_bytes);
        io::Result::Ok(answer)
    };
    timeout(PATIENCE, asked).await.ok()?.ok().filter(|it| !it.is_empty())
}

/// Whether an answer is HTTP and no 5xx. A refusal is an answer: nobody has logged in.
fn is_well(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|it| it.split(' ').nth(1));
    status.is_some_and(|it| it.starts_with(['2', '3', '4']))
}

/// The first message of a TLS handshake (RFC 8446, section 4.1.2), with which any server of TLS 1.2 or
/// 1.3 goes on. It is no secret, so nothing in it is random.
fn client_hello() -> Vec<u8> {
    /// What is counted before itself, in two bytes.
    fn counted(bytes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(bytes.len()).expect("all of it is short").to_be_bytes();
        [&length, bytes].concat()
    }
    fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[0, kind][..], &counted(content)].concat()
    }
    // AES-GCM and ChaCha20 of TLS 1.3, then those with ECDHE of TLS 1.2.
    let ciphers = [
        0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc,
        0xa9, 0xcc, 0xa8,
    ];
    let groups = [0x00, 0x1d, 0x00, 0x17, 0x00, 0x18]; // x25519, P-256, P-384
    let signatures = [
        0x04, 0x03, 0x05, 0x03, 0x06, 0x03, 0x08, 0x04, 0x08, 0x05, 0x08, 0x06, 0x04, 0x01, 0x05,
        0x01, 0x06, 0x01, 0x08, 0x07,
    ];
    let extensions = [
        extension(10, &counted(&groups)),
        extension(11, &[1, 0]), // points are not compressed
        extension(13, &counted(&signatures)),
        extension(43, &[4, 0x03, 0x04, 0x03, 0x03]), // TLS 1.3 or 1.2
        extension(51, &counted(&[])),                // no key yet: the server asks for one
    ]
    .concat();
    let hello = [
        &[0x03, 0x03][..], // TLS 1.2, as all say since then
        &[0x5a; 32],       // random
        &[0],              // no session
        &counted(&ciphers),
        &[1, 0], // not compressed
        &counted(&extensions),
    ]
    .concat();
    let handshake = [&[0x01, 0x00][..], &counted(&hello)].concat();
    [&[0x16, 0x03, 0x01][..], &counted(&handshake)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_in_trouble_does_not_count() {
        let check =
            |text: &str, wanted: bool| assert_eq!(is_well(text.as_bytes()), wanted, "{text}");
        check("HTTP/1.1 200 OK\r\n", true);
        check("HTTP/1.0 302 Fou", true);
        check("HTTP/1.1 401 Una", true);
        check("HTTP/1.1 503 Ser", false);
        check("HTTP/1.1 ", false);
        check("SSH-2.0-OpenSSH", false);
        check("", false);
    }
}
