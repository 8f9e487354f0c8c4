//! What QEMU boots beside the kernel: an initramfs that mounts the host's own tree and steps into it.
//!
//! It holds busybox, the modules for 9p over virtio and `/init`. Everything after the step is the agent's.
//! spec: kernel-lab 1.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::LabError;
use super::kernels::Kernel;
use super::plan::GUEST_MARK;
use super::tools::{self, Tool};

/// The 9p tag of the host's tree.
pub(super) const HOST_TAG: &str = "host";

/// What must be in before a share can be mounted.
const MODULES: [&str; 3] = ["virtio_pci", "9pnet_virtio", "9p"];
/// A module larger than this is none.
const MODULE_BYTES_MAX: u64 = 64 << 20;
const UNPACK_LIMIT: Duration = Duration::from_secs(60);

/// The initramfs for `kernel`, whose first process becomes `agent`.
///
/// # Errors
///
/// When busybox or a module is missing.
pub(super) fn initramfs(kernel: &Kernel, agent: &[String]) -> Result<Vec<u8>, LabError> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "host", "modules"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", 0o755, &busybox()?);
    let order = load_order(&kernel.modules)?;
    for path in &order {
        archive.file(&in_image(path), 0o644, &unpacked(path)?);
    }
    archive.file("init", 0o755, init(&order, agent).as_bytes());
    Ok(archive.end())
}

/// The first process: as little as possible, since nothing of the host is there yet.
fn init(order: &[PathBuf], agent: &[String]) -> String {
    let mut script = String::from("#!/bin/busybox sh\nB=/bin/busybox\n$B mount -t devtmpfs dev /dev\n");
    for path in order {
        script.push_str(&format!("$B insmod /{}\n", in_image(path)));
    }
    let agent: Vec<String> = agent.iter().map(|word| quoted(word)).collect();
    script.push_str(&format!(
        "$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 {HOST_TAG} /host\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin {GUEST_MARK}=1\n\
         exec $B chroot /host {}\n",
        agent.join(" ")
    ));
    script
}

/// A word as the shell takes it literally.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn busybox() -> Result<Vec<u8>, LabError> {
    let path = tools::find(Tool::Busybox)?;
    let program = fs::read(&path).map_err(LabError::io(&path))?;
    // Where there is no host's tree yet there is no linker either; a program that needs one names it at its head.
    let head = &program[..program.len().min(4096)];
    if head.windows(9).any(|window| window == b"/ld-linux") {
        return Err(LabError::Tool {
            tool: "a statically linked busybox",
            package: "busybox-static",
        });
    }
    Ok(program)
}

/// The files of [`MODULES`] and what they need, in the order in which they must be loaded.
fn load_order(modules: &Path) -> Result<Vec<PathBuf>, LabError> {
    let read = |name: &str| {
        let place = modules.join(name);
        fs::read_to_string(&place).map_err(LabError::io(&place))
    };
    let dependencies = read("modules.dep")?;
    // Where nothing tells what is built in, a module that is not there is taken for it; the boot will show.
    let builtin = read("modules.builtin").ok();
    let mut order: Vec<PathBuf> = Vec::new();
    for name in MODULES {
        let Some(line) = dependencies.lines().find(|line| {
            line.split_once(':')
                .is_some_and(|(path, _)| module_name(path) == name)
        }) else {
            let is_builtin = |list: &String| list.lines().any(|path| module_name(path) == name);
            if builtin.as_ref().is_none_or(is_builtin) {
                continue;
            }
            return Err(LabError::kernel(modules, format!("module {name} is missing")));
        };
        let files: Vec<&str> = line.split([':', ' ']).filter(|file| !file.is_empty()).collect();
        // The file first, then what it needs, from near to far.
        for file in files.into_iter().rev().map(|file| modules.join(file)) {
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    Ok(order)
}

/// A module's name, as its file in whatever packing tells it.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko")
        .map_or(file, |(name, _)| name)
        .replace('-', "_")
}

fn in_image(path: &Path) -> String {
    format!("modules/{}.ko", module_name(&path.to_string_lossy()))
}

fn unpacked(path: &Path) -> Result<Vec<u8>, LabError> {
    let mut module = Vec::new();
    let packing = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let open = || fs::File::open(path).map_err(LabError::io(path));
    let read = match packing {
        "xz" => {
            let mut command = tools::command(Tool::Xz)?;
            command.args(["--decompress", "--stdout"]).arg(path);
            return tools::output(&command, UNPACK_LIMIT);
        }
        "zst" => ruzstd::decoding::StreamingDecoder::new(open()?)
            .map_err(io::Error::other)
            .and_then(|reader| reader.take(MODULE_BYTES_MAX).read_to_end(&mut module)),
        "gz" => flate2::read::GzDecoder::new(open()?)
            .take(MODULE_BYTES_MAX)
            .read_to_end(&mut module),
        _ => open()?.take(MODULE_BYTES_MAX).read_to_end(&mut module),
    };
    read.map_err(LabError::io(path))?;
    Ok(module)
}

/// A cpio archive in the "newc" form, the only one that kernels take.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: usize,
}

impl Archive {
    fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entry(name, 0o100_000 | mode, contents);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let (inode, links, size) = (self.entries, 1, contents.len());
        let name_bytes = name.len() + 1;
        // inode, mode, user, group, links, time, size, four device numbers, length of the name, checksum
        let header = format!(
            "070701{inode:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_bytes:08x}{:08x}",
            0, 0, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn archive_is_what_cpio_reads() {
        let mut archive = Archive::default();
        archive.directory("bin");
        archive.file("bin/odd", 0o755, b"abc");
        archive.file("even", 0o644, b"abcd");
        let archive = archive.end();
        assert_eq!(archive.len() % 4, 0);
        let cpio = Command::new("cpio")
            .args(["--list", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut cpio) = cpio else {
            eprintln!("SKIPPED archive_is_what_cpio_reads: no cpio");
            return;
        };
        let mut stdin = cpio.stdin.take().expect("a pipe");
        stdin.write_all(&archive).expect("written");
        drop(stdin);
        let output = cpio.wait_with_output().expect("read");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "bin\nbin/odd\neven\n");
    }

    #[test]
    fn modules_are_loaded_behind_what_they_need_and_once() {
        let folder = std::env::temp_dir().join(format!("dlmwire-order-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let dependencies = "fs/9p.ko.xz: net/9pnet.ko.xz fs/netfs.ko.xz\n\
                            net/9pnet_virtio.ko.xz: net/9pnet.ko.xz\nnet/9pnet.ko.xz:\n";
        fs::write(folder.join("modules.dep"), dependencies).expect("written");
        fs::write(folder.join("modules.builtin"), "kernel/fs/ext4/ext4.ko\n").expect("written");
        let missing = load_order(&folder).expect_err("no virtio_pci");
        assert!(
            missing.to_string().ends_with("module virtio_pci is missing"),
            "{missing}"
        );
        fs::write(folder.join("modules.builtin"), "kernel/virtio/virtio-pci.ko\n").expect("written");
        let order = load_order(&folder).expect("an order");
        let names: Vec<String> = order.iter().map(|path| in_image(path)).collect();
        let expected = ["9pnet", "9pnet_virtio", "netfs", "9p"].map(|name| format!("modules/{name}.ko"));
        assert_eq!(names, expected);
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn word_with_quotes_is_taken_literally() {
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
    }
}
