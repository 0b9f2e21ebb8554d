//! What the Python package `securetar` made, byte for byte.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::keys;
use super::*;

/// SHA-256 of the body that libsodium makes of [`content`] of 2 MiB and 5 bytes with the first v3
/// vector's salts and this header.
const LONG_HEADER: &str = "9d18a18a38163f59a52b662624e3a81d7116a9e1aec07df3";
const LONG_BODY: &str = "809178016f0c5a0748f0f484fe22b3a92c82e38caf2fc4ecceada49f429314e4";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/archives/crypto-vectors.json")).unwrap()
}

fn all(kind: &str) -> Vec<Value> {
    let all = vectors()[kind].as_array().unwrap().clone();
    assert!(!all.is_empty());
    all
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |n: usize| u8::from_str_radix(&hex[n..n + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn field<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    bytes(vector[name].as_str().unwrap()).try_into().unwrap()
}

fn password_of(vector: &Value) -> Secret {
    Secret::new(vector["password"].as_str().unwrap().to_owned())
}

#[test]
fn passwords_become_the_same_keys() {
    for vector in all("v1_v2_password_to_key") {
        let key = keys::block_key(&password_of(&vector));
        assert_eq!(*key, field(&vector, "aes128_key"));
    }
    for vector in all("v2") {
        let key = keys::block_key(&password_of(&vector));
        assert_eq!(*keys::block_iv(&key, &field(&vector, "salt")), field(&vector, "iv"));
    }
    for vector in all("v3") {
        let root = keys::root_key(&password_of(&vector), &field(&vector, "root_salt")).unwrap();
        assert_eq!(*root, field(&vector, "root_key_argon2id"));
        let (salt, expected) =
            (field(&vector, "validation_salt"), field(&vector, "validation_key"));
        assert_eq!(*keys::subkey(&root, &salt), expected);
        assert!(keys::is_subkey(&root, &salt, &expected));
        assert!(!keys::is_subkey(&root, &[0; 16], &expected));
        let key = keys::subkey(&root, &field(&vector, "derivation_salt"));
        assert_eq!(*key, field(&vector, "stream_key"));
    }
}

#[test]
fn theirs_are_read() {
    for vector in ["v1", "v2", "v3"].into_iter().flat_map(all) {
        let member = bytes(vector["file"].as_str().unwrap());
        let plain = bytes(vector["plaintext"].as_str().unwrap());
        let parsed = Envelope::parse(&member).unwrap();
        let is_v1 = parsed.is_none();
        let envelope = parsed.unwrap_or_else(|| Envelope::v1(&member).unwrap());
        let body = &member[envelope.len() as usize..];
        let opener = Opener::new(password_of(&vector));
        let content = decrypted(&opener, &envelope, body, member.len()).unwrap();
        match is_v1 {
            // What of the end is padding only its reader can know: 16 bytes have none.
            true => assert_eq!(content[..plain.len()], plain),
            false => assert_eq!(content, plain),
        }
    }
}

#[test]
fn ours_are_theirs() {
    for vector in all("v2") {
        let sealer = Sealer::new(&password_of(&vector), Format::V2).unwrap();
        check(&vector, sealer.seal_by(field(&vector, "salt"), [0; 24]));
    }
    for vector in all("v3") {
        let (root, validation) = (field(&vector, "root_salt"), field(&vector, "validation_salt"));
        let sealer = Sealer::v3(&password_of(&vector), root, validation).unwrap();
        let header = field(&vector, "secretstream_header");
        check(&vector, sealer.seal_by(field(&vector, "derivation_salt"), header));
    }
}

fn check(vector: &Value, seal: Seal) {
    let plain = bytes(vector["plaintext"].as_str().unwrap());
    let (member, _) = sealed_with(seal, &plain, 7);
    assert_eq!(member, bytes(vector["file"].as_str().unwrap()));
}

#[test]
fn more_chunks_than_one_are_theirs() {
    let vector = &all("v3")[0];
    let (root, validation) = (field(vector, "root_salt"), field(vector, "validation_salt"));
    let sealer = Sealer::v3(&password_of(vector), root, validation).unwrap();
    let header = bytes(LONG_HEADER).try_into().unwrap();
    let seal = sealer.seal_by(field(vector, "derivation_salt"), header);
    let (member, _) = sealed_with(seal, &content(2 * MIB + 5), 65_537);
    assert_eq!(Sha256::digest(&member[136..])[..], bytes(LONG_BODY)[..]);
}

#[test]
fn sizes_are_theirs() {
    let sealer = Sealer::new(&password(), Format::V3).unwrap();
    let listed = all("v3_sizes");
    let listed = listed.iter().map(|it| (&it["plaintext_size"], &it["file_size"]));
    let listed = listed.map(|(plain, file)| (plain.as_u64().unwrap(), file.as_u64().unwrap()));
    for (plain, file) in [(0, 153), (1, 154), (1_048_575, 1_048_728)].into_iter().chain(listed) {
        let seal = sealer.seal().unwrap();
        let (member, _) = sealed_with(seal, &content(plain as usize), 100_003);
        assert_eq!(member.len() as u64, file);
    }
}

#[test]
fn inner_tars_of_example_archives_are_read() {
    let files: [(&[u8], usize); 5] = [
        (include_bytes!("../../../../tests/archives/snapshot_json_v1_sec1_gz.tar"), 2),
        (include_bytes!("../../../../tests/archives/core_sec1_gz.tar"), 1),
        (include_bytes!("../../../../tests/archives/core_sec2_gz.tar"), 1),
        (include_bytes!("../../../../tests/archives/core_sec3_gz.tar"), 1),
        (include_bytes!("../../../../tests/archives/supervisor_full_sec3_gz.tar"), 7),
    ];
    let opener = Opener::new(password());
    for (n, (file, expected)) in files.into_iter().enumerate() {
        let mut n_read = 0;
        for entry in tar::Archive::new(file).entries().unwrap() {
            let mut entry = entry.unwrap();
            if !entry.path_bytes().ends_with(b".tar.gz") {
                continue;
            }
            let mut member = Vec::new();
            entry.read_to_end(&mut member).unwrap();
            let content = opened(&opener, &member).unwrap();
            assert!(content.starts_with(&[0x1f, 0x8b, 8]));
            // The checksum of v1 is torn apart by padding; its reader is not here.
            if n > 1 {
                let mut tar = Vec::new();
                GzDecoder::new(&content[..]).read_to_end(&mut tar).unwrap();
                assert_eq!(&tar[257..262], b"ustar");
            }
            n_read += 1;
        }
        assert_eq!(n_read, expected);
    }
}
