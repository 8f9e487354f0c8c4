//! Getting kernels: from the mirror that this machine's apt already uses, into the cache. Nothing is installed.
//!
//! apt is given a list of sources, state and cache of its own; what the machine has is only read.
//! spec: kernel-lab 11.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::LabError;
use super::kernels::{KERNEL_FILE, Kernel, Machine, Series, modules_in};
use super::tools::{self, Tool};

const LISTS_LIMIT: Duration = Duration::from_secs(300);
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(1800);
const LOCAL_LIMIT: Duration = Duration::from_secs(300);

/// Debian's keys where Debian puts them; without the file apt looks where it always does.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// The newest packages that make up a kernel of a series, out of all packages' names.
///
/// Kernels came as one package first, signed or not; later as two, the kernel and its modules.
pub fn choose<'a>(names: impl IntoIterator<Item = &'a str>, numbers: &[u64]) -> Option<Vec<String>> {
    let mut found: Vec<Candidate<'a>> = names.into_iter().filter_map(Candidate::parse).collect();
    found.retain(|candidate| candidate.version.starts_with(numbers));
    let modules: Vec<&str> = found
        .iter()
        .filter(|candidate| candidate.part == Part::Modules)
        .map(|candidate| candidate.spelled)
        .collect();
    let best = found
        .iter()
        .filter(|candidate| match candidate.part {
            Part::Modules => false,
            Part::Binary => modules.contains(&candidate.spelled),
            Part::Whole => true,
        })
        .max_by(|one, other| one.rank().cmp(&other.rank()))?;
    let mut packages = vec![best.name.to_owned()];
    if best.part == Part::Binary {
        packages.push(format!("linux-modules-{}-amd64", best.spelled));
    }
    Some(packages)
}

/// Gets the newest kernel of a series into the cache; `step` is told what is done.
///
/// # Errors
///
/// When this machine's apt knows no Debian mirror, the mirror has no such kernel, or getting or unpacking it
/// fails. The error says which package to get by hand.
pub fn fetch(series: Series, cache: &Path, step: &mut dyn FnMut(&str)) -> Result<Kernel, LabError> {
    let by_hand = |error: LabError| LabError::Package {
        wanted: wanted(series),
        reason: error.to_string(),
    };
    let debs = download(series, cache, step).map_err(by_hand)?;
    let kernel = unpack(series, &debs, cache, step)?;
    for deb in &debs {
        // It is all unpacked, and some 100 MB.
        let _ = fs::remove_file(deb);
    }
    Ok(kernel)
}

/// Puts a kernel into the cache from packages that somebody downloaded.
///
/// # Errors
///
/// When the packages are not a kernel with its modules, or cannot be unpacked.
pub fn unpack(
    series: Series,
    debs: &[PathBuf],
    cache: &Path,
    step: &mut dyn FnMut(&str),
) -> Result<Kernel, LabError> {
    let new = cache.join(format!("{}.new", series.label));
    let _ = fs::remove_dir_all(&new);
    let root = new.join("root");
    fs::create_dir_all(&root).map_err(LabError::io(&root))?;
    let mut packages = Vec::new();
    for deb in debs {
        let package = package_of(deb)?;
        step(&format!("unpacks {package}"));
        let mut unpack = tools::command(Tool::DpkgDeb)?;
        unpack.arg("--extract").arg(deb).arg(&root);
        tools::output(&unpack, LOCAL_LIMIT)?;
        packages.push(package);
    }
    let modules = unpacked_modules(&root)?;
    step("lists what modules depend on");
    list_dependencies(&modules)?;
    let release = modules
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let image = image_in(&root, &modules, &release)?;
    let place = cache.join(series.label);
    // Paths within the kernel's place: what is unpacked moves once it is whole, and the cache may be moved.
    let inside = |path: &Path| path.strip_prefix(&new).unwrap_or(path).to_owned();
    let kernel = Kernel {
        label: series.label.to_owned(),
        release,
        machine: Machine::Qemu,
        image: inside(&image),
        modules: inside(&modules),
        packages,
    };
    let text =
        serde_json::to_vec_pretty(&kernel).map_err(|error| LabError::kernel(&new, error.to_string()))?;
    fs::write(new.join(KERNEL_FILE), text).map_err(LabError::io(&new))?;
    if place.exists() {
        fs::remove_dir_all(&place).map_err(LabError::io(&place))?;
    }
    fs::rename(&new, &place).map_err(LabError::io(&place))?;
    Ok(kernel.at(&place))
}

