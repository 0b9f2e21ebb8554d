//! The image from the project's own Dockerfile, with the program under test in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::support::home::{tool, write};
use crate::support::{LABEL, docker, unique};

/// A lab image with a shell, in which the first stage of the Dockerfile runs.
const WITH_SHELL: &str = "hearthkeep-lab/mosquitto:2";

/// The image, gone when the last test that uses it is over.
pub(crate) struct Image {
    pub(crate) name: String,
    builder: String,
}

impl Image {
    /// The image that all tests of this process share.
    pub(crate) fn shared() -> Arc<Image> {
        static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = shared.upgrade() {
            return image;
        }
        let image = Arc::new(Image::build());
        *shared = Arc::downgrade(&image);
        image
    }

    /// Builds it as the Dockerfile says, from a builder that has the program already.
    fn build() -> Image {
        let (name, builder) = (unique("image"), unique("builder"));
        let image = Image { name, builder };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fill(&folder.path().join("out"));
        let text = format!("FROM {WITH_SHELL}\nCOPY out /out\n");
        write(&folder.path().join("Dockerfile"), &text);
        let context = folder.path().display().to_string();
        docker(&["build", "--label", LABEL, "--tag", &image.builder, &context]);
        let builder = format!("BUILDER={}", image.builder);
        let version = concat!("VERSION=", env!("CARGO_PKG_VERSION"));
        let context = env!("CARGO_MANIFEST_DIR");
        let mut words = vec!["build", "--label", LABEL, "--tag", &image.name];
        words.extend(["--build-arg", &builder, "--build-arg", version, context]);
        docker(&words);
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Nothing may panic in here. What stages have left has the label of the builder.
        let label = format!("label={LABEL}");
        for words in [
            &["rmi", "--force", &self.name][..],
            &["rmi", "--force", &self.builder],
            &["image", "prune", "--force", "--filter", &label],
        ] {
            _ = Command::new("docker").args(words).output();
        }
    }
}

/// What `packaging/image-tools build` would put there. The program under test is not static, so that
/// the libraries that it needs come along.
fn fill(out: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_hearthkeep"));
    let place = out.join("usr/bin/hearthkeep");
    copy(program, &place);
    let libraries = String::from_utf8(tool("ldd", &[program])).expect("paths are text");
    for word in libraries.split_whitespace().filter(|it| it.starts_with('/')) {
        copy(Path::new(word), &out.join(word.trim_start_matches('/')));
    }
    for folder in ["tmp", "run/hearthkeep", "var/lib/hearthkeep"] {
        fs::create_dir_all(out.join(folder)).expect("it can be made");
    }
    fs::set_permissions(out.join("tmp"), Permissions::from_mode(0o1777)).expect("it is ours");
}

fn copy(from: &Path, to: &PathBuf) {
    fs::create_dir_all(to.parent().expect("a file has a folder")).expect("it can be made");
    fs::copy(from, to).expect("it can be copied");
}
