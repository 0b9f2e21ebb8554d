//! A sound backup damaged in every way that there is, as a table.

use std::path::Path;

use hearthkeep::archive::{Archive, Source};
use tar::Header;

const INDEX: &str = "hearthkeep.index";
const CONFIDENTIAL: &str = "hearthkeep.confidential";
const METADATA: &str = "backup.json";

/// What the headers of our members take, and the last of them.
const AREA: usize = 5 * 512;
const HEADER: usize = 512;

/// A file that somebody has damaged.
pub(crate) struct Case {
    pub(crate) what: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wanted: Wanted,
}

/// What has to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It is not taken for a backup, or for one that is not whole. The error has this in it.
    Unreadable(String),
    /// It is listed, but not restored; this member is named.
    Refused(String),
    /// It is restored, with a warning about this member.
    Restored(String),
    /// Nobody has anything to say.
    Sound,
}

use Wanted::{Refused, Restored, Sound, Unreadable};

/// A backup in pieces.
#[derive(Clone)]
pub(crate) struct Pieces {
    pub(crate) members: Vec<Piece>,
    end: Vec<u8>,
}

/// A member with its headers.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) name: String,
    head: Vec<u8>,
    content: Vec<u8>,
    padding: Vec<u8>,
}

impl Pieces {
    /// Takes a sound backup apart.
    pub(crate) fn of(bytes: &[u8]) -> Pieces {
        let copy = bytes.to_vec();
        let source = Source::ranges(bytes.len() as u64, move |offset, piece| {
            let rest = copy.get(offset as usize..).unwrap_or_default();
            let n = piece.len().min(rest.len());
            piece[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        });
        let archive = Archive::open_source(Path::new("sound.tar"), source).expect("it is whole");
        let mut at = 0;
        let members = archive.members.iter().map(|it| {
            let (begin, end) = (it.offset as usize, (it.offset + it.size) as usize);
            let behind = end.next_multiple_of(512);
            let [head, content, padding] =
                [at..begin, begin..end, end..behind].map(|it| bytes[it].to_vec());
            at = behind;
            Piece { name: it.name.clone(), head, content, padding }
        });
        let members: Vec<Piece> = members.collect();
        Pieces { members, end: bytes[at..].to_vec() }
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let members = self.members.iter().flat_map(|it| [&it.head, &it.content, &it.padding]);
        members.chain([&self.end]).map(Vec::as_slice).collect::<Vec<_>>().concat()
    }

    /// Where the headers of a member begin.
    fn begin(&self, n: usize) -> usize {
        let size = |it: &Piece| it.head.len() + it.content.len() + it.padding.len();
        self.members[..n].iter().map(size).sum()
    }

    fn with(&self, change: impl FnOnce(&mut Vec<Piece>)) -> Vec<u8> {
        let mut pieces = self.clone();
        change(&mut pieces.members);
        pieces.bytes()
    }
}

impl Piece {
    fn is_part(&self) -> bool {
        ![INDEX, CONFIDENTIAL, METADATA].contains(&&*self.name)
    }

    /// A member as any tar would have it.
    fn new(name: &str, content: Vec<u8>) -> Piece {
        let mut header = Header::new_ustar();
        header.set_path(name).expect("a short name");
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
        Piece { name: name.to_owned(), head: header.as_bytes().to_vec(), content, padding }
    }
}

/// All of them.
pub(crate) fn cases(bytes: &[u8]) -> Vec<Case> {
    let pieces = Pieces::of(bytes);
    assert!(pieces.bytes() == bytes, "a backup is more than its members");
    let mut table = Table { pieces, cases: Vec::new() };
    table.add("untouched", bytes.to_vec(), Sound);
    for n in 0..table.pieces.members.len() {
        table.cut(n);
        table.flipped(n);
        table.missing(n);
        table.twice(n);
        table.exchanged(n);
    }
    table.order();
    table.end(bytes);
    table.cases
}

struct Table {
    pieces: Pieces,
    cases: Vec<Case>,
}

impl Table {
    fn add(&mut self, what: &str, bytes: Vec<u8>, wanted: Wanted) {
        self.cases.push(Case { what: what.to_owned(), bytes, wanted });
    }

    fn change(&mut self, what: &str, wanted: Wanted, change: impl FnOnce(&mut Vec<Piece>)) {
        let bytes = self.pieces.with(change);
        self.add(what, bytes, wanted);
    }

    /// The member in front, which an error names when nothing behind it makes sense.
    fn before(&self, n: usize) -> Wanted {
        match n {
            0 => Unreadable("is not a backup".to_owned()),
            n => Unreadable(format!("behind {}", self.pieces.members[n - 1].name)),
        }
    }

    fn cut(&mut self, n: usize) {
        let bytes = self.pieces.bytes();
        let Piece { name, head, content, .. } = self.pieces.members[n].clone();
        let begin = self.pieces.begin(n);
        let end = begin + head.len();
        for (what, at, wanted) in [
            ("before the headers of", begin, self.before(n)),
            ("in the first header of", begin + 100, self.before(n)),
            ("in the last header of", end - 100, self.before(n)),
            ("before the content of", end, Unreadable(name.clone())),
            ("in", end + content.len() / 2, Unreadable(name.clone())),
            ("before the last byte of", end + content.len() - 1, Unreadable(name.clone())),
        ] {
            self.add(&format!("cut {what} {name}"), bytes[..at].to_vec(), wanted);
        }
    }

