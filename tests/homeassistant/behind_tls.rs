//! A Home Assistant that speaks TLS alone, and hangs up on who does not.

use hearthkeep::engine::Engine;
use hearthkeep::gate;

use super::home::{IMAGES, wait_for};
use super::support::home::write;
use super::support::{Bench, LABEL, docker, unique};

const CONFIGURATION: &str = "http:
  ssl_certificate: /config/certificate.pem
  ssl_key: /config/key.pem
  server_port: 8443
";

/// Makes a certificate with what Home Assistant brings for it.
const CERTIFICATE: &str = r#"
import datetime
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "home")])
now = datetime.datetime.now(datetime.UTC)
made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
made = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
open("/config/certificate.pem", "wb").write(made)
plain = serialization.NoEncryption()
form = serialization.PrivateFormat.PKCS8
open("/config/key.pem", "wb").write(key.private_bytes(serialization.Encoding.PEM, form, plain))
"#;

/// Gone with what it guards.
struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        _ = std::process::Command::new("docker").args(["rm", "-fv", &self.0]).output();
    }
}

pub(crate) fn answers() {
    let bench = Bench::new();
    let config = bench.folder("config");
    write(&config.join("configuration.yaml"), CONFIGURATION);
    let mount = format!("{}:/config", config.display());
    let guard = Guard(unique("tls"));
    let options = ["--network", "none", "--label", LABEL, "--volume", &mount];
    let words = ["--entrypoint", "python3", IMAGES[0], "-c", CERTIFICATE];
    docker(&[&["run", "--rm"], &options[..], &words].concat());
    let options = ["--label", LABEL, "--name", &guard.0, "--volume", &mount];
    docker(&[&["run", "--detach"], &options[..], &[IMAGES[0]]].concat());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let engine = runtime.block_on(Engine::connect()).expect("Docker answers");
    let answers = |port| {
        runtime.block_on(async {
            let container = engine.inspect(&guard.0).await.expect("it is there");
            gate::answers(&container, port).await
        })
    };
    assert!(!answers(8444), "nobody listens there");
    wait_for("it answers", || answers(8443));
    assert_eq!(gate::port(CONFIGURATION, ""), 8443);
}