/// Which package to get by hand, and what to do with it.
pub fn wanted(series: Series) -> String {
    let package = match series.numbers {
        [] => "linux-binary-*-amd64 and linux-modules-*-amd64 of one version".to_owned(),
        numbers => {
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            format!("linux-image-{}.*-amd64-unsigned", numbers.join("."))
        }
    };
    format!(
        "or get {package} of Debian {} by hand, then: dlmwire lab fetch {} --deb FILE",
        series.suite, series.label
    )
}

/// A package that has a kernel, or a part of one, in it.
struct Candidate<'a> {
    name: &'a str,
    part: Part,
    /// The version as the name spells it.
    spelled: &'a str,
    version: Vec<u64>,
    signed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Kernel and modules.
    Whole,
    /// The kernel alone.
    Binary,
    /// The modules alone.
    Modules,
}

impl<'a> Candidate<'a> {
    /// What a package's name tells; nothing for the flavours: "cloud" and "rt" stand before "amd64".
    fn parse(name: &'a str) -> Option<Self> {
        let (unsigned, signed) = match name.strip_suffix("-unsigned") {
            Some(rest) => (rest, false),
            None => (name, true),
        };
        let versioned = unsigned.strip_suffix("-amd64")?;
        let (part, spelled) = [
            ("linux-image-", Part::Whole),
            ("linux-binary-", Part::Binary),
            ("linux-modules-", Part::Modules),
        ]
        .into_iter()
        .find_map(|(prefix, part)| Some((part, versioned.strip_prefix(prefix)?)))?;
        let flavoured = |word: &str| word.chars().all(|c| c.is_ascii_alphabetic()) && !word.is_empty();
        if !spelled.starts_with(|c: char| c.is_ascii_digit()) || spelled.split('-').any(flavoured) {
            return None;
        }
        let version: Option<Vec<u64>> = spelled
            .split(|c: char| !c.is_ascii_digit())
            .filter(|number| !number.is_empty())
            .map(|number| number.parse().ok())
            .collect();
        Some(Self {
            name,
            part,
            spelled,
            version: version?,
            signed,
        })
    }

    /// The newest; of one version the split one, since the whole one is then an empty shell; then the unsigned
    /// one, which is built with its modules.
    fn rank(&self) -> (&[u64], bool, bool) {
        (&self.version, self.part == Part::Binary, !self.signed)
    }
}