    fn flipped(&mut self, n: usize) {
        let piece = self.pieces.members[n].clone();
        let name = piece.name.clone();
        let wanted = self.before(n);
        self.change(&format!("a wrong byte in the header of {name}"), wanted, |it| {
            let at = it[n].head.len() - HEADER + 110;
            it[n].head[at] ^= 1;
        });
        let what = format!("another time, with a right checksum, in the header of {name}");
        self.change(&what, Restored(name.clone()), |it| {
            let at = it[n].head.len() - HEADER;
            let mut header = Header::new_ustar();
            header.as_mut_bytes().copy_from_slice(&it[n].head[at..]);
            header.set_mtime(1);
            header.set_cksum();
            it[n].head[at..].copy_from_slice(header.as_bytes());
        });
        if !piece.padding.is_empty() {
            self.change(&format!("a byte behind {name}"), Restored(name.clone()), |it| {
                it[n].padding[0] = 1;
            });
        }
        if name == METADATA {
            self.metadata(n);
            return;
        }
        self.change(
            &format!("another time in the records of {name}"),
            Restored(name.clone()),
            |it| {
                let at = find(&it[n].head, b"mtime=") + 6;
                it[n].head[at] ^= 1;
            },
        );
        assert_eq!(piece.head.len(), AREA, "{name}");
        let content = &piece.content;
        // What is nothing but zeros in a tar, nobody reads.
        let middle = content.len() / 2;
        let middle = middle + content[middle..].iter().position(|it| *it != 0).unwrap_or(0);
        let last = content.iter().rposition(|it| *it != 0).unwrap_or(0);
        let wanted = if piece.is_part() { Refused } else { Restored };
        // Several in the middle, since one may fall on a code that a small part does not use.
        for (what, from, to) in [
            ("some bytes in the middle", middle, middle + 8),
            ("the first byte", 0, 1),
            ("the last byte", last, last + 1),
        ] {
            self.change(&format!("{what} of {name}"), wanted(name.clone()), |it| {
                it[n].content[from..to].iter_mut().for_each(|it| *it ^= 0xa5);
            });
        }
    }

    fn metadata(&mut self, n: usize) {
        let name = METADATA.to_owned();
        self.change("no JSON", Unreadable(name.clone()), |it| it[n].content[0] ^= 1);
        self.change("another name of the backup", Refused(name.clone()), |it| {
            let at = find(&it[n].content, b"\"name\":\"") + 8;
            it[n].content[at] ^= 1;
        });
        self.change("another destination", Refused(name), |it| {
            let at = find(&it[n].content, b"\"destination\":\"/") + 16;
            it[n].content[at] ^= 1;
        });
    }

    fn missing(&mut self, n: usize) {
        let name = self.pieces.members[n].name.clone();
        let wanted = match name.as_str() {
            METADATA => Unreadable("it holds no backup.json".to_owned()),
            INDEX | CONFIDENTIAL => Restored(name.clone()),
            // As an item, since there is no such member.
            _ => Refused(name.split('.').next().unwrap_or_default().replace("addons_", "addons/")),
        };
        self.change(&format!("without {name}"), wanted, |it| drop(it.remove(n)));
    }

    fn twice(&mut self, n: usize) {
        let name = self.pieces.members[n].name.clone();
        for (where_, to) in [("behind itself", n + 1), ("at the beginning", 0)] {
            self.change(&format!("{name} again {where_}"), Refused(name.clone()), |it| {
                let copy = it[n].clone();
                it.insert(to, copy);
            });
        }
    }

    /// Two members under each other's names.
    fn exchanged(&mut self, n: usize) {
        for other in n + 1..self.pieces.members.len() {
            let [a, b] = [n, other].map(|it| self.pieces.members[it].clone());
            let wanted = match b.name.as_str() {
                METADATA => Unreadable(METADATA.to_owned()),
                // Nothing of a home is in either of the two.
                _ if !a.is_part() && !b.is_part() => Restored(a.name.clone()),
                _ => Refused(a.name.clone()),
            };
            self.change(&format!("{} under the name of {}", a.name, b.name), wanted, |it| {
                it[n] = Piece::new(&a.name, b.content.clone());
                it[other] = Piece::new(&b.name, a.content.clone());
            });
        }
    }

    fn order(&mut self) {
        self.change("the other way round", Sound, |it| it.reverse());
        self.change("the first part behind the others", Sound, |it| it.rotate_left(1));
    }

    fn end(&mut self, bytes: &[u8]) {
        let end = self.pieces.begin(self.pieces.members.len());
        let last = METADATA.to_owned();
        self.add("cut behind the last member", bytes[..end].to_vec(), Unreadable(last.clone()));
        for (what, size) in
            [("all but one zero block", 512), ("the last zero", bytes.len() - end - 1)]
        {
            let bytes = bytes[..end + size].to_vec();
            self.add(&format!("without {what}"), bytes, Restored(last.clone()));
        }
        let mut other = bytes.to_vec();
        other[end + 600] = 1;
        self.add("a byte among the last zeros", other, Restored(last.clone()));
        self.add("more behind the end", [bytes, &[0; 512]].concat(), Restored(last));
    }
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|it| it == what).expect("it is in there")
}
