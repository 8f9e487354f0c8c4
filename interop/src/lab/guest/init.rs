//! The guest from the first process on: file systems, modules, the kernel's knobs, the network. spec: kernel-lab 1.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::mount::MountFlags;

use super::super::plan::{Network, RunPlan, Share, VethPair};
use super::command;
use super::error::{At, LabError, Result};
use super::netns::Namespace;

/// Modules that must be there, in this order.
const MODULES: [&str; 4] = ["configfs", "sctp", "veth", "dlm"];
/// Modules that some kernels have built in or do not have.
const MODULES_IF_THERE: [&str; 5] = ["ipv6", "crc32c_generic", "inet_diag", "tcp_diag", "sctp_diag"];
/// Where the wrapper around `modprobe` lies that the kernel calls.
const MODPROBE: &str = "/run/dlmwire-modprobe";
/// Where `dynamic_debug` may be controlled.
const DYNAMIC_DEBUG: [&str; 2] = [
    "/sys/kernel/debug/dynamic_debug/control",
    "/proc/dynamic_debug/control",
];

/// Mounts what a system has mounted, and the evidence folder; what is mounted already stays.
///
/// # Errors
///
/// When a file system that is needed cannot be mounted.
pub fn mount_all(plan: &RunPlan) -> Result<()> {
    mount("proc", "proc", "/proc", "")?;
    mount("sysfs", "sysfs", "/sys", "")?;
    mount("devtmpfs", "devtmpfs", "/dev", "")?;
    mount("tmpfs", "tmpfs", "/run", "mode=755")?;
    // Not every kernel has these, and nothing but a shell or a tracing case misses them.
    let _ = mount("debugfs", "debugfs", "/sys/kernel/debug", "");
    let _ = mount("tracefs", "tracefs", "/sys/kernel/tracing", "");
    for (kind, path) in [("devpts", "/dev/pts"), ("tmpfs", "/dev/shm")] {
        let _ = fs::create_dir_all(path);
        let _ = mount(kind, kind, path, "");
    }
    let out = path_text(&plan.out)?;
    match &plan.share {
        Share::Hostfs => mount("none", "hostfs", out, out),
        Share::Ninep { tag } => mount(tag, "9p", out, "trans=virtio,version=9p2000.L,msize=262144"),
    }
}

/// Loads the modules, and tells the kernel where to find more.
///
/// # Errors
///
/// When a module that is needed cannot be loaded.
pub fn load_modules(plan: &RunPlan) -> Result<()> {
    let modules = path_text(&plan.modules)?;
    set_modprobe(modules)?;
    for module in MODULES {
        command::run("modprobe", &format!("-d {modules} {module}"))?;
    }
    for module in MODULES_IF_THERE {
        let _ = command::run("modprobe", &format!("-d {modules} {module}"));
    }
    mount("configfs", "configfs", "/sys/kernel/config", "")
}

/// Lets the DLM tell all it can; kernels without dynamic debugging stay as they are.
pub fn set_knobs() {
    for path in DYNAMIC_DEBUG {
        if write_file(path, "module dlm +p").is_ok() {
            break;
        }
    }
    // A burst of messages is evidence here.
    let _ = write_file("/proc/sys/kernel/printk_devkmsg", "on");
    let _ = write_file("/proc/sys/kernel/printk_ratelimit", "0");
}

/// Makes the namespace of our side and the lines into it.
///
/// # Errors
///
/// When `ip` refuses.
pub fn set_up_network(network: &Network) -> Result<Namespace> {
    let peer = &network.namespace;
    ip("link set lo up")?;
    // A line that a case takes down comes back with its addresses.
    let _ = write_file("/proc/sys/net/ipv6/conf/all/keep_addr_on_down", "1");
    ip(&format!("netns add {peer}"))?;
    ip(&format!("-n {peer} link set lo up"))?;
    for link in &network.links {
        set_up_link(peer, link)?;
    }
    Ok(Namespace::named(peer))
}

