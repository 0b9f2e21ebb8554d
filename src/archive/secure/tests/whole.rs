//! What was written is read again, from its beginning and from its middle.

use std::sync::Arc;

use super::*;

#[test]
fn it_comes_back_around_each_edge() {
    let opener = Opener::new(password());
    let v2 = Sealer::new(&password(), Format::V2).unwrap();
    let v3 = Sealer::new(&password(), Format::V3).unwrap();
    let blocks = [0, 1, 15, 16, 17, 31, 32, 33, 65_535, 65_536, 65_537, 131_072, 200_001];
    let chunks = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1];
    let v2 = blocks.map(|it| (&v2, it)).into_iter();
    for (n, (sealer, size)) in v2.chain(chunks.map(|it| (&v3, it))).enumerate() {
        let plain = content(size);
        // In one piece, and in many that end nowhere where the cipher's do.
        let piece = [3 * MIB, 99_991][n % 2];
        let (member, _) = sealed_with(sealer.seal().unwrap(), &plain, piece);
        let envelope = Envelope::parse(&member).unwrap().unwrap();
        assert_eq!(envelope.plain_size(member.len() as u64), Ok(Some(size as u64)));
        let body = &member[envelope.len() as usize..];
        assert!(decrypted(&opener, &envelope, body, member.len()).unwrap() == plain, "{size}");
    }
}

#[test]
fn one_backup_has_one_root_and_no_salt_twice() {
    let sealer = Sealer::new(&password(), Format::V3).unwrap();
    let [one, other] = [(); 2].map(|()| sealed_with(sealer.seal().unwrap(), b"same", 4).0);
    assert_eq!(one[..96], other[..96]);
    assert_ne!(one[96..112], other[96..112]);
    assert_ne!(one[112..136], other[112..136]);
    let sealer = Sealer::new(&password(), Format::V2).unwrap();
    let [one, other] = [(); 2].map(|()| sealed_with(sealer.seal().unwrap(), b"same", 4).0);
    assert_ne!(one[32..48], other[32..48]);
}

#[test]
fn it_is_read_from_each_chunk() {
    let plain = content(2 * MIB + 100);
    let sealer = Sealer::new(&password(), Format::V3).unwrap();
    let (member, sealed) = sealed_with(sealer.seal().unwrap(), &plain, 50_000);
    assert_eq!(sealed.nonces.len(), 3);
    let envelope = Envelope::parse(&member).unwrap().unwrap();
    let opener = Opener::new(password());
    let mut nonce: [u8; 8] = member[128..136].try_into().unwrap();
    for n in 0..3 {
        assert_eq!(sealed.nonces[n], nonce, "it can be known by the bytes of the body, too");
        let place = Place::Chunk { number: n as u64, nonce };
        let body = &member[136 + n * (MIB + 17)..];
        let size = member.len() as u64;
        let reader = opener.decrypt_from(&envelope, body, size, place).unwrap();
        assert!(read(reader).unwrap() == plain[n * MIB..]);
        let wrong = Place::Chunk { number: n as u64, nonce: [7; 8] };
        let reader = opener.decrypt_from(&envelope, body, size, wrong).unwrap();
        assert!(read(reader).unwrap_err().starts_with(&format!("chunk {n} is not what")));
        let mac = &body[body.len().min(MIB + 17) - 16..];
        nonce.iter_mut().zip(mac).for_each(|(it, with)| *it ^= with);
    }
}

#[test]
fn it_is_read_from_each_block() {
    let plain = content(100);
    let member = sealed(Format::V2, &plain);
    let envelope = Envelope::parse(&member).unwrap().unwrap();
    let opener = Opener::new(password());
    for n in 1..7 {
        let (before, body) = member[48..].split_at(n * 16);
        let before = before[before.len() - 16..].try_into().unwrap();
        let place = Place::Block { number: n as u64, before };
        let size = member.len() as u64;
        let reader = opener.decrypt_from(&envelope, body, size, place).unwrap();
        assert_eq!(read(reader).unwrap(), plain[n * 16..]);
    }
}

#[test]
fn there_is_nothing_to_read_outside() {
    let opener = Opener::new(password());
    let (v2, v3) = (sealed(Format::V2, &content(100)), sealed(Format::V3, &content(100)));
    let block = |number| Place::Block { number, before: [0; 16] };
    let chunk = |number| Place::Chunk { number, nonce: [0; 8] };
    for (member, place) in [
        (&v2, block(7)),
        (&v2, block(u64::MAX)),
        (&v2, chunk(0)),
        (&v3, chunk(1)),
        (&v3, chunk(u64::MAX)),
        (&v3, block(1)),
    ] {
        let envelope = Envelope::parse(member).unwrap().unwrap();
        let opened = opener.decrypt_from(&envelope, &b""[..], member.len() as u64, place);
        assert_eq!(opened.err(), Some(Broken::Place), "{place:?}");
    }
}

#[test]
fn threads_share_it_and_nothing_prints_it() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    fn is_sent<T: Send>(_: &T) {}
    let opener = Arc::new(Opener::new(password()));
    let sealer = Sealer::new(&password(), Format::V3).unwrap();
    let seal = sealer.seal().unwrap();
    is_shared(&opener);
    is_shared(&sealer);
    is_sent(&seal);
    let member = sealed(Format::V3, b"text");
    let envelope = Envelope::parse(&member).unwrap().unwrap();
    is_sent(&opener.decrypt(&envelope, &member[136..], member.len() as u64).unwrap());
    for text in [format!("{opener:?}"), format!("{sealer:?}"), format!("{seal:?}")] {
        assert!(text.len() < 12, "{text}");
    }
}
