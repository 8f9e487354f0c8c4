//! What the kernel announces about lockspaces: the events that a cluster manager lives on.

use std::os::fd::OwnedFd;
use std::thread;

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use super::error::{At, Result};
use super::wait::Log;

/// Announcements kept; a run has a few hundred.
const KEPT_MAX: usize = 65_536;
/// The group of what the kernel itself says.
const KERNEL_GROUP: u32 = 1;

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// `online`, `offline`, `add`, `remove`.
    pub action: String,
    /// The object's path in sysfs, as `/kernel/dlm/ls1`.
    pub path: String,
}

/// Listens, in a thread that ends with the process.
///
/// # Errors
///
/// When the socket cannot be had.
pub fn listen() -> Result<Log<Uevent>> {
    let what = "listen to the kernel's uevents";
    let flags = SocketFlags::CLOEXEC;
    let kind = SocketType::DGRAM;
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, Some(KOBJECT_UEVENT)).on(what)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP)).on(what)?;
    let log = Log::new(KEPT_MAX);
    let filled = log.clone();
    let listener = thread::Builder::new().name("uevents".into());
    listener
        .spawn(move || receive(&socket, &filled))
        .on("start a thread")?;
    Ok(log)
}

fn receive(socket: &OwnedFd, log: &Log<Uevent>) {
    let mut bytes = [0; 8192];
    while let Ok((_, len)) = rustix::net::recv(socket, bytes.as_mut_slice(), RecvFlags::empty()) {
        if let Some(event) = bytes.get(..len).and_then(parse) {
            log.push(event);
        }
    }
    log.close();
}

/// `ACTION@PATH`, a zero byte, and more that nobody needs here; only the DLM's own.
fn parse(bytes: &[u8]) -> Option<Uevent> {
    let head = bytes.split(|byte| *byte == 0).next()?;
    let (action, path) = std::str::from_utf8(head).ok()?.split_once('@')?;
    path.starts_with("/kernel/dlm/").then(|| Uevent {
        action: action.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcement_is_read_from_its_head() {
        let event = parse(b"offline@/kernel/dlm/ls1\0ACTION=offline\0LOCKSPACE=ls1\0").expect("an event");
        assert_eq!(
            (event.action.as_str(), event.path.as_str()),
            ("offline", "/kernel/dlm/ls1")
        );
    }

    #[test]
    fn announcement_of_others_is_left_out() {
        assert_eq!(parse(b"add@/devices/virtual/net/k0\0"), None);
        assert_eq!(parse(b"libudev\0"), None);
        assert_eq!(parse(b"\xff\xfe@/kernel/dlm/x"), None);
    }
}