fn set_up_link(peer: &str, link: &VethPair) -> Result<()> {
    let VethPair {
        kernel_device,
        peer_device,
        ..
    } = link;
    ip(&format!(
        "link add {kernel_device} type veth peer name {peer_device} netns {peer}"
    ))?;
    for address in &link.kernel {
        ip(&format!("address add {} dev {kernel_device}", prefix(*address)))?;
    }
    for address in &link.peer {
        ip(&format!(
            "-n {peer} address add {} dev {peer_device}",
            prefix(*address)
        ))?;
    }
    ip(&format!("link set {kernel_device} up"))?;
    ip(&format!("-n {peer} link set {peer_device} up"))
}

/// An address as `ip` takes it: IPv6 usable at once, without a search for doubles.
fn prefix(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/24"),
        IpAddr::V6(address) => format!("{address}/64 nodad"),
    }
}

fn ip(args: &str) -> Result<()> {
    command::run("ip", args).map(drop)
}

/// Mounts unless something is mounted there.
fn mount(source: &str, kind: &str, target: &str, data: &str) -> Result<()> {
    if is_mounted(Path::new(target)) {
        return Ok(());
    }
    let data = CString::new(data).on(&format!("mount {target} with {data:?}"))?;
    let flags = MountFlags::empty();
    rustix::mount::mount(source, target, kind, flags, data.as_c_str())
        .on(&format!("mount {kind} on {target}"))
}

/// Whether something is mounted there: it is another device than the directory that it lies in.
///
/// `/proc/mounts` cannot be asked: seen through the guest's root, `/proc` is the host's.
fn is_mounted(target: &Path) -> bool {
    let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev);
    match (device(target), target.parent().map(device)) {
        (Ok(there), Some(Ok(around))) => there != around,
        _ => false,
    }
}

/// The kernel calls `modprobe` without arguments of ours, so that it gets a wrapper that has them.
///
/// Capture tools ask for Bluetooth, whose modules take longer to load than a case takes.
fn set_modprobe(modules: &str) -> Result<()> {
    let path = Path::new(MODPROBE);
    let wrapper =
        format!("#!/bin/sh\ncase $* in *net-pf-31*) exit 1;; esac\nexec modprobe -d '{modules}' \"$@\"\n");
    fs::write(path, wrapper).at("write", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).at("make executable", path)?;
    write_file("/proc/sys/kernel/modprobe", MODPROBE)
}

/// One write of the whole text into a file of the kernel's.
pub(super) fn write_file(path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> Result<()> {
    let path = path.as_ref();
    // Files of configfs and sysfs take neither O_CREAT nor O_TRUNC everywhere.
    let file = fs::OpenOptions::new().write(true).custom_flags(0).open(path);
    let bytes = text.as_ref();
    let wrote = file.at("open", path)?.write(bytes).at("write", path)?;
    if wrote == bytes.len() {
        return Ok(());
    }
    Err(LabError::unexpected(format!(
        "{} took {wrote} of {} bytes",
        path.display(),
        bytes.len()
    )))
}

/// A small file of the kernel's, without the line's end.
pub(super) fn read_file(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).at("read", path)?;
    Ok(text.trim_end().to_owned())
}

fn path_text(path: &Path) -> Result<&str> {
    let text = path
        .to_str()
        .filter(|text| !text.contains([' ', '\'', ',', '\n']));
    text.ok_or_else(|| LabError::unexpected(format!("{path:?}: no path for mounts and modprobe")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_given_its_prefix_and_no_search_for_doubles() {
        assert_eq!(prefix("10.77.0.1".parse().expect("IPv4")), "10.77.0.1/24");
        assert_eq!(prefix("fd77::2".parse().expect("IPv6")), "fd77::2/64 nodad");
    }

    #[test]
    fn mount_is_recognised_by_its_device() {
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")));
        assert!(!is_mounted(Path::new("/does/not/exist")));
    }

    #[test]
    fn path_that_a_mount_would_misread_is_refused() {
        assert!(path_text(Path::new("/a,b")).is_err());
        assert_eq!(path_text(Path::new("/a/b-c_1.2")).expect("plain"), "/a/b-c_1.2");
    }
}