fn download(series: Series, cache: &Path, step: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>, LabError> {
    let apt = Apt::new(cache, series.suite)?;
    step(&format!("reads the list of {}", series.suite));
    tools::output(apt.command(Tool::AptGet)?.arg("update"), LISTS_LIMIT)?;
    let mut search = apt.command(Tool::AptCache)?;
    search.args(["search", "--names-only", "^linux-(image|binary|modules)-[0-9]"]);
    let listed = tools::output(&search, LISTS_LIMIT)?;
    let listed = String::from_utf8_lossy(&listed);
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let Some(packages) = choose(names, series.numbers) else {
        return Err(LabError::Command {
            command: "apt-cache search".to_owned(),
            reason: format!("Debian {} has no kernel {}", series.suite, series.label),
        });
    };
    step(&format!("gets {}", packages.join(", ")));
    let mut download = apt.command(Tool::AptGet)?;
    download.arg("download").args(&packages).current_dir(&apt.debs);
    tools::output(&download, DOWNLOAD_LIMIT)?;
    apt.downloaded(&packages)
}

/// apt with everything of its own, for one suite.
struct Apt {
    options: Vec<String>,
    debs: PathBuf,
}

impl Apt {
    fn new(cache: &Path, suite: &str) -> Result<Self, LabError> {
        let place = cache.join("apt").join(suite);
        let debs = place.join("debs");
        let _ = fs::remove_dir_all(&debs);
        for directory in ["debs", "lists/partial", "cache/archives/partial"] {
            let directory = place.join(directory);
            fs::create_dir_all(&directory).map_err(LabError::io(&directory))?;
        }
        let place = place.canonicalize().map_err(LabError::io(&place))?;
        let keys = KEYRINGS.iter().find(|keys| Path::new(keys).is_file());
        let signed = keys.map(|keys| format!(" signed-by={keys}")).unwrap_or_default();
        let sources = place.join("sources.list");
        let line = format!("deb [arch=amd64{signed}] {} {suite} main\n", mirror()?);
        fs::write(&sources, line).map_err(LabError::io(&sources))?;
        let shown = place.display();
        Ok(Self {
            options: vec![
                format!("Dir::Etc::sourcelist={}", sources.display()),
                "Dir::Etc::sourceparts=/dev/null".to_owned(),
                format!("Dir::State::lists={shown}/lists"),
                format!("Dir::Cache={shown}/cache"),
                // apt's own user may not enter the cache.
                "APT::Sandbox::User=root".to_owned(),
                "APT::Get::List-Cleanup=false".to_owned(),
            ],
            debs,
        })
    }

    fn command(&self, tool: Tool) -> Result<Command, LabError> {
        let mut command = tools::command(tool)?;
        command.arg("--quiet").env("LC_ALL", "C");
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        Ok(command)
    }

    /// The files of packages that apt has just put there.
    fn downloaded(&self, packages: &[String]) -> Result<Vec<PathBuf>, LabError> {
        let entries = fs::read_dir(&self.debs).map_err(LabError::io(&self.debs))?;
        let files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let mut debs = Vec::new();
        for package in packages {
            let start = format!("{package}_");
            let deb = files.iter().find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(&start) && name.ends_with(".deb")
            });
            let Some(deb) = deb else {
                return Err(LabError::kernel(
                    &self.debs,
                    format!("apt-get download left no {package}"),
                ));
            };
            debs.push(deb.clone());
        }
        Ok(debs)
    }
}

/// The mirror that this machine's apt gets Debian from.
fn mirror() -> Result<String, LabError> {
    let mut command = tools::command(Tool::AptGet)?;
    command.args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)",
        "Created-By: Packages",
    ]);
    let listed = tools::output(&command, LOCAL_LIMIT)?;
    debian_mirror(&String::from_utf8_lossy(&listed)).ok_or_else(|| LabError::Command {
        command: tools::shown(&command),
        reason: "this machine's apt knows no mirror of Debian".to_owned(),
    })
}

/// The first of apt's sources that has Debian itself, not only its security updates.
fn debian_mirror(listed: &str) -> Option<String> {
    listed.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Debian", "main", release, uri] if !release.contains("security") => Some(uri.to_owned()),
            _ => None,
        }
    })
}

/// A package's name and version.
fn package_of(deb: &Path) -> Result<String, LabError> {
    let mut command = tools::command(Tool::DpkgDeb)?;
    command
        .args(["--show", "--showformat", "${Package} ${Version}"])
        .arg(deb);
    let shown = tools::output(&command, LOCAL_LIMIT)?;
    Ok(String::from_utf8_lossy(&shown).trim().to_owned())
}

/// The directory of the modules, which has no `modules.dep` yet.
fn unpacked_modules(root: &Path) -> Result<PathBuf, LabError> {
    modules_in(root).ok_or_else(|| {
        LabError::kernel(
            root,
            "no modules in the package: is its linux-modules-* package missing?",
        )
    })
}

