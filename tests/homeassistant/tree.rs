//! A folder as it is, to the byte, for comparing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Everything below a folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// Kind and permissions.
    mode: u32,
    owner: (u32, u32),
    modified: i64,
    /// The bytes of a file, the target of a link.
    content: Vec<u8>,
}

impl Tree {
    /// All but what is left out, which is not even looked at: it may come and go.
    pub(crate) fn of(folder: &Path, is_left_out: &dyn Fn(&str) -> bool) -> Tree {
        let mut tree = Tree::default();
        tree.add(folder, Path::new(""), is_left_out);
        tree
    }

    fn add(&mut self, root: &Path, below: &Path, is_left_out: &dyn Fn(&str) -> bool) {
        for entry in fs::read_dir(root.join(below)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let (name, path) = (below.join(entry.file_name()), entry.path());
            if is_left_out(&name.to_string_lossy()) {
                continue;
            }
            let metadata = path.symlink_metadata().expect("nobody else is here");
            let content = match metadata.file_type() {
                it if it.is_file() => fs::read(&path).expect("the file can be read"),
                it if it.is_symlink() => {
                    fs::read_link(&path).expect("it is a link").as_os_str().as_bytes().to_vec()
                }
                _ => Vec::new(),
            };
            let entry = Entry {
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                modified: metadata.mtime(),
                content,
            };
            self.0.insert(name.clone(), entry);
            if metadata.is_dir() {
                self.add(root, &name, is_left_out);
            }
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(Path::new(path))
    }

    /// With an empty file that has everything else in common with another one.
    pub(crate) fn with_empty(mut self, path: &str, like: &str) -> Tree {
        let entry = self.0[Path::new(like)].clone();
        self.0.insert(path.into(), Entry { content: Vec::new(), ..entry });
        self
    }

    /// Without the times of folders, which some tools set before they fill them.
    pub(crate) fn without_folder_times(mut self) -> Tree {
        let folders = self.0.values_mut().filter(|it| it.mode & 0o170_000 == 0o040_000);
        folders.for_each(|it| it.modified = 0);
        self
    }

    pub(crate) fn assert_is(&self, wanted: &Tree) {
        let paths: BTreeSet<&PathBuf> = self.0.keys().chain(wanted.0.keys()).collect();
        let differ = |path: &&PathBuf| self.0.get(*path) != wanted.0.get(*path);
        let differing: Vec<String> =
            paths.into_iter().filter(differ).map(|it| self.compare(wanted, it)).collect();
        assert!(differing.is_empty(), "these differ:\n{}", differing.join("\n"));
    }

    fn compare(&self, wanted: &Tree, path: &Path) -> String {
        let show = |tree: &Tree| match tree.0.get(path) {
            None => "missing".to_owned(),
            Some(it) => {
                format!("{:o} {:?} {} {} bytes", it.mode, it.owner, it.modified, it.content.len())
            }
        };
        format!("{}: {} instead of {}", path.display(), show(self), show(wanted))
    }
}
