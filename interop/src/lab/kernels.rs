//! Which kernels there are, and where their files lie.
//!
//! Kernels live in a cache outside the source tree, `LABEL/kernel.json` beside the unpacked package, put there by
//! [`fetch`](super::fetch). User-Mode Linux is a package of its own that is installed, not fetched.
//! spec: kernel-lab 11.

use std::env;
use std::fs;
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::tools::{self, Tool};

/// What a cached kernel says of itself.
pub(super) const KERNEL_FILE: &str = "kernel.json";

/// A line of kernels that the lab knows where to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// What people call it.
    pub label: &'static str,
    /// The first numbers of its version; none takes whatever is newest.
    pub numbers: &'static [u64],
    /// Debian's suite that has it.
    pub suite: &'static str,
}

/// Every series, oldest first.
pub const SERIES: [Series; 4] = [
    Series {
        label: "5.10",
        numbers: &[5, 10],
        suite: "bullseye",
    },
    Series {
        label: "6.1",
        numbers: &[6, 1],
        suite: "bookworm",
    },
    Series {
        label: "6.12",
        numbers: &[6, 12],
        suite: "bookworm-backports",
    },
    Series {
        label: "newest",
        numbers: &[],
        suite: "sid",
    },
];

/// The label of User-Mode Linux.
pub const UML: &str = "uml";
/// Debian's package of User-Mode Linux.
pub const UML_PACKAGE: &str = "user-mode-linux";
const UML_MODULES: &str = "/usr/lib/uml/modules";

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What people call it: `uml`, a series, or its file.
    pub label: String,
    /// Its version, as `uname -r` says it.
    pub release: String,
    /// What boots it.
    pub machine: Machine,
    /// The kernel itself; as it is kept in the cache, within the kernel's place there.
    pub image: PathBuf,
    /// The directory that has `modules.dep` in it.
    pub modules: PathBuf,
    /// The packages with their versions; none for somebody's own build.
    pub packages: Vec<String>,
}

/// What boots a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// The kernel is a program: User-Mode Linux.
    Uml,
    /// QEMU, without acceleration.
    Qemu,
}

impl Series {
    /// The series of this label.
    pub fn named(label: &str) -> Option<Self> {
        SERIES.into_iter().find(|series| series.label == label)
    }
}

impl Kernel {
    /// The version of DLM's protocol that it speaks. spec: kernel-lab 11
    pub fn protocol(&self) -> &'static str {
        protocol_of(&self.release)
    }

    /// Finds a kernel by its label, or by the file that a developer built, then with its modules.
    ///
    /// # Errors
    ///
    /// When there is no such kernel, or files or programs are missing.
    pub fn find(asked: &str, modules: Option<&Path>, cache: &Path) -> Result<Self, LabError> {
        if let Some(modules) = modules {
            return Self::own_build(Path::new(asked), modules);
        }
        if asked == UML {
            return Self::installed_uml();
        }
        if Series::named(asked).is_some() {
            return Self::cached(asked, cache);
        }
        if Path::new(asked).is_file() {
            return Err(LabError::kernel(
                Path::new(asked),
                "a kernel of one's own needs --modules, what `make modules_install INSTALL_MOD_PATH=DIR` filled",
            ));
        }
        Err(LabError::UnknownKernel {
            label: asked.to_owned(),
        })
    }

    fn cached(label: &str, cache: &Path) -> Result<Self, LabError> {
        let place = cache.join(label).join(KERNEL_FILE);
        let Ok(text) = fs::read_to_string(&place) else {
            return Err(LabError::NotFetched {
                label: label.to_owned(),
            });
        };
        let kernel: Self =
            serde_json::from_str(&text).map_err(|error| LabError::kernel(&place, error.to_string()))?;
        Ok(kernel.at(&cache.join(label)))
    }

    /// A kernel of the cache, its files where the cache is.
    pub(super) fn at(self, place: &Path) -> Self {
        Self {
            image: place.join(self.image),
            modules: place.join(self.modules),
            ..self
        }
    }

    fn installed_uml() -> Result<Self, LabError> {
        let missing = LabError::Tool {
            tool: "linux.uml",
            package: UML_PACKAGE,
        };
        let image = tools::find(Tool::Uml)?;
        let Some(modules) = release_under(Path::new(UML_MODULES)) else {
            return Err(missing);
        };
        let release = file_name(&modules);
        Ok(Self {
            label: UML.to_owned(),
            packages: vec![format!("{UML_PACKAGE} {release}")],
            release,
            machine: Machine::Uml,
            image,
            modules,
        })
    }

    fn own_build(image: &Path, modules: &Path) -> Result<Self, LabError> {
        let image = image.canonicalize().map_err(LabError::io(image))?;
        let given = modules.canonicalize().map_err(LabError::io(modules))?;
        let Some(modules) = modules_in(&given) else {
            return Err(LabError::kernel(
                &given,
                "no modules: expected lib/modules/RELEASE with modules.dep in it",
            ));
        };
        let name = file_name(&image);
        let machine = if is_elf(&image)? && !name.starts_with("vmlinux") {
            Machine::Uml
        } else {
            Machine::Qemu
        };
        Ok(Self {
            label: name,
            release: file_name(&modules),
            machine,
            image,
            modules,
            packages: Vec::new(),
        })
    }
}

/// Where fetched kernels are kept: `$DLMWIRE_LAB`, else the user's cache directory; absolute.
///
/// # Errors
///
/// When neither `DLMWIRE_LAB`, `XDG_CACHE_HOME` nor `HOME` says where.
pub fn cache_dir() -> Result<PathBuf, LabError> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let place = set("DLMWIRE_LAB")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("dlmwire/lab")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/dlmwire/lab")))
        .ok_or(LabError::Path {
            place: "DLMWIRE_LAB".into(),
            reason: "not set, and there is no HOME to keep kernels in",
        })?;
    path::absolute(&place).map_err(LabError::io(&place))
}

/// The protocol's version that a kernel of this release speaks: 3.2 came with Linux 5.14.
fn protocol_of(release: &str) -> &'static str {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u64>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (5, 14) { "3.1" } else { "3.2" }
}

/// The directory with `modules.dep` in it, in what was installed or unpacked under `root`.
pub(super) fn modules_in(root: &Path) -> Option<PathBuf> {
    if root.join("modules.dep").is_file() {
        return Some(root.to_owned());
    }
    ["lib/modules", "usr/lib/modules"]
        .iter()
        .find_map(|place| release_under(&root.join(place)))
}

/// The only directory under `place`, or the last one by name.
fn release_under(place: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(place).ok()?;
    let mut releases: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    releases.sort();
    releases.pop()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn is_elf(path: &Path) -> Result<bool, LabError> {
    let head = tools::head(path, 4)?;
    Ok(head == b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_is_3_2_from_5_14_on() {
        for (release, protocol) in [
            ("5.10.0-32-amd64", "3.1"),
            ("5.13.19", "3.1"),
            ("5.14.0", "3.2"),
            ("6.1.176", "3.2"),
            ("7.2.13+deb14-amd64", "3.2"),
        ] {
            assert_eq!(protocol_of(release), protocol, "{release}");
        }
    }

    #[test]
    fn kernel_asked_for_but_absent_says_what_to_do() {
        let nowhere = Path::new("/nonexistent");
        let error = Kernel::find("6.12", None, nowhere).expect_err("not there");
        assert_eq!(error.to_string(), "not fetched (dlmwire lab fetch 6.12)");
        assert!(error.is_absence());
        let error = Kernel::find("6.13", None, nowhere).expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "\"6.13\": no such kernel; see dlmwire lab kernels"
        );
    }
}