fn list_dependencies(modules: &Path) -> Result<(), LabError> {
    let (Some(release), Some(base)) = (modules.file_name(), modules.ancestors().nth(3)) else {
        return Err(LabError::kernel(modules, "expected .../lib/modules/RELEASE"));
    };
    let mut command = tools::command(Tool::Depmod)?;
    command.arg("--basedir").arg(base).arg(release);
    tools::output(&command, LOCAL_LIMIT).map(drop)
}

fn image_in(root: &Path, modules: &Path, release: &str) -> Result<PathBuf, LabError> {
    let places = [
        root.join(format!("boot/vmlinuz-{release}")),
        modules.join("vmlinuz"),
    ];
    let found = places.into_iter().find(|place| place.is_file());
    found.ok_or_else(|| {
        LabError::kernel(
            root,
            "no kernel in the package: is its linux-binary-* package missing?",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], series: &str) -> Option<Vec<String>> {
        let series = Series::named(series).expect("a series");
        choose(names.iter().copied(), series.numbers)
    }

    #[test]
    fn newest_of_the_series_is_chosen_by_number_and_without_flavours() {
        let names = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-50-amd64",
            "linux-image-6.1.0-50-amd64-unsigned",
            "linux-image-6.1.0-51-cloud-amd64-unsigned",
            "linux-image-6.1.0-51-rt-amd64",
            "linux-image-6.1.0-50-amd64-dbg",
            "linux-image-6.12.95+deb12-amd64-unsigned",
            "linux-image-amd64",
        ];
        let expected = vec!["linux-image-6.1.0-50-amd64-unsigned".to_owned()];
        assert_eq!(chosen(&names, "6.1"), Some(expected));
        let expected = vec!["linux-image-6.12.95+deb12-amd64-unsigned".to_owned()];
        assert_eq!(chosen(&names, "6.12"), Some(expected));
        assert_eq!(chosen(&names, "5.10"), None);
    }

    #[test]
    fn newest_that_is_only_signed_is_chosen() {
        let names = [
            "linux-image-6.12.90+deb12.1-amd64-unsigned",
            "linux-image-6.12.95+deb12-amd64",
        ];
        let expected = vec!["linux-image-6.12.95+deb12-amd64".to_owned()];
        assert_eq!(chosen(&names, "6.12"), Some(expected));
    }

    #[test]
    fn split_kernel_comes_with_its_modules_and_its_shell_is_left() {
        let names = [
            "linux-binary-7.2.13+deb14-amd64",
            "linux-binary-7.2.14+deb14-amd64",
            "linux-image-7.2.13+deb14-amd64",
            "linux-modules-7.2.13+deb14-amd64",
            "linux-image-7.1.9+deb14-amd64",
        ];
        let expected = [
            "linux-binary-7.2.13+deb14-amd64",
            "linux-modules-7.2.13+deb14-amd64",
        ];
        assert_eq!(
            chosen(&names, "newest"),
            Some(expected.map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn mirror_is_debian_s_own_and_not_the_security_one() {
        let listed = "Elsewhere main stable http://a.example/\n\
                      Debian main bookworm-security http://b.example/debian-security/\n\
                      Debian contrib bookworm http://c.example/debian/\n\
                      Debian main bookworm http://d.example/debian/\n";
        assert_eq!(debian_mirror(listed).as_deref(), Some("http://d.example/debian/"));
        assert_eq!(debian_mirror("Ubuntu main noble http://e.example/\n"), None);
    }

    #[test]
    fn what_to_get_by_hand_names_package_suite_and_command() {
        let series = Series::named("5.10").expect("a series");
        let expected = "or get linux-image-5.10.*-amd64-unsigned of Debian bullseye by hand, then: \
                        dlmwire lab fetch 5.10 --deb FILE";
        assert_eq!(wanted(series), expected);
    }
}
